/// Rows of a table of bytes as floats: what `Gather` takes from one of floats. Programs are rewritten to it.
///
/// - Shapes: `table [rows, width]` of uint8 whose zero is 128, `scales [rows]`, `indices [i...]` int64 or int32 → `[i..., width]` float32.
/// - Gradient: none.
/// - Errors: as `Gather`.
/// - Source: ONNX `Gather` and `DequantizeLinear`.
struct ByteTable: Primitive {
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype == .uint8 else { throw .dtype(primitive: Self.name, expected: "a table of uint8", inputs[0].dtype) }
        guard inputs[0].shape.rank == 2 else { throw .rank(primitive: Self.name, expected: "a table [rows, width]", inputs[0].shape) }
        guard inputs[1].dtype.isFloat, inputs[1].dtype != .float64 else { throw .dtype(primitive: Self.name, expected: "scales of float32", inputs[1].dtype) }
        guard inputs[1].shape == Shape(inputs[0].shape[0]) else {
            throw .shape(primitive: Self.name, expected: "scales [\(inputs[0].shape[0])]", inputs[1].shape)
        }
        let made = try Gather(axis: 0).outputs(SpecList([inputs[0], inputs[2]]))
        return SpecList(TensorSpec(made[0].shape, inputs[1].dtype))
    }

    static var kernels: Kernels<ByteTable> {
        Kernels(reference: { _, inputs, outputs throws(TensorError) in
            let indices = try inputs[2].contiguous(), bytes = try inputs[0].contiguous(), scales = try inputs[1].contiguous()
            let rows = bytes.size(0), width = bytes.size(1), target = outputs[0].pointer(Float.self), table = bytes.pointer(UInt8.self)
            try indices.checkIndices(below: rows, Self.name)
            for place in 0..<indices.count {
                let index = indices.dtype == .int64 ? Int(indices.pointer(Int64.self)[place]) : Int(indices.pointer(Int32.self)[place])
                let row = index < 0 ? index + rows : index, scale = scales.pointer(Float.self)[row]
                for column in 0..<width { target[place * width + column] = (Float(table[row * width + column]) - 128) * scale }
            }
            withExtendedLifetime((indices, bytes, scales)) {}
        })
    }
}

extension Tensor {
    /// These rows of a table of bytes.
    package static func rows(of table: QuantisedWeights, at indices: Tensor) throws(TensorError) -> Tensor {
        try apply(ByteTable(), table.bytes, table.scales, indices)
    }
}
