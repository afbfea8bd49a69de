/// What a gradient sees: the inputs, outputs and residuals that it reads, and the outputs' gradients; and where it puts what it
/// finds.
public struct GradientContext: ~Copyable {
    let node: Node
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
    public func dtype(_ i: Int) -> DType { node.slot(i).descriptor.dtype }

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
        if Watch.isOn { try Anomaly.check(gradient, of: node) }
        try parent.receive(gradient, output: node.parentOutput(i), createsGraph: createsGraph)
    }

    /// Gives the gradient of input `i` from one in the output's shape: its sum over the axes along which the input was stretched.
    func setSummed(_ i: Int, _ gradient: Tensor) throws(TensorError) {
        let descriptor = node.slot(i).descriptor
        try set(i, descriptor === gradient.descriptor ? gradient : gradient.summed(to: descriptor.spec.shape))
    }
}
