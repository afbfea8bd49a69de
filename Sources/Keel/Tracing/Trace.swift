/// What a function does to tensors that have a spec and no bytes: each primitive is noted instead of run. A program is made of it.
///
/// Every value has a number: the function's inputs, what primitives make, and the constants, which are ordinary tensors that they read.
/// A constant is copied when it is first read, so that training on doesn't change the program; but for one in a mapped file, which is there once. What runs on constants alone is no
/// step: it simply runs.
///
/// State is memory that the program reads and writes in place. Tensors that lie there count as traced meanwhile, wherever they come from. Each update
/// gives the memory a new number, so that a step which reads it depends on those that wrote it before.
///
/// The rows of gradients that arrive at a table lie in no memory that could be state: a trace begins without any, and leaves those that were there before.
///
/// A trace belongs to the thread that began it, until its function returns.
package final class Trace {
    package struct Step: Sendable {
        package let primitive: any Primitive
        package let inputs: [Int]
        /// Outputs, then residuals where a gradient was wanted; of an update, the memories that it wrote.
        package let outputs: [Int]
        package let residuals: Int
        /// Who called it.
        package let origin: CallStack
    }

    package private(set) var specs: [TensorSpec] = []
    package private(set) var constants: [Int: Tensor] = [:]
    package private(set) var steps: [Step] = []
    /// The numbers of the inputs' values.
    package private(set) var inputs: [Int] = []
    /// The numbers of what the function gave, with their names.
    package private(set) var results: [(name: String, value: Int)] = []
    /// The memories of the state, and their numbers before and after.
    package private(set) var states: [(memory: TensorMemory, first: Int, last: Int)] = []

    private var knownConstants: [Constant: (number: Int, original: Tensor)] = [:]
    private var knownViews: [View: Int] = [:]
    private var statePlaces: [ObjectIdentifier: Int] = [:]
    /// What was refused first, even if the function went on.
    private var fault: TensorError?
    /// Whether random numbers that are made meanwhile are values without a producer instead: a network can then be made and called without memory
    /// or work for its weights. What is noted is no program.
    private let isDescription: Bool
    /// Where a traced tensor's bytes would begin.
    let nowhere = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)

    private struct Constant: Hashable {
        let storage, descriptor: ObjectIdentifier
        let version: UInt32
    }
    private struct View: Hashable {
        let memory: Int
        let view: MemoryView
    }

    /// Runs `body` on tensors of these specs.
    ///
    /// - Parameter state: tensors whose whole memory is state.
    /// - Throws: `TensorError.traced` where it read numbers that only a running program has, or updated what isn't state, even if it caught that;
    ///   what `body` throws.
    package init(
        _ inputs: [TensorSpec], state: [Tensor], isDescription: Bool = false, _ body: ([Tensor]) throws -> [(name: String, tensor: Tensor)]
    ) throws {
        self.isDescription = isDescription
        let thread = ThreadState.current, outer = thread.trace
        thread.trace = self
        let rowsBefore = state.map(\.rowGradients)
        for tensor in state { tensor.rowGradients = [] }
        defer {
            thread.trace = outer
            for state in states { state.memory.storage.place = .cpu }
            for (tensor, rows) in zip(state, rowsBefore) { tensor.rowGradients = rows }
            // Nothing that the program doesn't need is kept.
            knownConstants = [:]
        }
        for tensor in state { try begin(tensor) }
        var given: [Tensor] = []
        for spec in inputs { given.append(try new(spec)) }
        self.inputs = given.map(\.storage.token)
        let made = try body(given)
        if let fault { throw fault }
        for (name, tensor) in made { results.append((name, try number(of: tensor))) }
    }

    deinit { nowhere.deallocate() }

    private func begin(_ tensor: Tensor) throws(TensorError) {
        guard statePlaces[ObjectIdentifier(tensor.storage)] == nil else { return }
        guard tensor.storage.place.isCPU else { throw TensorError(.devicesDiffer(primitive: "trace", CPU.shared.name, tensor.device.name)) }
        let number = newNumber(TensorSpec([], .uint8))
        statePlaces[ObjectIdentifier(tensor.storage)] = states.count
        states.append((TensorMemory(sharing: tensor), number, number))
        tensor.storage.place = .traced
    }

    /// - Throws: `TensorError.traced` where nothing is traced on this thread.
    static func current() throws(TensorError) -> Trace {
        guard let trace = ThreadState.current.trace else { throw TensorError(stranger) }
        return trace
    }

    private static let stranger = TensorError.Reason.traced(wanted: "nothing runs on it outside of the function that is traced, or on another thread")

    /// The number of a tensor's value: its own, that of a view of the state, or a constant's.
    private func number(of tensor: Tensor) throws(TensorError) -> Int {
        if tensor.storage.place.isTraced {
            if tensor.storage.owner === self { return tensor.storage.token }
            guard let place = statePlaces[ObjectIdentifier(tensor.storage)] else { throw TensorError(Self.stranger) }
            let view = View(memory: states[place].last, view: MemoryView(tensor.descriptor))
            if let known = knownViews[view] { return known }
            let number = newNumber(tensor.spec)
            steps.append(Step(primitive: view.view, inputs: [view.memory], outputs: [number], residuals: 0, origin: .capture()))
            knownViews[view] = number
            return number
        }
        guard tensor.storage.place.isCPU else { throw TensorError(.devicesDiffer(primitive: "trace", CPU.shared.name, tensor.device.name)) }
        let key = Constant(storage: ObjectIdentifier(tensor.storage), descriptor: ObjectIdentifier(tensor.descriptor), version: tensor.storage.version)
        if let known = knownConstants[key] { return known.number }
        let number = newNumber(tensor.spec)
        if let shared = tensor.sharedWithFile { constants[number] = shared } else { constants[number] = try tensor.copied() }
        knownConstants[key] = (number, tensor)
        return number
    }

    private func newNumber(_ spec: TensorSpec) -> Int {
        specs.append(spec)
        return specs.count - 1
    }

    /// A new value, which lies as `view` does where that is known.
    private func new(_ spec: TensorSpec, lyingAs view: Descriptor? = nil) throws(TensorError) -> Tensor {
        let descriptor: Descriptor
        if let view {
            descriptor = Descriptor(spec, strides: view.strides, offset: 0, count: view.count)
        } else if spec.shape.sizes != nil {
            descriptor = Descriptor(dense: spec, count: try spec.shape.elementCount())
        } else {
            descriptor = Descriptor(symbolic: spec)
        }
        return Tensor(Storage(traced: newNumber(spec), by: self), descriptor)
    }

    /// What stands for random numbers, in a description.
    func described(_ spec: TensorSpec) throws(TensorError) -> Tensor? { isDescription ? try new(spec) : nil }

    func note<P: Primitive>(_ primitive: P, _ inputs: Operands, _ outputs: SpecList, _ residuals: SpecList) throws(TensorError) -> [Tensor] {
        var numbers: [Int] = []
        for i in 0..<inputs.count { numbers.append(try number(of: inputs[i])) }
        // Where sizes are numbers, a view lies as it would when run: functions that ask how a tensor lies then do the same.
        var views: [Tensor] = []
        if inputs.count == 1, inputs[0].descriptor.count >= 0, outputs[0].shape.sizes != nil {
            if let parts = try primitive.views(inputs[0]) { views = parts } else if let view = try primitive.view(inputs[0]) { views = [view] }
        }
        var made: [Tensor] = []
        for i in 0..<outputs.count { made.append(try new(outputs[i], lyingAs: i < views.count ? views[i].descriptor : nil)) }
        for i in 0..<residuals.count { made.append(try new(residuals[i])) }
        steps.append(
            Step(primitive: primitive, inputs: numbers, outputs: made.map(\.storage.token), residuals: residuals.count, origin: .capture()))
        return made
    }

    /// A state update: the memories that it would write over have new numbers from here on.
    func note<P: Primitive>(updating primitive: P, _ inputs: Operands, _ outputs: SpecList) throws(TensorError) {
        var numbers: [Int] = []
        for i in 0..<inputs.count { numbers.append(try number(of: inputs[i])) }
        var made: [Int] = []
        for target in P.overwrites {
            let storage = inputs[target].storage
            guard let place = statePlaces[ObjectIdentifier(storage)] else { try refuse(updating: P.name) }
            made.append(newNumber(TensorSpec([], .uint8)))
            states[place].last = made[made.count - 1]
            storage.version &+= 1
        }
        steps.append(Step(primitive: primitive, inputs: numbers, outputs: made, residuals: 0, origin: .capture()))
    }

    /// Throws, and makes the trace throw in the end, even if the error is caught in between.
    func refuse(_ reason: TensorError.Reason) throws(TensorError) -> Never {
        let error = TensorError(reason)
        fault = fault ?? error
        throw error
    }

    func refuse(updating primitive: String) throws(TensorError) -> Never {
        try refuse(.traced(wanted: "\(primitive) can't update what isn't among the state that the program is traced with"))
    }

    @inline(never) static func refuseCount(of shape: Shape) {
        guard let trace = ThreadState.current.trace else { return }
        trace.fault = trace.fault ?? TensorError(.symbolicDimension(shape.product))
    }
}

