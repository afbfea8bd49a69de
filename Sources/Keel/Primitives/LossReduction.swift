/// What becomes of the losses of a batch.
public enum LossReduction: Hashable, Sendable, CaseIterable {
    /// They stay as they are.
    case none
    case mean, sum

    func of(_ losses: Tensor) throws(TensorError) -> Tensor {
        switch self {
        case .none: losses
        case .mean: try losses.mean()
        case .sum: try losses.sum()
        }
    }
}
