extension Profile.Event {
    /// Floating-point operations, a multiplication and an addition each as one: exact for products, convolutions, recurrent cells and attention;
    /// what only moves numbers has none, and all else counts as one a number.
    public var flops: Int {
        guard let output = outputs.first, let made = try? output.shape.elementCount(), let input = inputs.first,
            let given = try? input.shape.elementCount()
        else { return 0 }
        func size(_ operand: Int, _ axis: Int) -> Int { inputs[operand].shape[axis].number ?? 0 }
        func count(_ operand: Int) -> Int { (try? inputs[operand].shape.elementCount()) ?? 0 }
        switch name {
        case "MatMul": return 2 * made * size(0, -1)
        case "Affine": return 2 * made * size(0, -1) + (inputs.count > 2 ? made : 0)
        case "Conv", "TemporalConv": return 2 * made * (count(1) / max(size(1, 0), 1)) + (inputs.count > 2 ? made : 0)
        case "Conv2DInputGradient": return 2 * given * (count(1) / max(size(1, 0), 1))
        case "LSTM", "GRU":
            let weights = inputs.indices.dropFirst().filter { inputs[$0].shape.rank == 2 }.reduce(0) { $0 + count($1) }
            return 2 * size(0, 0) * size(0, 1) * weights
        case "Attention": return 4 * made * (inputs.count > 2 ? size(1, 1) : size(0, 1))
        case "Contiguous", "Cast", "Concat", "Gather", "Slice", "Pad", "Unslice", "Assign", "OneHot", "GatherElements", "ScatterElements": return 0
        default: return max(made, given)
        }
    }
}
