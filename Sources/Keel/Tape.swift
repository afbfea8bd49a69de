import Synchronization
import KeelKernels

/// A step that a gradient goes back through: what made a tensor, or a variable.
///
/// A graph belongs to the thread that made it, and no access to a node's fields is open while another begins: so the class is
/// unchecked, and so are the fields, whose checks would take longer than the work.
class Node: @unchecked Sendable {
    struct Slot {
        let parent: Node?
        let descriptor: Descriptor
        /// The input itself, where the gradient reads it, and its storage's version then.
        let saved: Tensor?
        let parentOutput: Int32
        let version: UInt32

        @inline(__always) init(_ tensor: Tensor, isSaved: Bool) {
            parent = tensor.node
            descriptor = tensor.descriptor
            saved = isSaved ? tensor : nil
            parentOutput = Int32(tensor.body.output)
            version = tensor.storage.version
        }
    }

    /// Inputs; the first three lie inline.
    @exclusivity(unchecked) fileprivate final var slot0: Slot?, slot1: Slot?, slot2: Slot?
    @exclusivity(unchecked) fileprivate final var slots: [Slot]?
    @exclusivity(unchecked) fileprivate(set) final var inputCount = 0

    /// Whether gradients end here: a `Leaf`. Asking this is cheaper than asking for the class.
    final let isLeaf: Bool
    /// Whether a backward pass took the graph down behind this node.
    @exclusivity(unchecked) fileprivate final var isReleased = false
    /// Whether anything wanted lies behind this node, in the pass that visited it last.
    @exclusivity(unchecked) fileprivate final var isNeeded = false
    /// Whether that pass collects gradients at the variables, and so may leave rows there.
    @exclusivity(unchecked) fileprivate final var isCollecting = false
    @exclusivity(unchecked) fileprivate final var pass: UInt64 = 0
    /// What has arrived for the outputs in the backward pass under way.
    @exclusivity(unchecked) fileprivate final var gradient: Tensor?
    @exclusivity(unchecked) fileprivate final var otherGradients: [Tensor?]?

    @inline(__always) fileprivate init(isLeaf: Bool) { self.isLeaf = isLeaf }

    var name: String { "variable" }

    @inline(__always) fileprivate final func parent(_ i: Int) -> Node? {
        switch i {
        case 0: slot0?.parent
        case 1: slot1?.parent
        case 2: slot2?.parent
        default: slots?[i - 3].parent
        }
    }

    @inline(__always) fileprivate final func parentOutput(_ i: Int) -> Int {
        switch i {
        case 0: Int(slot0?.parentOutput ?? 0)
        case 1: Int(slot1?.parentOutput ?? 0)
        case 2: Int(slot2?.parentOutput ?? 0)
        default: Int(slots?[i - 3].parentOutput ?? 0)
        }
    }

    @inline(__always) fileprivate final func saved(_ i: Int) -> Tensor? {
        switch i {
        case 0: slot0?.saved
        case 1: slot1?.saved
        case 2: slot2?.saved
        default: slots?[i - 3].saved
        }
    }

    @inline(__always) fileprivate final func slot(_ i: Int) -> Slot {
        switch i {
        case 0: if let slot0 { return slot0 }
        case 1: if let slot1 { return slot1 }
        case 2: if let slot2 { return slot2 }
        default: if let slots { return slots[i - 3] }
        }
        preconditionFailure("input \(i) of \(name), whose graph was released")
    }

    fileprivate func runGradient(createsGraph: Bool) throws(TensorError) {}

    /// Output `i`, or residual `i - outputCount`, kept for the gradient.
    fileprivate func keptOutput(_ i: Int) -> Tensor { preconditionFailure("a variable has no outputs") }
    fileprivate var outputCount: Int { 1 }

    fileprivate final func receive(_ value: Tensor, output: Int, createsGraph: Bool) throws(TensorError) {
        if output == 0 {
            guard gradient != nil else {
                gradient = value
                return
            }
            try Self.add(value, to: &gradient, createsGraph: createsGraph)
        } else {
            var others = otherGradients ?? []
            otherGradients = nil
            while others.count < output { others.append(nil) }
            try Self.add(value, to: &others[output - 1], createsGraph: createsGraph)
            otherGradients = others
        }
    }

    @inline(__always) fileprivate final func forgetGradients() {
        gradient = nil
        otherGradients = nil
    }