extension Tensor {
    /// Whether there are no numbers to be read, but the notion of a function's that is being traced.
    package var isTraced: Bool { storage.place.isTraced }

    /// - Throws: `TensorError.traced` where there are no numbers to be read.
    @inline(__always) func checkReadable() throws(TensorError) {
        if storage.place.isTraced { try refuseReading() }
    }

    @inline(never) private func refuseReading() throws(TensorError) {
        try Trace.current().refuse(
            .traced(wanted: "they can't be read while it is traced; what depends on them is written with tensors, as `select`"))
    }

    /// The same numbers in memory of their own, lying in the same order.
    func copied() throws(TensorError) -> Tensor {
        let own = descriptor
        if own.isBlocked {
            let copy = Tensor(try Storage(bytes: own.storageBytes, on: storage.place), own)
            copy.bytes.copyMemory(from: bytes, byteCount: own.storageBytes)
            return copy
        }
        // Axes in the order in which they lie: a permuted dense tensor stays so.
        let axes = (0..<rank).sorted { own.strides[$0] > own.strides[$1] }
        var (strides, step) = (Strides(repeating: 0), 1)
        for axis in axes.reversed() {
            strides[axis] = step
            step *= size(axis)
        }
        let isPermuted = (0..<rank).allSatisfy { size($0) == 1 || own.strides[$0] == strides[$0] }
        let descriptor = Descriptor(spec, strides: isPermuted ? strides : shape.denseStrides, offset: 0, count: own.count)
        let copy = Tensor(try Storage(bytes: own.count * dtype.width, on: storage.place), descriptor)
        move(self, to: copy)
        return copy
    }
}
