// What sums up the numbers along axes, made of other primitives.

extension Tensor {
    /// The squared distances from the mean, added up and divided by `n - correction`, over `axes` or over all.
    public func variance(_ axes: [Int]? = nil, correction: Int, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        let sum = try (self - mean(axes, keepingAxes: true)).squared().sum(axes, keepingAxes: keepingAxes)
        return try sum / Double(Swift.max(count / Swift.max(sum.count, 1) - correction, 0))
    }

    /// The root of `variance`.
    public func standardDeviation(_ axes: [Int]? = nil, correction: Int = 0, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try variance(axes, correction: correction, keepingAxes: keepingAxes).squareRoot()
    }

    /// The product over `axes`, or over all; 1 of nothing. The gradient is exact where numbers are 0, too.
    public func product(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        var taken: [Int] = []
        for axis in axes ?? Array(0..<rank) { taken.append(try shape.place(of: axis, in: "product")) }
        let kept = (0..<rank).filter { !taken.contains($0) }, shape = shape
        let result = kept.map { shape[$0] }.reduce(into: Shape()) { $0.append($1) }
        var made = try Tensor.ones(result, dtype, on: device)
        if count > 0 {
            let rows = try permuted(kept + (0..<rank).filter { taken.contains($0) }).reshaped([made.count, count / made.count])
            made = try rows.cumulativeProduct(1).at(-1, axis: 1).reshaped(result)
        }
        guard keepingAxes else { return made }
        return try made.reshaped((0..<rank).map { taken.contains($0) ? Dimension(1) : shape[$0] }.reduce(into: Shape()) { $0.append($1) })
    }

    /// For bools: whether any is true, over `axes` or over all; false of none.
    public func any(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try trues(axes, keepingAxes, "any").isGreater(than: Tensor.zeros([], .int64, on: device))
    }

    /// For bools: whether all are true, over `axes` or over all; true of none.
    public func all(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try not().trues(axes, keepingAxes, "all").equals(Tensor.zeros([], .int64, on: device))
    }

    private func trues(_ axes: [Int]?, _ keepingAxes: Bool, _ name: String) throws(TensorError) -> Tensor {
        guard dtype == .bool else { throw .dtype(primitive: name, expected: "bools", dtype) }
        return try cast(to: .int64).sum(axes, keepingAxes: keepingAxes)
    }

    /// Whether each number is 0: of bools, their opposite.
    public func not() throws(TensorError) -> Tensor { try equals(Tensor.zeros([], dtype, on: device)) }
    public func isNaN() throws(TensorError) -> Tensor { try equals(self).not() }
    /// Neither infinite nor NaN.
    public func isFinite() throws(TensorError) -> Tensor { try magnitude().isLess(than: Tensor.full(.infinity, [], dtype, on: device)) }

    /// The number below which a share of those along an axis lies, between two of them in proportion.
    ///
    /// - Shapes: as this tensor without the axis.
    /// - Errors: `TensorError.shape` of nothing; `TensorError.argument` for a share outside 0...1.
    public func quantile(_ share: Double, axis: Int = -1) throws(TensorError) -> Tensor {
        let n = try shape.size(try shape.place(of: axis, in: "quantile"))
        guard (0...1).contains(share) else { throw .argument(primitive: "quantile", name: "share", given: share, allowed: "0...1") }
        guard n > 0 else { throw .shape(primitive: "quantile", expected: "an element at least along axis \(axis)", shape) }
        let ordered = try sorted(axis), place = share * Double(n - 1), first = Int(place), rest = place - Double(first)
        let low = try ordered.at(first, axis: axis)
        return try rest == 0 ? low : low * (1 - rest) + ordered.at(first + 1, axis: axis) * rest
    }

    /// The number in the middle along an axis, the mean of the two there where they are even.
    public func median(_ axis: Int = -1) throws(TensorError) -> Tensor { try quantile(0.5, axis: axis) }

    /// The numbers that there are, each once and in order; for each number the place of its own among them, int64 in this tensor's shape; and how
    /// often each is there, int64. NaNs come last, each for itself.
    public func unique() throws(TensorError) -> (values: Tensor, places: Tensor, counts: Tensor) {
        let flat = try detached().flattened(), order = try flat.argSorted(), ordered = try flat.takenAlong(0, at: order)
        var isNew = try Tensor([Bool](repeating: true, count: Swift.min(count, 1))).moved(to: device)
        if count > 1 { isNew = try .concatenated([isNew, ordered.sliced(0, from: 1).equals(ordered.sliced(0, to: count - 1)).not()]) }
        let values = try ordered.selected(where: isNew)
        let ranks = try isNew.cast(to: .int64).cumulativeSum(0) - Tensor.full(1, [], .int64, on: device)
        func zeros(_ n: Int) throws(TensorError) -> Tensor { try .zeros([n], .int64, on: device) }
        let places = try zeros(count).scattered(ranks, along: 0, at: order).reshaped(shape)
        return (values, places, try zeros(values.count).scattered(Tensor.ones(ranks.shape, .int64, on: device), along: 0, at: ranks, .add))
    }
}
