import Synchronization
import KeelKernels

/// A step that a gradient goes back through: what made a tensor, or a variable.
///
/// A graph belongs to the thread that made it. Unchecked because of that.
class Node: @unchecked Sendable {
    struct Slot {
        var parent: Node?
        var parentOutput: Int
        var descriptor: Descriptor
        /// The input itself, where the gradient reads it, and its storage's version then.
        var saved: Tensor?
        var version: UInt32
    }

    /// Inputs; the first three lie inline.
    fileprivate(set) var slot0: Slot?, slot1: Slot?, slot2: Slot?
    fileprivate(set) var slots: [Slot] = []
    fileprivate(set) var inputCount = 0

    /// Whether a backward pass took the graph down behind this node.
    fileprivate var isReleased = false
    /// What has arrived for the outputs in the backward pass under way.
    fileprivate var gradient: Tensor?
    fileprivate var otherGradients: [Tensor?] = []
    /// The pass that visited this node last, and whether anything wanted lies behind it.
    fileprivate var pass: UInt64 = 0
    fileprivate var isNeeded = false

    var name: String { "variable" }

    @inline(__always) fileprivate func slot(_ i: Int) -> Slot {
        switch i {
        case 0: slot0!
        case 1: slot1!
        case 2: slot2!
        default: slots[i - 3]
        }
    }

    @inline(__always) fileprivate func parent(_ i: Int) -> Node? {
        switch i {
        case 0: slot0?.parent
        case 1: slot1?.parent
        case 2: slot2?.parent
        default: slots[i - 3].parent
        }
    }

    fileprivate func runGradient(createsGraph: Bool) throws(TensorError) {}

    fileprivate func receive(_ value: Tensor, output: Int, createsGraph: Bool) throws(TensorError) {
        if output == 0 {
            try Self.add(value, to: &gradient, createsGraph: createsGraph)
        } else {
            while otherGradients.count < output { otherGradients.append(nil) }
            try Self.add(value, to: &otherGradients[output - 1], createsGraph: createsGraph)
        }
    }

    private static func add(_ value: Tensor, to sum: inout Tensor?, createsGraph: Bool) throws(TensorError) {
        guard let present = sum else {
            sum = value
            return
        }
        if !createsGraph, present.dtype == .float32, present.device === CPU.shared, present.descriptor.isDense,
            value.descriptor.isDense, present.shape == value.shape
        {
            // The sum so far is nobody else's: add in place.
            sum = nil
            var own = present
            if isKnownUniquelyReferenced(&own.body), isKnownUniquelyReferenced(&own.body.storage) {
                keel_accumulate_f32(Int64(own.count), own.pointer(Float.self), value.pointer(Float.self))
                sum = own
                return
            }
        }
        sum = try present + value
    }

    /// Drops what the node holds, so that the memory goes as soon as the pass is through with it.
    fileprivate func release() {
        slot0 = nil
        slot1 = nil
        slot2 = nil
        slots = []
    }

    deinit {
        // A chain of a million nodes must not be a million calls deep: the last owner of a parent hands it to a list.
        guard inputCount > 0 else { return }
        let state = ThreadState.current
        Self.hand(&slot0, to: state)
        Self.hand(&slot1, to: state)
        Self.hand(&slot2, to: state)
        for i in slots.indices { Self.hand(&slots[i], to: state) }
        guard !state.isReleasing else { return }
        state.isReleasing = true
        while let last = state.doomed.popLast() { _ = consume last }
        state.isReleasing = false
    }

    @inline(__always) private static func hand(_ slot: inout Slot?, to state: ThreadState) {
        guard let parent = slot?.parent else { return }
        if !(parent is Leaf) { state.doomed.append(parent) }
        slot = nil
    }

    private static func hand(_ slot: inout Slot, to state: ThreadState) {
        guard let parent = slot.parent else { return }
        if !(parent is Leaf) { state.doomed.append(parent) }
        slot.parent = nil
        slot.saved = nil
    }
}

/// A variable: where gradients end.
final class Leaf: Node, @unchecked Sendable {
    let parameterName: String?
    /// The sum of the gradients of all passes since it was cleared.
    var total: Tensor?
    /// Flat memory for `total`, where a store provides it.
    var destination: Tensor?

    init(name: String?) { parameterName = name }

    override var name: String { parameterName ?? "variable" }
}

