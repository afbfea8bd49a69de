/// A sum of products in Einstein's notation, read once and run as permutations, matrix products and sums.
///
/// `ij,jk->ik` is a matrix product: each letter names an axis, letters that the result lacks are summed over. `...` stands for any
/// number of axes, which broadcast. Without `->` the result has the letters that occur once, in alphabetic order. A letter that occurs
/// twice in one term takes the diagonal.
///
/// - Order: three tensors and more are multiplied in pairs; which pair is first follows from the number of multiplications, over all
///   orders of up to five tensors, pair by pair beyond.
/// - Gradient: that of its parts.
/// - Errors: `TensorError.argument` names what is wrong with the equation, and the letter whose sizes differ.
/// - Source: NumPy `einsum`; ONNX `Einsum`, opset 12.
public struct Einsum: Hashable, Sendable {
    public let equation: String
    private let terms: [[Label]]
    private let result: [Label]

    /// A letter's code; the ellipsis' axes are -1, -2, ... from the last one on, and `ellipsis` until their number is known.
    fileprivate typealias Label = Int
    private static let ellipsis: Label = Int.min

    /// - Throws: `TensorError.argument` for what is no equation.
    public init(_ equation: String) throws(TensorError) {
        self.equation = equation
        func refused(_ allowed: String) -> TensorError { .argument(primitive: "Einsum", name: "equation", given: "'\(equation)'", allowed: allowed) }
        var text = equation.filter { $0 != " " }
        var right: Substring?
        if let arrow = text.firstRange(of: "->") {
            right = text[arrow.upperBound...]
            text = String(text[..<arrow.lowerBound])
        }
        func labels(_ term: Substring) throws(TensorError) -> [Label] {
            var (labels, rest): ([Label], Substring) = ([], term)
            while let first = rest.first {
                if rest.hasPrefix("..."), !labels.contains(Self.ellipsis) {
                    labels.append(Self.ellipsis)
                    rest = rest.dropFirst(3)
                } else if first.isLetter, let code = first.asciiValue {
                    labels.append(Int(code))
                    rest = rest.dropFirst()
                } else {
                    throw refused("letters, one '...' a term, ',' and '->'")
                }
            }
            return labels
        }
        var terms: [[Label]] = []
        for term in text.split(separator: ",", omittingEmptySubsequences: false) { terms.append(try labels(term)) }
        self.terms = terms
        let all = terms.flatMap { $0 }
        if let right {
            result = try labels(right)
            guard Set(result).count == result.count else { throw refused("each letter once in the result") }
            guard Set(result).isSubset(of: all) else { throw refused("only letters of the terms in the result") }
        } else {
            let once = Set(all).filter { label in label != Self.ellipsis && all.filter { $0 == label }.count == 1 }
            result = (all.contains(Self.ellipsis) ? [Self.ellipsis] : []) + once.sorted()
        }
    }

    /// One of the tensors still to be multiplied, and what its axes are.
    fileprivate struct Factor {
        var tensor: Tensor
        var labels: [Label]
    }

    public func callAsFunction(_ tensors: Tensor...) throws(TensorError) -> Tensor { try self(tensors) }

