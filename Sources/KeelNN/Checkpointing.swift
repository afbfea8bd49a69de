public import Keel

extension Context {
    /// Runs a part of a network on `x` without keeping what its gradients read; the way back runs it again, with the same random numbers:
    /// what was dropped is dropped again. Running statistics move the first time only. See `Keel.checkpointed`.
    ///
    /// ```swift
    /// for block in blocks { x = try context.checkpointed(x) { x, context throws(TensorError) in try block(x, in: context) } }
    /// ```
    public func checkpointed(
        _ x: Tensor, _ body: @escaping (_ x: Tensor, _ context: Context) throws(TensorError) -> Tensor
    ) throws(TensorError) -> Tensor {
        let first = call?.upcoming ?? 0
        let outputs = try Keel.checkpointed([x]) { inputs throws(TensorError) in
            let own = Call(from: first)
            let y = try body(inputs[0], Context(isTraining: isTraining, random: random, call: own))
            if let call, call.upcoming < own.upcoming { call.skip(to: own.upcoming) }
            return [y] + own.losses.withLock { $0 }
        }
        for loss in outputs.dropFirst() { add(auxiliaryLoss: loss) }
        return outputs[0]
    }
}
