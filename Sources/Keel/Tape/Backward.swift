import Synchronization

/// Counts backward passes, so that nodes need no clearing between them.
private let passes = PassCounter()

/// Goes back from `seeds` (tensors and their gradients) to the variables, and hands each needed node to its gradient.
///
/// - Parameters:
///   - stopsThere: go no further back than to what is wanted.
///   - collects: whether tables take rows; so they do where gradients are collected at the variables.
///   - isWanted: nil for every variable; else which nodes' gradients are asked for.
///   - reached: is told of each wanted node when its gradients are complete.
func goBack(
    from seeds: [(Tensor, Tensor)], createsGraph: Bool, keepsGraph: Bool, stopsThere: Bool = false, collects: Bool = false,
    isWanted: ((Node) -> Bool)?, reached: (Node) throws(TensorError) -> Void
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
            node.isCollecting = collects
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
            if !node.isLeaf, !(stopsThere && isWanted?(node) == true) {
                state.gradientsRunning += 1
                defer { state.gradientsRunning -= 1 }
                try node.runGradient(createsGraph: createsGraph)
            }
        }
        if !keepsGraph { node.release() }
    }
}

private final class PassCounter: Sendable {
    private let count = Atomic<UInt64>(0)
    func next() -> UInt64 { count.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// An output of a node.
struct Source {
    let node: Node
    let output: Int

    init(_ node: Node, _ output: Int) {
        self.node = node
        self.output = output
    }

    init?(_ tensor: Tensor) {
        guard let node = tensor.node else { return nil }
        self.init(node, tensor.body.output)
    }
}

func gradients(
    of seeds: [(Tensor, Tensor)], withRespectTo variables: [Source?], createsGraph: Bool, stopsThere: Bool = false, collects: Bool = false
) throws(TensorError) -> [Tensor?] {
    var places: [ObjectIdentifier: [Int]] = [:]
    for (i, variable) in variables.enumerated() {
        if let variable { places[ObjectIdentifier(variable.node), default: []].append(i) }
    }
    var found = [Tensor?](repeating: nil, count: variables.count)
    try goBack(
        from: seeds, createsGraph: createsGraph, keepsGraph: true, stopsThere: stopsThere, collects: collects,
        isWanted: { places[ObjectIdentifier($0)] != nil },
        reached: { node throws(TensorError) in
            for place in places[ObjectIdentifier(node)] ?? [] {
                found[place] = variables[place].flatMap { node.gradient(ofOutput: $0.output) }
            }
        })
    return found
}

extension Tensor {
    /// The gradients of this tensor with respect to `variables`, in their order; zeros where it doesn't depend on one.
    ///
    /// - Parameters:
    ///   - seed: the gradient of this tensor, cast to its kind; needed unless it has one element.
    ///   - createsGraph: record the gradients too, so that they can be differentiated in turn.
    ///   - keepsGraph: leave the graph intact for another pass.
    /// - Throws: `TensorError.noGradient` where this tensor, or one of the variables, has no graph.
    public func gradients(
        of variables: [Tensor], seed: Tensor? = nil, createsGraph: Bool = false, keepsGraph: Bool = false
    ) throws(TensorError) -> [Tensor] {
        guard node != nil else { throw TensorError(.noGradient("the result")) }
        for variable in variables where variable.node == nil { throw TensorError(.noGradient("a variable")) }
        let found = try Keel.gradients(of: [(self, try checkedSeed(seed))], withRespectTo: variables.map(Source.init), createsGraph: createsGraph)
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
            from: [(self, try checkedSeed(seed))], createsGraph: false, keepsGraph: keepsGraph, collects: true, isWanted: nil,
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
    public internal(set) var rowGradients: [RowGradient] {
        get { (node as? Leaf)?.rows ?? [] }
        nonmutating set { (node as? Leaf)?.rows = newValue }
    }

    /// Forgets what `backward` has added up.
    public func clearGradient() {
        guard let leaf = node as? Leaf else { return }
        leaf.total = nil
        leaf.rows.removeAll(keepingCapacity: true)
    }

    private func checkedSeed(_ seed: Tensor?) throws(TensorError) -> Tensor {
        if let seed {
            guard seed.shape == shape else { throw .shape(primitive: "backward", expected: "a seed of \(shape)", seed.shape) }
            return try seed.cast(to: dtype)
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