    public func callAsFunction(_ tensors: [Tensor]) throws(TensorError) -> Tensor {
        guard tensors.count == terms.count else { throw countDiffers(tensors.count) }
        var factors: [Factor] = [], widest = 0
        for (tensor, term) in zip(tensors, terms) {
            let (factor, axes) = try named(tensor, term)
            widest = max(widest, axes)
            factors.append(factor)
        }
        let target = result.flatMap { $0 == Self.ellipsis ? Self.ellipsisLabels(widest) : [$0] }
        let sizes = try commonSizes(factors)
        for i in factors.indices {
            // What is 1 here and more elsewhere stretches by being left out.
            for (axis, label) in factors[i].labels.enumerated().reversed() where factors[i].tensor.shape[axis] != sizes[label] {
                factors[i].tensor = try factors[i].tensor.withoutAxis(axis)
                factors[i].labels.remove(at: axis)
            }
        }
        for i in factors.indices {
            let others = factors.indices.filter { $0 != i }.flatMap { factors[$0].labels }
            factors[i] = try factors[i].summed(keeping: Set(target + others))
        }
        for (i, j) in Self.order(factors.map { Set($0.labels) }, Set(target), sizes).pairs {
            let (right, left) = (factors.remove(at: j), factors.remove(at: i))
            factors.append(try Self.product(left, right, keeping: Set(target + factors.flatMap(\.labels)), sizes))
        }
        let last = factors[0]
        // Only axes of size 1 of the ellipsis can be missing here.
        var tensor = last.tensor, labels = last.labels
        for label in target where !labels.contains(label) {
            tensor = try tensor.withAxis(0)
            labels.insert(label, at: 0)
        }
        return labels == target ? tensor : try tensor.permuted(target.map { Self.place(of: $0, in: labels) })
    }

    /// What running it on tensors of such shapes takes: the multiplications of all its products, and the numbers of the largest one on its way.
    ///
    /// - Throws: `TensorError.argument` for another number of shapes.
    package func cost(of shapes: [Shape]) throws(TensorError) -> (multiplications: Double, largest: Double) {
        guard shapes.count == terms.count else { throw countDiffers(shapes.count) }
        var factors: [Set<Label>] = [], sizes: [Label: Dimension] = [:], widest = 0
        for (shape, term) in zip(shapes, terms) {
            let axes = max(shape.rank - term.count + 1, 0), labels = term.flatMap { $0 == Self.ellipsis ? Self.ellipsisLabels(axes) : [$0] }
            for (label, size) in zip(labels, shape.sizes ?? []) { sizes[label] = Dimension(max(sizes[label]?.number ?? 1, size)) }
            if term.contains(Self.ellipsis) { widest = max(widest, axes) }
            factors.append(Set(labels))
        }
        let target = Set(result.flatMap { $0 == Self.ellipsis ? Self.ellipsisLabels(widest) : [$0] })
        for i in factors.indices { factors[i].formIntersection(factors.indices.filter { $0 != i }.reduce(target) { $0.union(factors[$1]) }) }
        let (pairs, cost) = Self.order(factors, target, sizes)
        var largest = Self.count(target, sizes)
        for (i, j) in pairs {
            let (right, left) = (factors.remove(at: j), factors.remove(at: i)), both = left.union(right)
            let kept = both.intersection(factors.reduce(target) { $0.union($1) })
            // Without a letter to sum over that both have, or with too many others, all of it is made at once.
            let isMatrixProduct = kept.count < both.count && kept.intersection(left).intersection(right).count + 2 <= Shape.maximumRank
            largest = max(largest, Self.count(isMatrixProduct ? kept : both, sizes))
            factors.append(kept)
        }
        return (cost, largest)
    }

    /// How many numbers there are to these letters. A size that isn't known yet counts as a middling one.
    private static func count(_ labels: Set<Label>, _ sizes: [Label: Dimension]) -> Double {
        labels.reduce(1) { $0 * Double(sizes[$1]?.number ?? 64) }
    }

    private func countDiffers(_ count: Int) -> TensorError {
        .argument(primitive: "Einsum", name: "number of tensors", given: count, allowed: "\(terms.count) for '\(equation)'")
    }

    private static func ellipsisLabels(_ count: Int) -> [Label] { (0..<count).map { $0 - count } }

    private static func place(of label: Label, in labels: [Label]) -> Int {
        guard let place = labels.firstIndex(of: label) else { preconditionFailure("a factor has each letter that the result needs") }
        return place
    }