    private static func add(_ value: Tensor, to sum: inout Tensor?, createsGraph: Bool) throws(TensorError) {
        guard let present = sum else {
            sum = value
            return
        }
        if !createsGraph, present.dtype == .float32, present.storage.place.isCPU, present.descriptor.liesLike(value.descriptor) {
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
        slots = nil
    }

    deinit {
        // A chain of a million nodes must not be a million calls deep: the last owner of a parent hands it to a list.
        guard inputCount > 0 else { return }
        let state = ThreadState.current
        Self.hand(&slot0, to: state)
        Self.hand(&slot1, to: state)
        Self.hand(&slot2, to: state)
        for slot in slots ?? [] { if let parent = slot.parent, !parent.isLeaf { state.doomed.append(parent) } }
        guard !state.isReleasing else { return }
        state.isReleasing = true
        while let last = state.doomed.popLast() { _ = consume last }
        state.isReleasing = false
    }

    @inline(__always) private static func hand(_ slot: inout Slot?, to state: ThreadState) {
        guard let parent = slot?.parent else { return }
        if !parent.isLeaf { state.doomed.append(parent) }
        slot = nil
    }
}

/// A variable: where gradients end.
final class Leaf: Node, @unchecked Sendable {
    let parameterName: String?
    /// The sum of the gradients of all passes since it was cleared.
    var total: Tensor?
    /// Flat memory for `total`, where a store provides it.
    var destination: Tensor?
    /// Whether gradients of rows stay rows; and those that arrived since they were cleared.
    var isTable = false
    var rows: [RowGradient] = []

    init(name: String?) {
        parameterName = name
        super.init(isLeaf: true)
    }

    override var name: String { parameterName ?? "variable" }
}

/// A primitive that ran.
final class PrimitiveNode<P: Primitive>: Node, @unchecked Sendable {
    let primitive: P
    /// Outputs and residuals that the gradient reads.
    @exclusivity(unchecked) private final var onlyOutput: Tensor?
    @exclusivity(unchecked) private final var kept: [Tensor?]?
    @exclusivity(unchecked) private final var count = 1

    override var name: String { P.name }
    fileprivate override var outputCount: Int { count }

    @inline(__always) init(_ primitive: P, _ a: Tensor) {
        self.primitive = primitive
        super.init(isLeaf: false)
        slot0 = Slot(a, isSaved: P.gradientReads.contains(.input(0)))
        inputCount = 1
    }

    @inline(__always) init(_ primitive: P, _ a: Tensor, _ b: Tensor) {
        self.primitive = primitive
        super.init(isLeaf: false)
        slot0 = Slot(a, isSaved: P.gradientReads.contains(.input(0)))
        slot1 = Slot(b, isSaved: P.gradientReads.contains(.input(1)))
        inputCount = 2
    }

    init(_ primitive: P, _ inputs: Operands) {
        self.primitive = primitive
        super.init(isLeaf: false)
        inputCount = inputs.count
        var others: [Slot] = []
        for i in 0..<inputs.count {
            let slot = Slot(inputs[i], isSaved: P.gradientReads.contains(.input(i)))
            switch i {
            case 0: slot0 = slot
            case 1: slot1 = slot
            case 2: slot2 = slot
            default: others.append(slot)
            }
        }
        if !others.isEmpty { slots = others }
    }

    /// Keeps the only output, which has no node yet: with its node, it would keep itself alive.
    @inline(__always) func keep(output: Tensor) { onlyOutput = output }

    func keep(outputs: [Tensor], count: Int, _ reads: Reads) {
        self.count = count
        guard reads.readsOutputs else { return }
        kept = outputs.indices.map { i in
            reads.contains(i < count ? .output(i) : .residual(i - count)) ? outputs[i].detached() : nil
        }
    }

    fileprivate override func keptOutput(_ i: Int) -> Tensor {
        guard let tensor = kept == nil ? onlyOutput : kept?[i] else {
            preconditionFailure("\(P.name) reads output \(i), which its gradientReads doesn't list")
        }
        return i < count ? Tensor(tensor.storage, tensor.descriptor, node: self, output: i) : tensor
    }

    fileprivate override func runGradient(createsGraph: Bool) throws(TensorError) {
        if P.gradientReads.readsInputs {
            for i in 0..<inputCount {
                if let saved = saved(i), saved.storage.version != slot(i).version {
                    throw TensorError(.changedInPlace(primitive: P.name, input: i))
                }
            }
        }
        let context = GradientContext(node: self, createsGraph: createsGraph)
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
            guard let saved = saved(i) else { return nil }
            inputs.append(saved.node == nil ? saved : try apply(Identity(), saved))
        }
        return inputs
    }

