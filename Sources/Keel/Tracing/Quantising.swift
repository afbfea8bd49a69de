import KeelKernels

// What quantisation and its passes know of primitives.

/// How a layer of bytes takes what it reads, which are floats.
package enum ByteInput: Hashable, Sendable {
    /// Rounded to 256 steps that are known beforehand.
    case scaled(ByteScale)
    /// Rounded to 256 steps from the least to the largest number, zero included.
    case measured
    /// As it is.
    case float
}

extension Primitive {
    /// The same with weights of bytes, each of which then has its rows' scales behind it; and the places of the weights. Nil where there is no such form, or it would take longer.
    ///
    /// - Parameter inputs: of the primitive with weights of floats.
    package func withBytes(_ input: ByteInput, _ inputs: SpecList) -> (primitive: any Primitive, weights: [Int])? {
        if let gather = self as? Gather {
            let isTable = gather.axis == 0 && input == .float && inputs[0].dtype == .float32 && inputs[0].shape.rank == 2
            return isTable ? (ByteTable(), [0]) : nil
        }
        guard inputs.count > 1, inputs[0].dtype == .float32, inputs[1].dtype == .float32, let sizes = inputs[1].shape.sizes,
            sizes.dropFirst().reduce(1, *) <= Int(KEEL_QUANTISED_DEPTH)
        else { return nil }
        // Groups of few channels, as each of its own, would fill registers with nothing.
        if let convolution = self as? Conv2D ?? (self as? RectifiedConv2D)?.convolution, convolution.groups > 1, sizes[1] < 16 { return nil }
        let made: (any Primitive)? =
            switch input {
            case .scaled(let scale): quantised(input: scale)
            case .measured: quantised(input: nil)
            case .float: withByteWeights
            }
        return made.map { ($0, weightInputs) }
    }

    /// The rounding to bytes and back that it is.
    package var fakeQuantisation: ByteInput? { (self as? FakeQuantised).map { $0.scale.map { .scaled($0) } ?? .measured } }
}

/// Weights of floats as bytes: a row (axis 0) is `(byte - 128) * scale`.
package struct QuantisedWeights: Sendable {
    package let bytes: Tensor
    /// `[rows]`
    package let scales: Tensor

    package init(bytes: Tensor, scales: Tensor) { (self.bytes, self.scales) = (bytes, scales) }

    /// The nearest ones.
    package init(_ weights: Tensor, bits: Int) throws(TensorError) {
        (bytes, scales) = try weights.quantisedWeights(bits: bits)
    }

    /// The same numbers, but for rounding; nil where they aren't whole numbers of at most `most` times a scale for each row.
    package init?(exactly weights: Tensor, most: Int) throws(TensorError) {
        guard weights.dtype == .float32, weights.rank >= 2, weights.count > 0 else { return nil }
        let numbers = try weights.elements(Float.self), rows = try weights.shape.size(0), width = numbers.count / rows
        var bytes = [UInt8](repeating: 128, count: numbers.count), scales = [Float](repeating: 1, count: rows)
        for row in 0..<rows {
            let own = row * width..<(row + 1) * width
            var largest: Float = 0
            for place in own { largest = max(largest, numbers[place].magnitude) }
            guard largest.isFinite else { return nil }
            if largest == 0 { continue }
            /// Rounding of the scale and of the product with it moves a quotient by less.
            func isWhole(_ quotient: Float) -> Bool { (quotient - quotient.rounded()).magnitude <= 1e-4 }
            guard let steps = (1...most).first(where: { steps in own.allSatisfy { isWhole(numbers[$0] / largest * Float(steps)) } }) else { return nil }
            scales[row] = largest / Float(steps)
            // Smaller ones are rounded too coarsely for what was found whole to stay so.
            guard scales[row] >= .leastNormalMagnitude else { return nil }
            for place in own { bytes[place] = UInt8(128 + Int((numbers[place] / scales[row]).rounded())) }
        }
        self.bytes = try Tensor(bytes, weights.shape)
        self.scales = try Tensor(scales)
    }

    package func floats() throws(TensorError) -> Tensor {
        var shape = [Int](repeating: 1, count: bytes.rank)
        shape[0] = scales.count
        return try (bytes.cast(to: .float32) - 128) * scales.reshaped(Shape(shape))
    }

    /// Bytes that both take.
    package var size: Int { bytes.count + scales.count * scales.dtype.width }
}
