public import Keel

/// Mix-up: each picture of a batch is blended with the one before it, and so are their targets.
///
/// - The share of the picture itself is drawn from Beta(α, α), once a batch.
/// - Source: Zhang, Cisse, Dauphin and Lopez-Paz, *mixup: beyond empirical risk minimization*, 2018.
public struct MixUp: Sendable, Hashable, Codable {
    /// Above 0; the smaller, the less is mixed.
    public var alpha: Double

    public init(alpha: Double = 0.2) { self.alpha = alpha }

    /// - Shapes: `pictures [n, ...]` (or anything else that can be blended) and `targets [n, ...]`, such as
    ///   probabilities of classes; both of floats. The results have the same.
    /// - Errors: `TensorError` for an α that isn't above 0, or counts that differ.
    public func mixed(
        _ pictures: Tensor, _ targets: Tensor, using generator: inout Philox
    ) throws(TensorError) -> (pictures: Tensor, targets: Tensor) {
        try checkBatch("MixUp", pictures, targets)
        let share = try betaDraw("MixUp", alpha, using: &generator)
        func blended(_ x: Tensor) throws(TensorError) -> Tensor {
            try x * share + x.rolled(by: 1, axis: 0) * (1 - share)
        }
        return (try blended(pictures), try blended(targets))
    }
}

/// Cut-mix: a rectangle of each picture of a batch is filled from the one before it, and targets are blended by its
/// area.
///
/// - The rectangle has the picture's proportions and lies around an even place, cut at the edges; the share of the area
///   that is wished for is drawn from Beta(α, α), once a batch.
/// - Source: Yun and others, *CutMix*, 2019.
public struct CutMix: Sendable, Hashable, Codable {
    /// Above 0; 1 makes all areas as likely as each other.
    public var alpha: Double

    public init(alpha: Double = 1) { self.alpha = alpha }

    /// - Shapes: `pictures [n, channels, height, width]`, `targets [n, ...]` of floats, and, where every pixel has a
    ///   class, `masks [n, height, width]` of any dtype, which get the same rectangles. The results have the same.
    /// - Errors: `TensorError` for an α that isn't above 0, counts that differ, or masks of another size.
    public func mixed(
        _ pictures: Tensor, _ targets: Tensor, masks: Tensor? = nil, using generator: inout Philox
    ) throws(TensorError) -> (pictures: Tensor, targets: Tensor, masks: Tensor?) {
        try checkBatch("CutMix", pictures, targets)
        guard pictures.rank == 4 else {
            throw TensorError(
                .rank(primitive: "CutMix", expected: "pictures [n, channels, height, width]", pictures.shape))
        }
        let (height, width) = (try pictures.shape.size(2), try pictures.shape.size(3))
        if let masks, masks.shape != Shape([try pictures.shape.size(0), height, width]) {
            throw TensorError(.shape(primitive: "CutMix", expected: "masks of the pictures' size", masks.shape))
        }
        let side = (1 - (try betaDraw("CutMix", alpha, using: &generator))).squareRoot()
        /// The rectangle's extent along a side.
        func extent(_ count: Int, _ draw: Double) -> Range<Int> {
            let (middle, half) = (draw * Double(count), side * Double(count) / 2)
            return Int((max(0, middle - half)).rounded())..<Int(min(Double(count), middle + half).rounded())
        }
        let columns = extent(width, generator.unit()), rows = extent(height, generator.unit())
        let isFilled = (0..<height).flatMap { row in
            (0..<width).map { rows.contains(row) && columns.contains($0) }
        }
        let rectangle = try Tensor(isFilled, [height, width])
        let share = height * width == 0 ? 1 : 1 - Double(rows.count * columns.count) / Double(height * width)
        func filled(_ x: Tensor) throws(TensorError) -> Tensor { try rectangle.select(x.rolled(by: 1, axis: 0), x) }
        let blended = try targets * share + targets.rolled(by: 1, axis: 0) * (1 - share)
        var filledMasks: Tensor?
        if let masks { filledMasks = try filled(masks) }
        return (try filled(pictures), blended, filledMasks)
    }
}

private func checkBatch(_ name: String, _ pictures: Tensor, _ targets: Tensor) throws(TensorError) {
    guard pictures.rank > 0, targets.rank > 0, try pictures.shape.size(0) == targets.shape.size(0) else {
        throw TensorError(.shape(primitive: name, expected: "as many targets as pictures", targets.shape))
    }
}

private func betaDraw(_ name: String, _ alpha: Double, using generator: inout Philox) throws(TensorError) -> Double {
    guard alpha > 0, alpha.isFinite else {
        throw TensorError(
            .argument(primitive: name, name: "alpha", given: "\(alpha)", allowed: "finite numbers above 0"))
    }
    let parameter = try Tensor.full(alpha, Shape(), .float64)
    return try parameter.beta(parameter, using: &generator).item(Double.self)
}
