import KeelKernels

/// Where a mask is true, in row-major order, and in how many places. How many there are depends on the data; so the result has room for
/// `limit`, which is declared, and the places past the last one are 0.
///
/// - Shapes: `mask` bool, of any shape → places `[rank, limit]` int64, one row for each axis; count `[]` int64.
/// - Errors: `TensorError.argument` where more than `limit` are true.
/// - Source: ONNX `NonZero`, opset 13, with room declared.
struct NonZero: Primitive {
    let limit: Int

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype == .bool else { throw .dtype(primitive: Self.name, expected: "a bool mask", inputs[0].dtype) }
        guard limit >= 0 else { throw .argument(primitive: Self.name, name: "limit", given: limit, allowed: "0 and more") }
        var specs = SpecList(TensorSpec([inputs[0].shape.rank, limit], .int64))
        specs.append(TensorSpec(Shape(), .int64))
        return specs
    }

    // The plain loop is what every device of the host runs: it is bound by memory, and the order of places by its own.
    static var kernels: Kernels<NonZero> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.search(inputs[0], outputs) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.search(inputs[0], outputs)
                return true
            })
    }

    private func search(_ input: Tensor, _ outputs: Operands) throws(TensorError) {
        let mask = try input.contiguous()
        let count = keel_count_true(Int64(mask.count), mask.pointer(UInt8.self))
        guard count <= limit else {
            throw .argument(primitive: Self.name, name: "limit", given: limit, allowed: "\(count) and more for as many true elements")
        }
        outputs[1].pointer(Int64.self)[0] = count
        let sizes = (0..<mask.rank).map { Int64(mask.size($0)) }
        keel_true_places(Int32(mask.rank), sizes, Int64(limit), outputs[0].pointer(Int64.self), mask.pointer(UInt8.self))
    }
}

extension Tensor {
    /// For bools: the places that are true, in row-major order, with room for `limit` of them, and how many there are.
    ///
    /// - Shapes: places `[rank, limit]` int64, 0 past the last one; count `[]` int64.
    /// - Throws: `TensorError.argument` where more than `limit` are true.
    public func nonZero(limit: Int) throws(TensorError) -> (places: Tensor, count: Tensor) {
        let found = try applyMany(NonZero(limit: limit), [self])
        return (found[0], found[1])
    }

    /// For bools: the places that are true, in row-major order: `[rank, count]` int64. The count is read from the data, so this is for
    /// eager use; a program declares a limit.
    public func nonZero() throws(TensorError) -> Tensor { try nonZero(limit: trueCount(in: NonZero.name)).places }

    /// The parts along the first axes for which a mask is true, in order, with room for `limit` of them; what is left over is 0.
    ///
    /// - Shapes: `mask` bool with the sizes of the first axes → values `[limit, other axes...]`; count `[]` int64.
    /// - Gradient: to the selected parts; 0 to the others.
    /// - Throws: `TensorError.argument` where more than `limit` are true.
    public func selected(where mask: Tensor, limit: Int) throws(TensorError) -> (values: Tensor, count: Tensor) {
        let (rows, flatMask) = (try leading(mask), try mask.reshaped([mask.count]))
        let (places, count) = try flatMask.nonZero(limit: limit)
        guard limit > 0 else { return (try rows.sliced(0, to: 0), count) }
        guard rows.size(0) > 0 else { return (try rows.padded(0, before: 0, after: limit), count) }
        let found = try rows.gathered(places.reshaped([limit]))
        var column = Shape()
        for axis in 0..<found.rank { column.append(Dimension(axis == 0 ? limit : 1)) }
        let isThere = try Tensor.range(limit).moved(to: device).isLess(than: count).reshaped(column)
        return (try isThere.select(found, Tensor.zeros(Shape(), dtype, on: device)), count)
    }

    /// The parts along the first axes for which a mask is true, in order. The count is read from the data, so this is for eager use; a
    /// program declares a limit.
    ///
    /// - Shapes: `mask` bool with the sizes of the first axes → `[count, other axes...]`.
    public func selected(where mask: Tensor) throws(TensorError) -> Tensor {
        let rows = try leading(mask), count = try mask.trueCount(in: "selected")
        guard count > 0 else { return try rows.sliced(0, to: 0) }
        return try rows.gathered(mask.reshaped([mask.count]).nonZero(limit: count).places.reshaped([count]))
    }

    /// With `value` wherever a mask, broadcast, is true.
    public func filled(with value: Double, where mask: Tensor) throws(TensorError) -> Tensor {
        try mask.select(Tensor.full(value, Shape(), dtype, on: device), self)
    }

    /// The first axes, which a mask covers, as one.
    private func leading(_ mask: Tensor) throws(TensorError) -> Tensor {
        guard mask.rank >= 1, mask.rank <= rank, shape.axes(0..<mask.rank) == mask.shape else {
            throw .shape(primitive: "selected", expected: "a mask of the first sizes of \(shape)", mask.shape)
        }
        return try reshaped([mask.count] + shape.axes(mask.rank..<rank))
    }

    private func trueCount(in name: String) throws(TensorError) -> Int {
        guard dtype == .bool else { throw .dtype(primitive: name, expected: "a bool mask", dtype) }
        let plain = try contiguous()
        return try plain.withBytes { bytes in Int(keel_count_true(Int64(bytes.count), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))) }
    }
}
