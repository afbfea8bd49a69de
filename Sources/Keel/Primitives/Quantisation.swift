import KeelKernels

/// How activations become bytes: `q = round(x / scale) + zero`, limited to 0...255, stands for `(q - zero) * scale`. 0 is exact.
///
/// - Source: ONNX `QuantizeLinear`, opset 13.
package struct ByteScale: Hashable, Sendable {
    package let scale: Float
    package let zero: UInt8

    package init(scale: Float, zero: UInt8) {
        precondition(scale > 0, "a scale is positive")
        (self.scale, self.zero) = (scale, zero)
    }

    /// The finest steps that reach over a range and 0; for a range of nothing but 0, steps of 1.
    ///
    /// - Source: ONNX `DynamicQuantizeLinear`, opset 11.
    package init(covering range: ClosedRange<Float>) {
        let least = min(range.lowerBound, 0), step = (max(range.upperBound, 0) - least) / 255
        scale = step >= .leastNormalMagnitude ? step : 1
        let zero = (-least / scale).rounded(.toNearestOrEven)
        // Infinities make it no number.
        self.zero = zero > 0 ? UInt8(min(zero, 255)) : 0
    }

    /// That of these numbers as they are.
    init(of x: Tensor) {
        var least: Float = 0, most: Float = 0
        keel_quantised_range(Int64(x.count), x.pointer(Float.self), &least, &most)
        self.init(covering: least...most)
    }

    var kernel: keel_byte_scale { keel_byte_scale(scale: scale, zero: Int32(zero)) }
}

extension Tensor {
    /// Weights as bytes whose zero is 128, which Keel has for want of a signed byte: `weight[i] ≈ (bytes[i] - 128) * scales[i]`, symmetric, with a scale for
    /// each row of axis 0.
    ///
    /// - Parameter bits: 7 for whole numbers of -64...64, whose products with activations of 8 bits are exact on every processor; 8 for -127...127.
    /// - Shapes: `[n, ...]`, float32 → `[n, ...]` of uint8 and `[n]`.
    package func quantisedWeights(bits: Int) throws(TensorError) -> (weight: Tensor, scales: Tensor) {
        precondition(bits == 7 || bits == 8, "weights have 7 bits or 8")
        guard rank >= 1 else { throw .rank(primitive: "quantisedWeights", expected: "one axis at least", shape) }
        let n = try shape.size(0)
        guard count > 0 else { return (try .zeros(shape, .uint8, on: device), try .ones([n], on: device)) }
        let rows = try detached().reshaped([n, count / n]), most = bits == 7 ? 64.0 : 127.0
        // A row of zeros has some scale, so that nothing is divided by 0.
        let scales = try (rows.magnitude().max([1], keepingAxes: true) / most).maximum(Double(Float.leastNormalMagnitude))
        let bytes = try ((rows / scales).rounded() + 128).cast(to: .uint8)
        return (try bytes.reshaped(shape), try scales.reshaped([n]))
    }
}

extension Primitive {
    /// This fully connected layer, convolution, LSTM or GRU with weights of 7 bits and activations of 8. Its inputs are this one's, but that each of
    /// `weightInputs` is bytes, followed by their scales. Nil for other primitives, and for convolutions without a scale.
    ///
    /// - Parameter input: x's scale, nil for one that is found anew in every run.
    package func quantised(input: ByteScale?) -> (any Primitive)? {
        switch self {
        case is Affine: QuantisedAffine(input: input, activation: Finish(nil))
        case let affine as ActivatedAffine: QuantisedAffine(input: input, activation: affine.activation)
        case let convolution as Conv2D:
            input.map { QuantisedConv2D(convolution: convolution, input: $0, hasAddend: false, rectifier: .none) }
        case let fused as RectifiedConv2D:
            input.map { QuantisedConv2D(convolution: fused.convolution, input: $0, hasAddend: fused.hasAddend, rectifier: fused.rectifier) }
        case let lstm as LSTM: QuantisedRecurrent(lstm, input: input)
        case let gru as GRU: QuantisedRecurrent(gru, input: input)
        default: nil
        }
    }