/// A primitive that ran.
final class PrimitiveNode<P: Primitive>: Node, @unchecked Sendable {
    let primitive: P
    /// Outputs and residuals that the gradient reads.
    private var keptOutput: Tensor?
    private var kept: [Tensor?] = []
    private var outputCount = 1

    override var name: String { P.name }

    @inline(__always) init(_ primitive: P, _ inputs: Operands) {
        self.primitive = primitive
        super.init()
        inputCount = inputs.count
        for i in 0..<inputs.count {
            let tensor = inputs[i]
            let reads = P.gradientReads.contains(.input(i))
            let slot = Slot(
                parent: tensor.node, parentOutput: tensor.body.output, descriptor: tensor.descriptor,
                saved: reads ? tensor : nil, version: tensor.storage.version)
            switch i {
            case 0: slot0 = slot
            case 1: slot1 = slot
            case 2: slot2 = slot
            default: slots.append(slot)
            }
        }
    }

    /// Keeps the only output. It is kept without its node, or it would keep itself alive.
    @inline(__always) func keep(output: Tensor, _ reads: Reads) { keptOutput = output.detached() }

    func keep(outputs: [Tensor], count: Int, _ reads: Reads) {
        outputCount = count
        guard reads.readsOutputs else { return }
        kept = outputs.indices.map { i in
            reads.contains(i < count ? .output(i) : .residual(i - count)) ? outputs[i].detached() : nil
        }
    }

    fileprivate func keptOutput(_ i: Int) -> Tensor {
        guard let tensor = kept.isEmpty ? keptOutput : kept[i] else {
            preconditionFailure("\(P.name) reads output \(i), which its gradientReads doesn't list")
        }
        return i < outputCount ? Tensor(tensor.storage, tensor.descriptor, node: self, output: i) : tensor
    }

    fileprivate override func runGradient(createsGraph: Bool) throws(TensorError) {
        for i in 0..<inputCount {
            let slot = slot(i)
            if let saved = slot.saved, saved.storage.version != slot.version {
                throw TensorError(.changedInPlace(primitive: P.name, input: i))
            }
        }
        let context = GradientContext(node: self, createsGraph: createsGraph, outputs: { self.keptOutput($0) }, outputCount: outputCount)
        if createsGraph, let inputs = try standIns(), let outputs = try primitive.decomposed(inputs) {
            var seeds: [(Tensor, Tensor)] = []
            for (i, output) in outputs.enumerated() {
                if let dy = context.gradientOfOutput(i) { seeds.append((output, dy)) }
            }
            let wanted = (0..<inputCount).filter { context.wants($0) }
            let found = try gradients(of: seeds, withRespectTo: wanted.map { inputs[$0] }, createsGraph: true, stopsThere: true)
            for (i, gradient) in zip(wanted, found) where gradient != nil { try context.set(i, gradient!) }
            return
        }
        try primitive.gradient(context)
    }

    /// The kept inputs, each behind an identity, at which an inner pass through the decomposition stops: so it leaves alone what
    /// the outer pass notes on the nodes further back, and derivatives of second order still find their way there.
    private func standIns() throws(TensorError) -> [Tensor]? {
        var inputs: [Tensor] = []
        for i in 0..<inputCount {
            guard let saved = slot(i).saved else { return nil }
            inputs.append(saved.node == nil ? saved : try apply(Identity(), saved))
        }
        return inputs
    }

    fileprivate override func release() {
        super.release()
        keptOutput = nil
        kept = []
        inputCount = 0
        isReleased = true
    }
}

/// What a gradient sees: the inputs, outputs and residuals that it reads, and the outputs' gradients; and where it puts what it
/// finds.
public struct GradientContext: ~Copyable {
    fileprivate let node: Node
    /// Whether the gradient itself is being recorded, for derivatives of higher order.
    public let createsGraph: Bool
    fileprivate let outputs: (Int) -> Tensor
    fileprivate let outputCount: Int

    /// Whether anything wants the gradient of input `i`.
    public func wants(_ i: Int) -> Bool { i < node.inputCount && node.parent(i)?.isNeeded == true }

    public var inputCount: Int { node.inputCount }

    /// Input `i`, which `gradientReads` lists.
    public func input(_ i: Int) -> Tensor {
        guard let saved = node.slot(i).saved else { preconditionFailure("\(node.name) reads input \(i), which its gradientReads doesn't list") }
        return saved
    }

