/// A primitive that ran.
final class PrimitiveNode<P: Primitive>: Node, @unchecked Sendable {
    let primitive: P
    /// Outputs and residuals that the gradient reads.
    @exclusivity(unchecked) final var onlyOutput: Tensor?
    @exclusivity(unchecked) final var kept: [Tensor?]?
    @exclusivity(unchecked) final var count = 1

    override var name: String { P.name }
    override var outputCount: Int { count }

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

    @_semantics("optimize.sil.specialize.generic.never")
    @inline(never)
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

    @_semantics("optimize.sil.specialize.generic.never")
    @inline(never)
    func keep(outputs: [Tensor], count: Int, _ reads: Reads) {
        self.count = count
        guard reads.readsOutputs else { return }
        kept = outputs.indices.map { i in
            reads.contains(i < count ? .output(i) : .residual(i - count)) ? outputs[i].detached() : nil
        }
    }

    override func keptOutput(_ i: Int) -> Tensor {
        guard let tensor = kept == nil ? onlyOutput : kept?[i] else {
            preconditionFailure("\(P.name) reads output \(i), which its gradientReads doesn't list")
        }
        return i < count && tensor.node == nil ? Tensor(tensor.storage, tensor.descriptor, node: self, output: i) : tensor
    }

    override func runGradient(createsGraph: Bool) throws(TensorError) {
        if P.gradientReads.readsInputs { try checkInputsAreUnchanged() }
        let context = GradientContext(node: self, createsGraph: createsGraph)
        if createsGraph, try runDecomposed(context) { return }
        try primitive.gradient(context)
    }

    /// The gradient of second order and beyond: through the simpler primitives, if it has a decomposition.
    @_semantics("optimize.sil.specialize.generic.never")
    @inline(never)
    private func runDecomposed(_ context: borrowing GradientContext) throws(TensorError) -> Bool {
        guard let inputs = try standIns(), let outputs = try primitive.decomposed(inputs) else { return false }
        var seeds: [(Tensor, Tensor)] = []
        for (i, output) in outputs.enumerated() {
            if let dy = context.gradientOfOutput(i) { seeds.append((output, dy)) }
        }
        let wanted = (0..<inputCount).filter { context.wants($0) }
        let found = try gradients(of: seeds, withRespectTo: wanted.map { Source(inputs[$0]) }, createsGraph: true, stopsThere: true)
        for (i, gradient) in zip(wanted, found) where gradient != nil { try context.set(i, gradient!) }
        return true
    }

    override func tangents(_ inputs: [Tensor?]) throws(TensorError) -> [Tensor?] { try forwardTangents(inputs) }

    override func release() {
        super.release()
        onlyOutput = nil
        kept = nil
        inputCount = 0
        isReleased = true
    }
}

extension Node {
    fileprivate final func checkInputsAreUnchanged() throws(TensorError) {
        for i in 0..<inputCount {
            if let saved = saved(i), saved.storage.version != slot(i).version { throw TensorError(.changedInPlace(primitive: name, input: i)) }
        }
    }

    /// The kept inputs, each behind an identity, at which an inner pass through the decomposition stops: so it leaves alone what
    /// the outer pass notes on the nodes further back, and derivatives of second order still find their way there.
    fileprivate final func standIns() throws(TensorError) -> [Tensor]? {
        var inputs: [Tensor] = []
        for i in 0..<inputCount {
            guard let saved = saved(i) else { return nil }
            inputs.append(saved.node == nil ? saved : try apply(Identity(), saved))
        }
        return inputs
    }
}
