public import Keel

/// Sequences of different lengths as one tensor. (Examples of one shape need no more than `Tensor.stacked`.)
public struct PaddedBatch: Sendable {
    /// `[sequences, longest, features...]`.
    public let values: Tensor
    /// `[sequences]`, int64.
    public let lengths: Tensor
    /// `[sequences, longest]`, bool: where there is a value, not padding.
    public let mask: Tensor

    /// - Shapes: each sequence holds `length * features` numbers, step by step; features are `stepShape`, none for
    ///   sequences of single numbers.
    /// - Parameters:
    ///   - padding: what stands after the end.
    ///   - multiple: the common length is rounded up to a multiple of this, so that few shapes occur.
    /// - Errors: `TensorError.elementCount` for a sequence that isn't a whole number of steps.
    /// - Precondition: there is at least one sequence, and `multiple` is positive.
    public init<T: TensorElement>(
        _ sequences: [[T]], stepShape: [Int] = [], padding: T, multiple: Int = 1
    ) throws(TensorError) {
        precondition(
            !sequences.isEmpty && multiple > 0, "a batch has a sequence, and its length is a multiple of 1 or more")
        let step = try Shape(checking: stepShape).elementCount()
        for sequence in sequences where step == 0 || !sequence.count.isMultiple(of: step) {
            throw TensorError(.elementCount(given: sequence.count, Shape(stepShape)))
        }
        let counts = sequences.map { $0.count / step }
        let longest = ((counts.max() ?? 0) + multiple - 1) / multiple * multiple
        var padded: [T] = []
        var present: [Bool] = []
        padded.reserveCapacity(sequences.count * longest * step)
        for (sequence, count) in zip(sequences, counts) {
            padded += sequence
            padded += repeatElement(padding, count: (longest - count) * step)
            present += repeatElement(true, count: count)
            present += repeatElement(false, count: longest - count)
        }
        values = try Tensor(padded, Shape([sequences.count, longest] + stepShape))
        lengths = try Tensor(counts)
        mask = try Tensor(present, [sequences.count, longest])
    }
}
