import KeelKernels

/// `x · weightᵀ + bias` over the last axis: what a fully connected layer computes.
///
/// - Shapes: `x [..., k]`, `weight [n, k]`, optionally `bias [n]` → `[..., n]`.
/// - Gradient: `dx = dy · weight`, `dweight = dyᵀ · x`, `dbias` the sum of `dy`'s rows.
/// - Errors: `TensorError.innerDimensions` when the two `k` differ; `TensorError.rank`, `TensorError.shape` of the bias.
struct Affine: Primitive {
    static var gradientReads: Reads { [.input(0), .input(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, weight) = (inputs[0].shape, inputs[1].shape)
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        for i in 1..<inputs.count where inputs[i].dtype != inputs[0].dtype {
            throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, inputs[i].dtype))
        }
        guard x.rank >= 1 else { throw .rank(primitive: Self.name, expected: "one axis at least", x) }
        guard weight.rank == 2 else { throw .rank(primitive: Self.name, expected: "weights [n, k]", weight) }
        guard x[-1] == weight[1] else { throw .shape(primitive: Self.name, expected: "weights [n, \(x[-1])]", weight) }
        if inputs.count > 2, inputs[2].shape != Shape(weight[0]) { throw .shape(primitive: Self.name, expected: "a bias [\(weight[0])]", inputs[2].shape) }
        var shape = x
        shape[-1] = weight[0]
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    static var kernels: Kernels<Affine> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), y = outputs[0]
                let (rows, n, k) = (Int64(x.rowCount), Int64(weight.size(0)), Int64(weight.size(1)))
                if x.dtype == .float32 {
                    keel_reference_product_f32(
                        rows, n, k, y.pointer(Float.self), x.pointer(Float.self), k, 1, weight.pointer(Float.self), 1, k)
                } else {
                    keel_reference_product_f64(
                        rows, n, k, y.pointer(Double.self), x.pointer(Double.self), k, 1, weight.pointer(Double.self), 1, k)
                }
                if inputs.count > 2 { try Add.kernels.reference(Add(), Operands(y, inputs[2]), outputs) }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                let y = outputs[0], weight = try inputs[1].isBLASMatrix ? inputs[1] : inputs[1].contiguous()
                let x = try inputs[0].rank == 2 && inputs[0].isBLASMatrix ? inputs[0] : inputs[0].contiguous()
                if y.count == 0 { return true }
                let bias = inputs.count > 2 ? try inputs[2].contiguous() : nil
                if weight.size(1) == 0 {
                    if let bias { move(try bias.expanded(to: y.shape), to: y) } else { try y.fill(0) }
                    return true
                }
                let rows = x.rank == 2 ? Matrix(x) : Matrix(
                    start: x.bytes, rows: x.rowCount, columns: x.size(-1), rowStride: x.size(-1), columnStride: 1, isDouble: x.dtype == .float64)
                Product(a: rows, b: Matrix(weight).transposed, c: y.bytes, bias: UnsafeRawPointer(bias?.bytes)).run()
                withExtendedLifetime(bias) {}
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, weight, dy) = (g.input(0), g.input(1), g.outputGradient)
        let rows = dy.shape.dropLast(1).product, slopes = try dy.reshaped(Shape(rows, weight.shape[0]))
        if g.wants(0) { try g.set(0, try slopes.matmul(weight).reshaped(x.shape)) }
        if g.wants(1) { try g.set(1, try slopes.transposed().matmul(x.reshaped(Shape(rows, weight.shape[1])))) }
        if g.wants(2) { try g.set(2, try slopes.sum([0])) }
    }
}

extension Tensor {
    /// How many rows along the last axis there are.
    var rowCount: Int {
        var count = 1
        for axis in 0..<(rank - 1) { count *= size(axis) }
        return count
    }

    /// `self · weightᵀ + bias` over the last axis.
    ///
    /// - Shapes: `[..., k]`, `weight [n, k]`, `bias [n]` → `[..., n]`.
    public func affine(_ weight: Tensor, bias: Tensor? = nil) throws(TensorError) -> Tensor {
        if let bias { try apply(Affine(), self, weight, bias) } else { try apply(Affine(), self, weight) }
    }
}
