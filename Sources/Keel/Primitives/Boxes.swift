// Boxes are `[..., 4]`: left, top, right, bottom, in any unit of length.

/// How `boxLoss` measures the distance of two boxes.
public enum BoxDistance: Hashable, Sendable, CaseIterable {
    /// `1 - IoU`: no slope where boxes don't meet. Yu et al., *UnitBox*, 2016.
    case overlap
    /// And the share of their hull that neither fills (GIoU). Rezatofighi et al., 2019.
    case generalised
    /// And the centres' squared distance over that of the hull's corners (DIoU). Zheng et al., 2020.
    case distance
    /// And the difference of their aspect ratios (CIoU). Zheng et al., 2020. That part's weight counts as a constant.
    case complete
}

extension Tensor {
    /// Boxes of `[..., 4]`: centre x, centre y, width, height → left, top, right, bottom.
    public func cornersFromCentres() throws(TensorError) -> Tensor {
        try checkBoxes("cornersFromCentres")
        let centre = try sliced(-1, to: 2), half = try sliced(-1, from: 2) * 0.5
        return try .concatenated([centre - half, centre + half], axis: -1)
    }

    /// Boxes of `[..., 4]`: left, top, right, bottom → centre x, centre y, width, height.
    public func centresFromCorners() throws(TensorError) -> Tensor {
        try checkBoxes("centresFromCorners")
        let first = try sliced(-1, to: 2), last = try sliced(-1, from: 2)
        return try .concatenated([(first + last) * 0.5, last - first], axis: -1)
    }

    /// The area of each box: `[..., 4]` → `[...]`.
    public func boxAreas() throws(TensorError) -> Tensor {
        try checkBoxes("boxAreas")
        return try Sides(self).area
    }

    /// Intersection over union of every box with every other: `[n, 4]` and `[m, 4]` → `[n, m]`. Boxes without area overlap with nothing.
    public func boxOverlaps(with other: Tensor) throws(TensorError) -> Tensor {
        for boxes in [self, other] {
            guard boxes.rank == 2 else { throw .rank(primitive: "boxOverlaps", expected: "boxes [n, 4]", boxes.shape) }
            try boxes.checkBoxes("boxOverlaps")
        }
        let a = try Sides(withAxis(1)), b = try Sides(other)
        let common = try a.common(b)
        return try common / (a.area + b.area - common).clipped(from: 1e-12, to: .infinity)
    }

    /// How far each box is from its target: 0 where they agree.
    ///
    /// - Shapes: self `[..., 4]`, `targets` alike → `[...]`; its mean, or its sum over the boxes that count, is the loss.
    /// - Numerics: 1e-7 is added to each divisor.
    /// - Errors: `TensorError.shape`.
    public func boxLoss(_ targets: Tensor, _ measure: BoxDistance = .complete) throws(TensorError) -> Tensor {
        try checkBoxes("boxLoss")
        guard targets.shape == shape else { throw .shape(primitive: "boxLoss", expected: "targets \(shape)", targets.shape) }
        let epsilon = 1e-7
        let a = try Sides(self), b = try Sides(targets)
        let common = try a.common(b), union = try a.area + b.area - common
        let overlap = try common / (union + epsilon)
        let loss = try 1 - overlap
        if measure == .overlap { return loss }

        let hullWidth = try a.right.maximum(b.right) - a.left.minimum(b.left), hullHeight = try a.bottom.maximum(b.bottom) - a.top.minimum(b.top)
        if measure == .generalised {
            let hull = try hullWidth * hullHeight
            return try loss + (hull - union) / (hull + epsilon)
        }
        let away = try (a.left + a.right - b.left - b.right).squared() + (a.top + a.bottom - b.top - b.bottom).squared()
        let far = try loss + away * 0.25 / (hullWidth.squared() + hullHeight.squared() + epsilon)
        if measure == .distance { return far }

        let turn = try (b.width / (b.height + epsilon)).arctangent() - (a.width / (a.height + epsilon)).arctangent()
        let aspect = try turn.squared() * (4 / (Double.pi * Double.pi))
        let weight = try (aspect / (loss + aspect + epsilon)).detached()
        return try far + weight * aspect
    }

    private func checkBoxes(_ name: String) throws(TensorError) {
        guard rank >= 1, shape[-1].number == 4 else { throw .shape(primitive: name, expected: "boxes [..., 4]", shape) }
    }
}

/// The sides of boxes, `[...]` each.
private struct Sides {
    let left, top, right, bottom: Tensor

    init(_ boxes: Tensor) throws(TensorError) {
        left = try boxes.at(0, axis: -1)
        top = try boxes.at(1, axis: -1)
        right = try boxes.at(2, axis: -1)
        bottom = try boxes.at(3, axis: -1)
    }

    var width: Tensor { get throws(TensorError) { try right - left } }
    var height: Tensor { get throws(TensorError) { try bottom - top } }
    var area: Tensor { get throws(TensorError) { try width * height } }

    /// The area of the intersections, broadcast.
    func common(_ other: Sides) throws(TensorError) -> Tensor {
        let width = try right.minimum(other.right) - left.maximum(other.left), height = try bottom.minimum(other.bottom) - top.maximum(other.top)
        return try width.relu() * height.relu()
    }
}