    /// A tensor with its term's letters, diagonals taken; and how many axes its ellipsis has.
    private func named(_ tensor: Tensor, _ term: [Label]) throws(TensorError) -> (Factor, ellipsisAxes: Int) {
        let hasEllipsis = term.contains(Self.ellipsis), letters = term.count - (hasEllipsis ? 1 : 0)
        guard hasEllipsis ? tensor.rank >= letters : tensor.rank == letters else {
            throw .rank(primitive: "Einsum", expected: "\(letters) axes\(hasEllipsis ? " at least" : "") for a term of '\(equation)'", tensor.shape)
        }
        let axes = tensor.rank - letters
        var factor = Factor(tensor: tensor, labels: term.flatMap { $0 == Self.ellipsis ? Self.ellipsisLabels(axes) : [$0] })
        while let first = factor.labels.indices.first(where: { factor.labels[($0 + 1)...].contains(factor.labels[$0]) }),
            let second = factor.labels[(first + 1)...].firstIndex(of: factor.labels[first])
        {
            guard factor.tensor.shape[first] == factor.tensor.shape[second] else {
                throw sizesDiffer(factor.labels[first], factor.tensor.shape[first], factor.tensor.shape[second])
            }
            let label = factor.labels[first]
            factor.tensor = try factor.tensor.diagonal(first, second)
            factor.labels.remove(at: second)
            factor.labels.remove(at: first)
            factor.labels.append(label)
        }
        return (factor, axes)
    }

    private func sizesDiffer(_ label: Label, _ a: Dimension, _ b: Dimension) -> TensorError {
        let name = label < 0 ? "..." : String(UnicodeScalar(UInt8(label)))
        return .argument(primitive: "Einsum", name: "size of '\(name)'", given: "\(a) and \(b)", allowed: "one size for each letter")
    }

    /// Each letter's size; an axis of the ellipsis may be 1 in some tensors.
    private func commonSizes(_ factors: [Factor]) throws(TensorError) -> [Label: Dimension] {
        var sizes: [Label: Dimension] = [:]
        for factor in factors {
            for (axis, label) in factor.labels.enumerated() {
                let size = factor.tensor.shape[axis]
                guard let known = sizes[label], known != size else {
                    sizes[label] = size
                    continue
                }
                guard label < 0, known == Dimension(1) || size == Dimension(1) else { throw sizesDiffer(label, known, size) }
                if known == Dimension(1) { sizes[label] = size }
            }
        }
        return sizes
    }

    /// Which pairs to multiply, one after the other, each product taking its place at the end; and how many multiplications that takes.
    private static func order(
        _ factors: [Set<Label>], _ target: Set<Label>, _ sizes: [Label: Dimension]
    ) -> (pairs: [(Int, Int)], cost: Double) {
        guard factors.count > 1 else { return ([], 0) }
        func count(_ labels: Set<Label>) -> Double { Self.count(labels, sizes) }
        var best: (pairs: [(Int, Int)], cost: Double, whole: Double) = ([], .infinity, .infinity)
        for i in factors.indices {
            for j in factors.indices where j > i {
                var rest = factors
                let both = rest.remove(at: j).union(rest.remove(at: i))
                rest.append(both.intersection(rest.reduce(target) { $0.union($1) }))
                let cost = count(both)
                if factors.count <= 5 {
                    let later = order(rest, target, sizes)
                    if cost + later.cost < best.cost { best = ([(i, j)] + later.pairs, cost + later.cost, 0) }
                } else if (cost, count(rest[rest.count - 1])) < (best.cost, best.whole) {
                    best = ([(i, j)], cost, count(rest[rest.count - 1]))
                }
            }
        }
        guard factors.count > 5, let (i, j) = best.pairs.first else { return (best.pairs, best.cost) }
        var rest = factors
        let both = rest.remove(at: j).union(rest.remove(at: i))
        rest.append(both.intersection(rest.reduce(target) { $0.union($1) }))
        let later = order(rest, target, sizes)
        return (best.pairs + later.pairs, best.cost + later.cost)
    }