    public func shape(_ i: Int) -> Shape { node.slot(i).descriptor.shape }

    /// Output `i`, or residual `i - outputs`, which `gradientReads` lists.
    public func output(_ i: Int) -> Tensor { outputs(i) }
    public func residual(_ i: Int) -> Tensor { outputs(outputCount + i) }

    /// The gradient of a primitive's only output.
    public var outputGradient: Tensor {
        guard let gradient = node.gradient else { preconditionFailure("\(node.name) is asked for gradients without having one") }
        return gradient
    }

    /// The gradient of output `i`, or nil where nothing depends on that output.
    public func gradientOfOutput(_ i: Int) -> Tensor? {
        i == 0 ? node.gradient : i - 1 < node.otherGradients.count ? node.otherGradients[i - 1] : nil
    }

    /// Gives the gradient of input `i`.
    public func set(_ i: Int, _ gradient: Tensor) throws(TensorError) {
        let slot = node.slot(i)
        guard let parent = slot.parent, parent.isNeeded else { return }
        assert(gradient.shape == slot.descriptor.shape, "\(node.name): gradient \(i) is \(gradient.shape), input \(slot.descriptor.shape)")
        try parent.receive(gradient, output: slot.parentOutput, createsGraph: createsGraph)
    }
}

/// Counts backward passes, so that nodes need no clearing between them.
private let passes = PassCounter()

/// Goes back from `seeds` (tensors and their gradients) to the variables, and hands each needed node to its gradient.
///
/// - Parameters:
///   - stopsThere: go no further back than to what is wanted.
///   - isWanted: nil for every variable; else which nodes' gradients are asked for.
private func goBack(
    from seeds: [(Tensor, Tensor)], createsGraph: Bool, keepsGraph: Bool, stopsThere: Bool = false, isWanted: ((Node) -> Bool)?,
    reached: (Node) throws(TensorError) -> Void
) throws(TensorError) {
    let pass = passes.next()
    // Depth first with a stack of our own; a node comes after all that it depends on.
    var order: [Node] = []
    var stack: [(node: Node, next: Int)] = []
    for (tensor, _) in seeds {
        guard let root = tensor.node, root.pass != pass else { continue }
        root.pass = pass
        stack.append((root, 0))
        while let (node, next) = stack.last {
            guard !node.isReleased else { throw TensorError(.graphReleased(primitive: node.name)) }
            if next == node.inputCount || stopsThere && isWanted?(node) == true {
                stack.removeLast()
                var isNeeded = isWanted?(node) ?? (node is Leaf)
                if !isNeeded {
                    for i in 0..<node.inputCount where node.parent(i)?.isNeeded == true { isNeeded = true }
                }
                node.isNeeded = isNeeded
                node.gradient = nil
                node.otherGradients = []
                order.append(node)
            } else {
                stack[stack.count - 1].next += 1
                if let parent = node.parent(next), parent.pass != pass {
                    parent.pass = pass
                    stack.append((parent, 0))
                }
            }
        }
    }
    defer {
        for node in order {
            node.gradient = nil
            node.otherGradients = []
        }
    }
    for (tensor, seed) in seeds {
        if let node = tensor.node { try node.receive(seed, output: tensor.body.output, createsGraph: createsGraph) }
    }
    let state = ThreadState.current
    let before = state.recordingIsOff
    state.recordingIsOff = createsGraph ? 0 : before + 1
    defer { state.recordingIsOff = before }
    while let node = order.popLast() {
        defer {
            node.gradient = nil
            node.otherGradients = []
        }
        let hasGradient = node.gradient != nil || !node.otherGradients.isEmpty
        if hasGradient, node.isNeeded {
            try reached(node)
            if !(stopsThere && isWanted?(node) == true) { try node.runGradient(createsGraph: createsGraph) }
        }
        if !keepsGraph { node.release() }
    }
}

private final class PassCounter: Sendable {
    private let count = Atomic<UInt64>(0)
    func next() -> UInt64 { count.wrappingAdd(1, ordering: .relaxed).newValue }
}