    /// Which inputs are the weights, in their order, of a primitive that `quantised` knows.
    package var weightInputs: [Int] {
        switch self {
        case let lstm as LSTM: (0..<lstm.directions).flatMap { [1 + 3 * $0, 2 + 3 * $0] }
        case let gru as GRU: (0..<gru.directions).flatMap { [1 + 4 * $0, 2 + 4 * $0] }
        default: [1]
        }
    }

    /// This fully connected layer with weights of 8 bits and activations as they are. Its inputs are as those of `quantised`.
    package var withByteWeights: (any Primitive)? {
        switch self {
        case is Affine: ByteWeightAffine(activation: Finish(nil))
        case let affine as ActivatedAffine: ByteWeightAffine(activation: affine.activation)
        default: nil
        }
    }
}

/// Weights of bytes among a primitive's inputs, which are x, the weights, their scales `[n]` and perhaps a bias `[n]`.
enum ByteWeights {
    /// The inputs of the primitive with floats in place of bytes.
    static func specsOfFloats(_ name: String, _ inputs: SpecList) throws(TensorError) -> SpecList {
        let dtype = inputs[0].dtype
        guard dtype.isFloat, dtype != .float64 else { throw .dtype(primitive: name, expected: "float32", dtype) }
        guard inputs[1].dtype == .uint8 else { throw .dtype(primitive: name, expected: "weights of uint8", inputs[1].dtype) }
        guard inputs[2].dtype.isFloat, inputs[2].dtype != .float64 else { throw .dtype(primitive: name, expected: "scales of float32", inputs[2].dtype) }
        guard inputs[1].shape.rank >= 1, inputs[2].shape == Shape(inputs[1].shape[0]) else {
            throw .shape(primitive: name, expected: "a scale for each of the weights' rows, \(inputs[1].shape)", inputs[2].shape)
        }
        var own = SpecList([inputs[0], TensorSpec(inputs[1].shape, dtype)])
        for i in 3..<max(inputs.count, 3) { own.append(inputs[i]) }
        return own
    }

    /// Sums of no more products than fit 32 bits.
    static func checkDepth(_ name: String, _ weight: Shape) throws(TensorError) {
        let depth = try weight.axes(1..<max(weight.rank, 1)).elementCount()
        guard depth <= Int(KEEL_QUANTISED_DEPTH) else {
            throw .argument(primitive: name, name: "weights of an output", given: depth, allowed: "\(KEEL_QUANTISED_DEPTH) at most")
        }
    }

    /// The weights `[n, c, ...]` in panels, which a constant keeps.
    static func packed(_ name: String, _ weight: Tensor, groups: Int) throws(TensorError) -> Storage {
        let n = Int64(weight.size(0)), c = Int64(weight.size(1)), taps = n * c == 0 ? 1 : Int64(weight.count) / (n * c)
        let bytes = Int(keel_quantised_packed_bytes(n, c, taps, Int64(groups)))
        return try weight.packed(.bytes(groups: groups), bytes: max(bytes, 1)) { start throws(TensorError) in
            try checkReach(name, weight)
            keel_quantised_pack(n, c, taps, Int64(groups), start.assumingMemoryBound(to: Int8.self), weight.pointer(UInt8.self))
        }
    }

    /// What follows the sums of a product of matrices.
    static func end(_ scales: Tensor, _ bias: Tensor?, _ activation: Finish) -> keel_quantised_end {
        let function = activation.pass
        return keel_quantised_end(
            scales: scales.pointer(Float.self), bias: bias?.pointer(Float.self), addend: nil, least: -.infinity, most: .infinity,
            has_function: function.isThere ? 1 : 0, function: function.function, constants: function.constants)
    }

    /// Weights of 7 bits.
    static func checkReach(_ name: String, _ weight: Tensor) throws(TensorError) {
        guard keel_quantised_fits(Int64(weight.count), weight.pointer(UInt8.self)) != 0 else {
            throw .argument(primitive: name, name: "weight", given: "further than \(KEEL_QUANTISED_REACH) from 128", allowed: "64...192")
        }
    }
}
