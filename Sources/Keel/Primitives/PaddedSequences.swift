// Sequences of unequal length as one batch: padded at the end, with their lengths.

extension Tensor {
    /// Sequences of unequal length as one batch.
    ///
    /// - Shapes: each `[time, ...]`, alike but for the first axis → `padded [batch, longest, ...]` and `lengths [batch]` int64, as recurrent
    ///   layers, CTC and CRF take them.
    /// - Errors: `TensorError.argument` for no sequence at all; `TensorError.shape`.
    public static func padded(sequences: [Tensor], value: Double = 0) throws(TensorError) -> (padded: Tensor, lengths: Tensor) {
        guard !sequences.isEmpty else { throw .argument(primitive: "padded", name: "sequences", given: "none", allowed: "one at least") }
        var lengths: [Int64] = []
        for sequence in sequences {
            guard sequence.rank >= 1 else { throw .rank(primitive: "padded", expected: "sequences [time, ...]", sequence.shape) }
            lengths.append(Int64(try sequence.shape.size(0)))
        }
        let longest = Int(lengths.max() ?? 0)
        var rows: [Tensor] = []
        for (sequence, length) in zip(sequences, lengths) {
            let room = [(before: Int, after: Int)](repeating: (0, 0), count: sequence.rank - 1)
            rows.append(try sequence.padded([(0, longest - Int(length))] + room, .constant(value)))
        }
        return (try .stacked(rows), try Tensor(lengths).moved(to: sequences[0].device))
    }

    /// The way back of `padded(sequences:)`: `[batch, time, ...]` → each sequence `[its length, ...]`, a view.
    ///
    /// - Errors: `TensorError.shape`, `TensorError.dtype`; `TensorError.argument` for a length that isn't in `0...time`.
    public func sequences(lengths: Tensor) throws(TensorError) -> [Tensor] {
        guard rank >= 2 else { throw .rank(primitive: "sequences", expected: "sequences [batch, time, ...]", shape) }
        guard lengths.shape == Shape(shape[0]) else { throw .shape(primitive: "sequences", expected: "lengths [\(shape[0])]", lengths.shape) }
        let time = try shape.size(1)
        var parts: [Tensor] = []
        for (row, length) in try lengths.elements(Int64.self).enumerated() {
            guard (0...time).contains(Int(length)) else {
                throw .argument(primitive: "sequences", name: "length", given: length, allowed: "0...\(time)")
            }
            parts.append(try at(row).sliced(0, to: Int(length)))
        }
        return parts
    }

    /// For lengths `[batch]`: `[batch, time]` bools, true within each sequence.
    public func lengthMask(_ time: Int) throws(TensorError) -> Tensor {
        try Tensor.range(time, dtype).moved(to: device).isLess(than: withAxis(-1))
    }
}
