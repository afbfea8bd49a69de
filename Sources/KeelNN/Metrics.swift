public import Keel

/// The share of rows whose largest logit is that of their label.
///
/// - Shapes: `logits [rows, classes]`, `labels [rows]` int64 or int32.
/// - Returns: NaN for no rows.
public func accuracy(logits: Tensor, labels: Tensor) throws(TensorError) -> Double {
    let hits = try logits.detached().argMax().equals(labels.cast(to: .int64))
    return Double(try hits.cast(to: .float64).mean().item(Double.self))
}
