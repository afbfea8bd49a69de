import KeelKernels

extension Profile.Event {
    /// Floating-point operations, a multiplication and an addition each as one: exact for products, convolutions, recurrent cells and attention;
    /// what only moves numbers has none, and all else counts as one a number.
    public var flops: Int { Int(min(floatingPointWork(name, inputs, outputs), 0x1p62)) }
}

extension Primitive {
    /// Multiplications with what is added to them, or numbers looked at, that it takes to make such outputs of such inputs; all sizes are numbers.
    package func work(_ inputs: [TensorSpec], _ outputs: [TensorSpec]) -> Double {
        guard let output = outputs.first else { return 0 }
        func windows(_ kernel: Pair) -> Double { elements(output) * Double(kernel.height) * Double(kernel.width) }
        switch self {
        case let pool as MaxPool2D: return windows(pool.kernel)
        case let pool as AveragePool2D: return windows(pool.kernel)
        case let align as RegionAlign:
            let side = align.samples == 0 ? Int(KEEL_REGION_SAMPLES) : align.samples
            return windows(Pair(height: side, width: side))
        case is Determinant: return elements(inputs[0]) * Double(inputs[0].shape[-1].number ?? 0)
        default: return floatingPointWork(Self.name, inputs, outputs) / 2
        }
    }
}

private func elements(_ spec: TensorSpec) -> Double { (try? spec.shape.elementCount()).map(Double.init) ?? 0 }

/// Of a primitive of this name.
private func floatingPointWork(_ name: String, _ inputs: [TensorSpec], _ outputs: [TensorSpec]) -> Double {
    guard let output = outputs.first, let input = inputs.first else { return 0 }
    let made = elements(output), given = elements(input)
    func size(_ operand: Int, _ axis: Int) -> Double { Double(inputs[operand].shape[axis].number ?? 0) }
    func count(_ operand: Int) -> Double { elements(inputs[operand]) }
    switch name {
    case "MatMul": return 2 * made * size(0, -1)
    case "Affine", "ActivatedAffine": return 2 * made * size(0, -1) + (inputs.count > 2 ? made : 0)
    case "QuantisedAffine", "ByteWeightAffine": return 2 * made * size(0, -1) + (inputs.count > 3 ? made : 0)
    case "Conv", "RectifiedConv2D", "TemporalConv": return 2 * made * (count(1) / max(size(1, 0), 1)) + (inputs.count > 2 ? made : 0)
    case "QuantisedConv2D": return 2 * made * (count(1) / max(size(1, 0), 1)) + (inputs.count > 3 ? made : 0)
    case "ConvolutionChain":
        // A first link of positions alone goes over those of the picture, all others over those of the result.
        let isPointwise = size(1, 1) == size(0, 1) && size(1, 2) * size(1, 3) == 1
        let (before, after) = (given / max(size(0, 1), 1), made / max(Double(output.shape[1].number ?? 0), 1))
        return inputs.indices.dropFirst().reduce(0) { sum, i in
            let isBias = inputs[i].shape.rank == 1, isFirst = i == 1 || i == 2 && isBias
            return sum + (isBias ? 1 : 2) * count(i) * (isFirst && isPointwise ? before : after)
        }
    case "Conv2DInputGradient": return 2 * given * (count(1) / max(size(1, 0), 1))
    case "LSTM", "GRU", "QuantisedRecurrent":
        let weights = inputs.indices.dropFirst().filter { inputs[$0].shape.rank == 2 }.reduce(0) { $0 + count($1) }
        return 2 * size(0, 0) * size(0, 1) * weights
    case "Attention": return 4 * made * (inputs.count > 2 ? size(1, 1) : size(0, 1))
    case "Contiguous", "Cast", "Concat", "Gather", "ByteTable", "Slice", "Pad", "Unslice", "Assign", "OneHot", "GatherElements", "ScatterElements": return 0
    default: return max(made, given)
    }
}
