extension Tensor {
    /// The same numbers, whose gradient goes through `hook` on its way back: to be looked at, scaled, clipped. What it returns takes the
    /// gradient's place. It runs once in each backward pass that reaches this tensor, with the sum of all that arrives here.
    ///
    /// ```swift
    /// let hidden = try encoder(x, in: context).withGradientHook { gradient throws(TensorError) in try gradient.clipped(from: -1, to: 1) }
    /// ```
    ///
    /// A tensor that no gradient is asked of is returned as it is.
    ///
    /// - Throws: what `hook` throws, when the pass reaches it; `TensorError.shape` where it returns another shape or dtype.
    public func withGradientHook(_ hook: @escaping (Tensor) throws(TensorError) -> Tensor) -> Tensor {
        guard node != nil, ThreadState.current.recordingIsOff == 0 else { return self }
        return Tensor(storage, descriptor, node: HookNode(self, hook))
    }
}

/// Where a gradient goes through a function of the user's.
private final class HookNode: Node, @unchecked Sendable {
    private let hook: (Tensor) throws(TensorError) -> Tensor

    init(_ tensor: Tensor, _ hook: @escaping (Tensor) throws(TensorError) -> Tensor) {
        self.hook = hook
        super.init(isLeaf: false)
        slot0 = Slot(tensor, isSaved: false)
        inputCount = 1
        if Watch.isOn { Watch.made(self) }
    }

    override var name: String { "gradient hook" }

    override func runGradient(createsGraph: Bool) throws(TensorError) {
        guard let gradient else { return }
        let context = GradientContext(node: self, createsGraph: createsGraph), changed = try hook(gradient)
        guard changed.spec == gradient.spec else { throw .shape(primitive: name, expected: "\(gradient.spec)", changed.shape) }
        try context.set(0, changed)
    }

    override func tangents(_ inputs: [Tensor?]) -> [Tensor?] { [inputs[0]] }

    override func release() {
        super.release()
        inputCount = 0
        isReleased = true
    }
}