    /// The product of two factors, summed over all that nobody needs further on.
    private static func product(_ a: Factor, _ b: Factor, keeping: Set<Label>, _ sizes: [Label: Dimension]) throws(TensorError) -> Factor {
        let shared = a.labels.filter(b.labels.contains)
        let batch = shared.filter(keeping.contains), summed = shared.filter { !keeping.contains($0) }
        let left = a.labels.filter { !b.labels.contains($0) }, right = b.labels.filter { !a.labels.contains($0) }
        let labels = batch + left + right
        guard labels.count <= Shape.maximumRank else {
            throw .argument(primitive: "Einsum", name: "axes of a product", given: labels.count, allowed: "\(Shape.maximumRank) at most")
        }
        if summed.isEmpty || !a.tensor.dtype.isFloat || batch.count + 2 > Shape.maximumRank {
            let all = labels + summed
            guard all.count <= Shape.maximumRank else {
                throw .argument(primitive: "Einsum", name: "axes of a product", given: all.count, allowed: "\(Shape.maximumRank) at most")
            }
            let product = try a.spread(over: all) * b.spread(over: all)
            return Factor(tensor: summed.isEmpty ? product : try product.sum(Array(labels.count..<all.count)), labels: labels)
        }
        let x = try a.grouped(batch.map { [$0] } + [left, summed]), y = try b.grouped(batch.map { [$0] } + [summed, right])
        var shape = Shape()
        for label in labels { if let size = sizes[label] { shape.append(size) } }
        return Factor(tensor: try x.matmul(y).reshaped(shape), labels: labels)
    }
}

extension Einsum.Factor {
    /// Summed over the letters that aren't kept.
    fileprivate func summed(keeping: Set<Int>) throws(TensorError) -> Self {
        let axes = labels.indices.filter { !keeping.contains(labels[$0]) }
        return axes.isEmpty ? self : Self(tensor: try tensor.sum(axes), labels: labels.filter(keeping.contains))
    }

    /// With an axis for each of `all`, of size 1 where it has none.
    fileprivate func spread(over all: [Int]) throws(TensorError) -> Tensor {
        var shape = Shape()
        for label in all { shape.append(labels.firstIndex(of: label).map { tensor.shape[$0] } ?? Dimension(1)) }
        let order = all.compactMap(labels.firstIndex)
        return try (order == Array(labels.indices) ? tensor : tensor.permuted(order)).reshaped(shape)
    }

    /// With an axis for each group of letters. Groups that lie together are joined where they lie, and the axes reordered as a view.
    fileprivate func grouped(_ groups: [[Int]]) throws(TensorError) -> Tensor {
        func size(of group: [Int]) -> Dimension {
            group.reduce(Dimension(1)) { product, label in labels.firstIndex(of: label).map { product * tensor.shape[$0] } ?? product }
        }
        func shape(_ groups: [[Int]]) -> Shape {
            var shape = Shape()
            for group in groups { shape.append(size(of: group)) }
            return shape
        }
        // Empty groups lie anywhere; they come last.
        let order = groups.indices.sorted { i, j in
            (groups[i].first.flatMap(labels.firstIndex) ?? labels.count, i) < (groups[j].first.flatMap(labels.firstIndex) ?? labels.count, j)
        }
        if order.flatMap({ groups[$0] }) == labels {
            let joined = try tensor.reshaped(shape(order.map { groups[$0] }))
            var places = order
            for (place, group) in order.enumerated() { places[group] = place }
            return places == Array(order.indices) ? joined : try joined.permuted(places)
        }
        return try tensor.permuted(groups.flatMap { $0 }.compactMap(labels.firstIndex)).reshaped(shape(groups))
    }
}

extension Tensor {
    /// A sum of products in Einstein's notation; see `Einsum`, which reads an equation once for many calls.
    public static func einsum(_ equation: String, _ tensors: Tensor...) throws(TensorError) -> Tensor { try Einsum(equation)(tensors) }
}