    fileprivate override func release() {
        super.release()
        onlyOutput = nil
        kept = nil
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

    /// Whether anything wants the gradient of input `i`.
    public func wants(_ i: Int) -> Bool { i < node.inputCount && node.parent(i)?.isNeeded == true }

    public var inputCount: Int { node.inputCount }

    /// Input `i`, which `gradientReads` lists.
    public func input(_ i: Int) -> Tensor {
        guard let saved = node.saved(i) else { preconditionFailure("\(node.name) reads input \(i), which its gradientReads doesn't list") }
        return saved
    }

    public func shape(_ i: Int) -> Shape { node.slot(i).descriptor.shape }

    /// Output `i`, or residual `i - outputs`, which `gradientReads` lists.
    public func output(_ i: Int) -> Tensor { node.keptOutput(i) }
    public func residual(_ i: Int) -> Tensor { node.keptOutput(node.outputCount + i) }

    /// The gradient of a primitive's only output.
    public var outputGradient: Tensor {
        guard let gradient = node.gradient else { preconditionFailure("\(node.name) is asked for gradients without having one") }
        return gradient
    }

    /// The gradient of output `i`, or nil where nothing depends on that output.
    public func gradientOfOutput(_ i: Int) -> Tensor? {
        node.gradient(ofOutput: i)
    }

    /// Whether the gradient of input `i` may be given as rows of it: so it is where the input is a table, in a backward pass.
    func takesRows(_ i: Int) -> Bool {
        guard !createsGraph, let leaf = node.parent(i) as? Leaf else { return false }
        return leaf.isTable && leaf.isNeeded && leaf.isCollecting
    }

    /// Gives the gradient of input `i`, which takes rows, as what is to be added to its rows at `indices`.
    func setRows(_ i: Int, _ rows: RowGradient) {
        guard let leaf = node.parent(i) as? Leaf else { return }
        leaf.rows.append(rows)
    }

    /// Gives the gradient of input `i`.
    public func set(_ i: Int, _ gradient: Tensor) throws(TensorError) {
        guard let parent = node.parent(i), parent.isNeeded else { return }
        assert(gradient.shape == shape(i), "\(node.name): gradient \(i) is \(gradient.shape), input \(shape(i))")
        try parent.receive(gradient, output: node.parentOutput(i), createsGraph: createsGraph)
    }

    /// Gives the gradient of input `i` from one in the output's shape: its sum over the axes along which the input was stretched.
    func setSummed(_ i: Int, _ gradient: Tensor) throws(TensorError) {
        let descriptor = node.slot(i).descriptor
        try set(i, descriptor === gradient.descriptor ? gradient : gradient.summed(to: descriptor.spec.shape))
    }
}

extension Node {
    fileprivate final func gradient(ofOutput i: Int) -> Tensor? {
        if i == 0 { return gradient }
        guard let otherGradients, i - 1 < otherGradients.count else { return nil }
        return otherGradients[i - 1]
    }
}

/// Counts backward passes, so that nodes need no clearing between them.
private let passes = PassCounter()

/// Goes back from `seeds` (tensors and their gradients) to the variables, and hands each needed node to its gradient.
///
/// - Parameters:
///   - stopsThere: go no further back than to what is wanted.
///   - isWanted: nil for every variable; else which nodes' gradients are asked for.
///   - reached: is told of each wanted node when its gradients are complete.
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
        while let top = stack.indices.last {
            let (node, next) = stack[top]
            guard !node.isReleased else { throw TensorError(.graphReleased(primitive: node.name)) }
            let isEnd = stopsThere && isWanted?(node) == true
            var place = isEnd ? node.inputCount : next
            while place < node.inputCount {
                if let parent = node.parent(place), parent.pass != pass {
                    parent.pass = pass
                    stack[top].next = place + 1
                    stack.append((parent, 0))
                    break
                }
                place += 1
            }
            guard place == node.inputCount else { continue }
            stack.removeLast()
            var isNeeded = isWanted?(node) ?? node.isLeaf
            var i = 0
            while !isNeeded, i < node.inputCount {
                isNeeded = node.parent(i)?.isNeeded == true
                i += 1
            }
            node.isNeeded = isNeeded
            node.isCollecting = isWanted == nil
            node.forgetGradients()
            order.append(node)
        }
    }
    defer { for node in order { node.forgetGradients() } }
    for (tensor, seed) in seeds {
        if let node = tensor.node { try node.receive(seed, output: tensor.body.output, createsGraph: createsGraph) }
    }
    let state = ThreadState.current
    let before = state.recordingIsOff
    state.recordingIsOff = createsGraph ? 0 : before + 1
    defer { state.recordingIsOff = before }
    while let node = order.popLast() {
        defer { node.forgetGradients() }
        if node.isNeeded, node.gradient != nil || node.otherGradients != nil {
            if isWanted == nil ? node.isLeaf : isWanted?(node) == true { try reached(node) }
            if !node.isLeaf, !(stopsThere && isWanted?(node) == true) { try node.runGradient(createsGraph: createsGraph) }
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
                found[place] = node.gradient(ofOutput: variables[place].body.output)
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

    /// The rows that `backward` has found for this table; see `table`.
    public var rowGradients: [RowGradient] { (node as? Leaf)?.rows ?? [] }

    /// Forgets what `backward` has added up.
    public func clearGradient() {
        guard let leaf = node as? Leaf else { return }
        leaf.total = nil
        leaf.rows.removeAll(keepingCapacity: true)
    }

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

    /// This tensor as a variable whose rows are looked up: what `gathered` finds along its first axis stays rows and values in `rowGradients`
    /// and is never spread over a table of zeros. Other gradients, and those that `gradients(of:)` gives, are dense.
    public func table(named name: String? = nil) -> Tensor {
        let leaf = Leaf(name: name)
        leaf.isTable = true
        return Tensor(storage, descriptor, node: leaf)
    }
}

/// A gradient of some rows of a table: `values [n, ...]` is to be added at `indices [n]`. A row may be there more than once.
public struct RowGradient: Sendable {
    public let indices, values: Tensor
}
