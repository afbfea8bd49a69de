package import Keel

/// What a program does when its symbols are certain numbers: the kernels in their order, and where each value lies. Views are no steps: how
/// they lie is known beforehand.
package struct Plan: Sendable {
    package struct Step: Sendable {
        package let primitive: any Primitive
        let inputs: [Graph.Value]
        /// Of an update, those of the inputs that it writes over.
        let outputs: [Graph.Value]
        let origin: CallStack?
    }

    /// Where the memory of one or more values comes from.
    package enum Source: Sendable, Equatable {
        case constant
        case state(Int)
        case input(Int)
        /// New for each run, and given away.
        case output(bytes: Int)
        case arena(offset: Int, bytes: Int)

        /// Bytes of what a run makes.
        fileprivate var madeBytes: Int? {
            switch self {
            case .output(let bytes), .arena(_, let bytes): bytes
            case .constant, .state, .input: nil
            }
        }
    }

    package let sizes: SymbolSizes
    package private(set) var steps: [Step] = []
    /// Constants, and how the others lie; nil for what is never made.
    private(set) var values: [Tensor?]
    package private(set) var sources: [Source] = []
    /// The first and the last step that needs each memory.
    package private(set) var lifetimes: [ClosedRange<Int>] = []
    package private(set) var arenaBytes = 0
    /// Bytes of inputs and outputs that are copied: so little that lying at the same place in each run is worth more.
    static let copiedBytes = 4096
    /// Inputs and outputs that lie behind the arena and are copied, and where.
    private(set) var copies: [(memory: Int, offset: Int)] = []
    /// What a run keeps for the next one: the arena, and behind it what is copied.
    private(set) var keptBytes = 0
    /// What a run's memory of its own takes: what it keeps and the outputs.
    package var bytes: Int { sources.reduce(keptBytes) { sum, source in if case .output(let bytes) = source { sum + bytes } else { sum } } }
    /// Bytes that the largest value has, or would have where it is a view that says the same numbers again.
    package private(set) var largestValue = 0
    /// Of one value: no machine has so much, and sums of such numbers fit an `Int`.
    private static let valueLimit = 1 << 44
    /// The step that has most to do, and how much that is (`Primitive.work`).
    package private(set) var heaviest: (step: String, work: Double)?
    private var memories: [ObjectIdentifier: Int] = [:]

    /// Which memory a value lies in.
    func memory(of value: Graph.Value) -> Int? { values[value].flatMap { memories[$0.memoryIdentity] } }

    /// What the values are, with numbers for sizes.
    func specs(of values: [Graph.Value]) -> [TensorSpec] { values.map { tensor($0).spec } }

    /// Bytes that the value takes.
    func bytes(of value: Graph.Value) -> Int { values[value]?.memoryBytes ?? 0 }

    /// How the value lies.
    func layout(of value: Graph.Value) -> Layout { values[value]?.layout ?? .strided }

    /// - Parameters:
    ///   - assignsLayouts: whether steps read values as they lie, where they can; without it each value is read plain.
    ///   - chainsConvolutions: whether convolutions that pass a few pictures on at a time are one step.
    ///   - reusesMemory: whether steps write over what they are the last to read, where they can.
    package init(_ graph: Graph, _ sizes: SymbolSizes, assignsLayouts: Bool = true, chainsConvolutions: Bool = true, reusesMemory: Bool = true) throws(TensorError) {
        self.sizes = sizes
        values = graph.specs.indices.map { graph.constants[$0] }
        for constant in graph.constants.values { note(constant, .constant) }
        for (place, state) in graph.states.enumerated() {
            let memory = try Tensor.placeholder(graph.specs[state.first])
            values[state.first] = memory
            note(memory, .state(place))
        }
        for (place, port) in graph.inputs.enumerated() {
            let spec = graph.specs[port.value]
            let input = try Tensor.placeholder(TensorSpec(spec.shape.resolved(sizes), spec.dtype))
            values[port.value] = input
            note(input, .input(place))
        }
        var layouts = LayoutAssignment(isOn: assignsLayouts)
        for var node in chainsConvolutions ? graph.chained(sizes) : graph.nodes {
            node.primitive = try node.primitive.resolved(sizes)
            do throws(TensorError) {
                for step in try layouts.steps(for: node, values) { try add(step) }
            } catch { throw node.origin.map { error.calledFrom($0) } ?? error }
        }
        for port in graph.outputs {
            guard let memory = memory(of: port.value), case .arena(_, let bytes) = sources[memory] else { continue }
            sources[memory] = .output(bytes: bytes)
        }
        if reusesMemory { reuseMemory() }
        layOut()
        layOutCopies(outputs: graph.outputs.map(\.value))
    }

    private func tensor(_ value: Graph.Value) -> Tensor {
        guard let tensor = values[value] else { preconditionFailure("value \(value) is read before it is made") }
        return tensor
    }

    private mutating func note(_ tensor: Tensor, _ source: Source) {
        guard memories[tensor.memoryIdentity] == nil else { return }
        memories[tensor.memoryIdentity] = sources.count
        sources.append(source)
        lifetimes.append(steps.count...steps.count)
    }

    private mutating func add(_ node: Graph.Node) throws(TensorError) {
        if node.isUpdate {
            let written = type(of: node.primitive).overwrites.map { node.inputs[$0] }
            // What follows reads the same memory.
            for (target, output) in zip(written, node.outputs) { values[output] = tensor(target) }
            append(Step(primitive: node.primitive, inputs: node.inputs, outputs: written, origin: node.origin))
            return
        }
        let inputs = node.inputs.map(tensor)
        let (made, areViews) = try node.primitive.places(inputs, outputs: node.outputs.count - node.residuals, residuals: node.residuals)
        for (value, tensor) in zip(node.outputs, made) {
            largestValue = max(largestValue, tensor.memoryBytes, tensor.count * tensor.dtype.width)
            guard largestValue <= Self.valueLimit else { throw TensorError(.outOfMemory(bytes: largestValue)) }
            if value == values.count { values.append(tensor) } else { values[value] = tensor }
            if !areViews { note(tensor, .arena(offset: 0, bytes: tensor.memoryBytes)) }
        }
        if areViews { return }
        let work = node.primitive.work(inputs.map(\.spec), made.map(\.spec))
        if work > heaviest?.work ?? 0 { heaviest = (type(of: node.primitive).name, work) }
        append(Step(primitive: node.primitive, inputs: node.inputs, outputs: node.outputs, origin: node.origin))
    }

    private mutating func append(_ step: Step) {
        for value in step.inputs + step.outputs {
            guard let memory = memory(of: value) else { continue }
            lifetimes[memory] = min(lifetimes[memory].lowerBound, steps.count)...steps.count
        }
        steps.append(step)
    }

    /// Makes one memory of two where a step may write its output over an input that nothing reads any more.
    private mutating func reuseMemory() {
        var isAbsorbed = [Bool](repeating: false, count: sources.count)
        for (place, step) in steps.enumerated() {
            guard step.outputs.count == 1, let own = memory(of: step.outputs[0]), lifetimes[own].lowerBound == place, let bytes = sources[own].madeBytes,
                let theirs = overwritable(at: place), case .arena(_, let there) = sources[theirs]
            else { continue }
            let both = max(bytes, there)
            if case .output = sources[own] { sources[theirs] = .output(bytes: both) } else { sources[theirs] = .arena(offset: 0, bytes: both) }
            lifetimes[theirs] = lifetimes[theirs].lowerBound...max(place, lifetimes[own].upperBound)
            memories[tensor(step.outputs[0]).memoryIdentity] = theirs
            isAbsorbed[own] = true
        }
        let kept = sources.indices.filter { !isAbsorbed[$0] }
        var numbers = [Int](repeating: 0, count: sources.count)
        for (number, memory) in kept.enumerated() { numbers[memory] = number }
        memories = memories.mapValues { numbers[$0] }
        sources = kept.map { sources[$0] }
        lifetimes = kept.map { lifetimes[$0] }
    }

    /// The memory of an input that ends with this step and may hold its output.
    private func overwritable(at place: Int) -> Int? {
        let step = steps[place], output = tensor(step.outputs[0])
        guard let primitive = step.primitive as? any InPlace else { return nil }
        return step.inputs.lazy.compactMap { input in memory(of: input) }.first { there in
            guard case .arena = sources[there], lifetimes[there].upperBound == place, lifetimes[there].lowerBound < place else { return false }
            return step.inputs.enumerated().allSatisfy { i, input in
                memory(of: input) != there || primitive.overwrites(i, of: step.inputs.count) && output.fits(over: tensor(input))
            }
        }
    }

    /// Gives each memory that isn't given away its place in the arena: the largest first, each as near to the beginning as those that live at the
    /// same time leave room.
    ///
    /// - Source: Pisarchyk and Lee, *Efficient memory management for deep neural net inference*, 2020, section 5.2.
    private mutating func layOut() {
        var pending: [(memory: Int, bytes: Int)] = [], placed: [(memory: Int, range: Range<Int>)] = []
        for (memory, source) in sources.enumerated() {
            if case .arena(_, let bytes) = source { pending.append((memory, (bytes + 63) / 64 * 64)) }
        }
        for (memory, bytes) in pending.sorted(by: { ($1.bytes, $0.memory) < ($0.bytes, $1.memory) }) {
            var offset = 0
            for other in placed where lifetimes[other.memory].overlaps(lifetimes[memory]) {
                if offset + bytes <= other.range.lowerBound { break }
                offset = max(offset, other.range.upperBound)
            }
            let range = offset..<(offset + bytes)
            placed.insert((memory, range), at: placed.firstIndex { $0.range.lowerBound > offset } ?? placed.count)
            sources[memory] = .arena(offset: offset, bytes: bytes)
            arenaBytes = max(arenaBytes, range.upperBound)
        }
    }

    /// Gives small inputs and outputs places behind the arena. Of an input that is an output, too, the run gives away the caller's own memory; where several
    /// outputs lie in one memory they share it, and aren't copied.
    private mutating func layOutCopies(outputs: [Graph.Value]) {
        keptBytes = arenaBytes
        var given: [Int: Int] = [:]
        for value in outputs { if let memory = memory(of: value) { given[memory, default: 0] += 1 } }
        var sizes: [Int: Int] = [:]
        for value in values.indices { if let memory = memory(of: value) { sizes[memory] = max(sizes[memory] ?? 0, bytes(of: value)) } }
        for (memory, source) in sources.enumerated() {
            let bytes: Int
            switch source {
            case .input where given[memory] == nil: bytes = sizes[memory] ?? 0
            case .output(let size) where given[memory] == 1: bytes = size
            case .constant, .state, .input, .output, .arena: continue
            }
            guard bytes <= Self.copiedBytes else { continue }
            copies.append((memory, keptBytes))
            keptBytes += (bytes + 63) / 64 * 64
        }
    }
}