private func gradients(
    of seeds: [(Tensor, Tensor)], withRespectTo variables: [Tensor], createsGraph: Bool, stopsThere: Bool = false
) throws(TensorError) -> [Tensor?] {
    var places: [ObjectIdentifier: [Int]] = [:]
    for (i, variable) in variables.enumerated() {
        guard let node = variable.node else { continue }
        places[ObjectIdentifier(node), default: []].append(i)
    }
    var found = [Tensor?](repeating: nil, count: variables.count)
    try goBack(
        from: seeds, createsGraph: createsGraph, keepsGraph: true, stopsThere: stopsThere, isWanted: { places[ObjectIdentifier($0)] != nil },
        reached: { node throws(TensorError) in
            for place in places[ObjectIdentifier(node)] ?? [] {
                let output = variables[place].body.output
                found[place] = output == 0 ? node.gradient : output - 1 < node.otherGradients.count ? node.otherGradients[output - 1] : nil
            }
        })
    return found
}

extension Tensor {
    /// The gradients of this tensor with respect to `variables`, in their order; zeros where it doesn't depend on one.
    ///
    /// - Parameters:
    ///   - seed: the gradient of this tensor; needed unless it has one element.
    ///   - createsGraph: record the gradients too, so that they can be differentiated in turn.
    ///   - keepsGraph: leave the graph intact for another pass.
    /// - Throws: `TensorError.noGradient` where this tensor, or one of the variables, has no graph.
    public func gradients(
        of variables: [Tensor], seed: Tensor? = nil, createsGraph: Bool = false, keepsGraph: Bool = false
    ) throws(TensorError) -> [Tensor] {
        guard node != nil else { throw TensorError(.noGradient("the result")) }
        for variable in variables where variable.node == nil { throw TensorError(.noGradient("a variable")) }
        let found = try Keel.gradients(of: [(self, try checkedSeed(seed))], withRespectTo: variables, createsGraph: createsGraph)
        if !createsGraph, !keepsGraph { releaseGraph() }
        var result: [Tensor] = []
        for (i, variable) in variables.enumerated() {
            if let gradient = found[i] {
                result.append(gradient)
            } else {
                result.append(try Tensor.zeros(variable.shape, variable.dtype, on: variable.device))
            }
        }
        return result
    }

    /// Adds the gradient of this tensor to the `gradient` of every variable that it depends on, and releases the graph.
    ///
    /// - Throws: `TensorError.noGradient`; `TensorError.graphReleased` on a second call, unless the first kept the graph;
    ///   `TensorError.changedInPlace` where a tensor that a gradient reads was overwritten meanwhile.
    public func backward(seed: Tensor? = nil, keepsGraph: Bool = false) throws(TensorError) {
        guard node != nil else { throw TensorError(.noGradient("the result")) }
        try goBack(
            from: [(self, try checkedSeed(seed))], createsGraph: false, keepsGraph: keepsGraph, isWanted: nil,
            reached: { node throws(TensorError) in
                guard let leaf = node as? Leaf, let gradient = node.gradient else { return }
                if let destination = leaf.destination {
                    try update(Accumulate(), [destination, gradient])
                    leaf.total = destination
                } else if let total = leaf.total {
                    leaf.total = try total + gradient
                } else {
                    leaf.total = gradient
                }
            })
    }

    /// What `backward` has added up for this variable; nil before the first pass, and for what isn't a variable.
    public var gradient: Tensor? { (node as? Leaf)?.total }

    /// Forgets what `backward` has added up.
    public func clearGradient() { (node as? Leaf)?.total = nil }

    private func checkedSeed(_ seed: Tensor?) throws(TensorError) -> Tensor {
        if let seed {
            guard seed.shape == shape else { throw .shape(primitive: "backward", expected: "a seed of \(shape)", seed.shape) }
            return seed
        }
        guard count == 1 else { throw TensorError(.notScalar(shape)) }
        return try Tensor.ones(shape, dtype, on: device)
    }

    private func releaseGraph() {
        guard let node else { return }
        var stack = [node]
        while let node = stack.popLast() {
            for i in 0..<node.inputCount { if let parent = node.parent(i) { stack.append(parent) } }
            node.release()
        }
    }
}

extension Tensor {
    /// This tensor as a parameter whose gradients `backward` adds to `gradient`, which may be a part of flat memory.
    public func parameter(named name: String, gradient: Tensor) -> Tensor {
        let leaf = Leaf(name: name)
        leaf.destination = gradient
        leaf.total = gradient
        return Tensor(storage, descriptor, node: leaf)
    }
}
