import Keel

/// Indices into an axis, with repeats, some of them negative.
private func picks(_ shape: Shape, below n: Int, for x: Tensor, _ dtype: DType = .int64) throws -> Tensor {
    let count = try shape.elementCount()
    return try Tensor((0..<count).map { Int64(($0 * 7 + $0 / 3) % n - ($0 % 4 == 3 ? n : 0)) }, shape).cast(to: dtype).moved(to: x.device)
}

private func size(_ x: Tensor, _ axis: Int) throws -> Int { axis < x.rank ? try x.shape.size(axis) : 1 }

/// A mask with about a third of true elements.
private func mask(_ shape: Shape, for x: Tensor) throws -> Tensor {
    try Tensor((0..<shape.elementCount()).map { $0 * 5 % 7 < 3 }, shape).moved(to: x.device)
}

/// What scattering does to repeated places, with nothing that the derivative can't be taken of.
private func scattering(_ rule: ScatterRule) -> PrimitiveCase {
    PrimitiveCase(
        names: ["ScatterElements", "GatherElements"],
        shapes: [[[3, 5, 4], [3, 7, 4]], [[5], [9]], [[5, 1], [2, 1]], [[1, 5, 100], [1, 6, 100]], [[4, 5], [0, 5]], [[0, 5], [0, 5]], [[40, 5, 2], [40, 3, 2]]],
        tolerance: 1e-4,
        rejects: [([[3, 5, 4], [3, 7, 3]], "indices [3, 5, 4] but for axis 1"), ([[3, 5, 4], [3, 7]], "indices [3, 5, 4] but for axis 1")]
    ) {
        let axis = $0[0].rank == 3 ? 1 : 0, n = try size($0[0], axis)
        return try $0[0].scattered($0[1], along: axis, at: picks($0[1].shape, below: max(n, 1), for: $0[0]), rule)
    }
}

private func einsum(_ equation: String, _ shapes: [[Shape]], rejects: [([Shape], String)] = []) -> PrimitiveCase {
    PrimitiveCase(names: ["MatMul", "Transpose", "Reshape"], shapes: shapes, tolerance: 1e-4, rejects: rejects) { try Einsum(equation)($0) }
}

/// A quantity that bends, so that derivatives of second order say something.
private func bent(_ x: Tensor) throws -> Tensor { try x * x * 0.5 + x }

let indexingCases: [PrimitiveCase] = [
    PrimitiveCase(
        names: ["GatherElements", "ScatterElements"], shapes: [[[3, 5, 4]], [[2, 1, 70]], [[1, 3, 1]], [[0, 5, 4]], [[3, 5, 0]], [[40, 9, 3]]],
        rejects: [([[3, 0, 4]], "index 0"), ([[3]], "has no axis 1")]
    ) {
        let (a, n, b) = (try size($0[0], 0), try size($0[0], 1), try size($0[0], 2))
        let taken = try bent($0[0]).takenAlong(1, at: picks([a, 6, b], below: max(n, 1), for: $0[0]))
        // Indices that are stretched, and such that lie crosswise.
        let rows = try bent($0[0]).takenAlong(1, at: picks([1, 6, 1], below: max(n, 1), for: $0[0], .int32).expanded(to: [a, 6, b]))
        let crosswise = try $0[0].takenAlong(1, at: picks([b, 6, a], below: max(n, 1), for: $0[0]).transposed(0, 2))
        return try taken * rows + crosswise
    },
    PrimitiveCase(names: ["GatherElements"], shapes: [[[7]], [[3, 7]], [[300, 7]]], rejects: [([[2, 7]], "indices [2, 7] but for axis 1, was given [3, 5]")]) {
        try $0[0].takenAlong(-1, at: picks($0[0].rank == 1 ? [5] : [$0[0].shape.size(0) == 2 ? 3 : $0[0].shape.size(0), 5], below: 7, for: $0[0], .int32))
    },
    scattering(.set), scattering(.add), scattering(.multiply), scattering(.maximum), scattering(.minimum),
    PrimitiveCase(
        names: ["ScatterElements"], shapes: [[[5, 3], [4, 3]], [[5, 2, 70], [6, 2, 70]], [[1], [1]]],
        rejects: [([[5, 3], [4, 2]], "updates [4, 3], was given [4, 2]"), ([[0, 3], [4, 3]], "index 0 at position 0 isn't in 0..<0")]
    ) {
        let n = try $0[0].shape.size(0), indices = try picks([$0[1].shape.size(0)], below: max(n, 1), for: $0[0])
        return try $0[0].scattered(parts: $0[1], at: indices, .add) * $0[0].scattered(parts: $0[1], at: indices)
    },
    PrimitiveCase(
        names: ["TopK"], shapes: [[[3, 5]], [[2, 3, 40]], [[4, 600]], [[1, 3]], [[0, 5]], [[2, 1000]]], rejects: [([[2, 2]], "0...2")]
    ) { try bent($0[0]).topK(3).values },
    PrimitiveCase(names: ["TopK"], shapes: [[[5, 3]], [[1000, 2]], [[4, 1]]], rejects: [([[3, 2]], "0...3"), ([[]], "has no axis 0")]) {
        let (values, indices) = try bent($0[0]).topK(4, axis: 0, largest: false)
        return try values * indices.cast(to: $0[0].dtype)
    },
    PrimitiveCase(names: ["TopK"], shapes: [[[5]], [[3, 40]], [[3, 700]], [[3, 0]], [[1]], [[2, 3, 9]]]) {
        let x = try bent($0[0])
        return try x.sorted() - x.sorted(descending: true) * x.argSorted().cast(to: x.dtype)
    },
    PrimitiveCase(names: ["TopK"], shapes: [[[5, 3]], [[40, 2]], [[0, 2]]]) { try bent($0[0]).sorted(0) * $0[0].argSorted(0, descending: true).cast(to: $0[0].dtype) },
    PrimitiveCase(
        names: ["CumSum"], shapes: [[[2, 5, 3]], [[3, 7, 1]], [[2, 40, 70]], [[1, 1, 1]], [[2, 0, 3]], [[9, 300, 1]]], rejects: [([[4]], "has no axis 1")]
    ) {
        let x = try bent($0[0])
        let ahead = try x.cumulativeSum(1) * x.cumulativeSum(1, exclusive: true)
        return try ahead + x.cumulativeSum(1, reversed: true) - x.cumulativeSum(1, exclusive: true, reversed: true) * 2
    },
    PrimitiveCase(
        names: ["LinearRecurrence"], shapes: [[[2, 5, 3], [2, 5, 3]], [[3, 7, 1], [3, 7, 1]], [[2, 9, 70], [2, 9, 70]], [[1, 1, 1], [1, 1, 1]], [[2, 0, 3], [2, 0, 3]]],
        range: -1...1, rejects: [([[2, 3], [2, 4]], "terms [2, 3]")]
    ) { try $0[1].recurrence(1, factors: $0[0]) + $0[1].recurrence(1, factors: $0[0], reversed: true) * 0.5 },
    PrimitiveCase(names: ["LinearRecurrence"], shapes: [[[2, 5, 3]], [[3, 7, 1]], [[1, 1, 1]], [[2, 0, 3]]], tolerance: 1e-4) {
        let x = try $0[0].cumulativeProduct(1) + $0[0].cumulativeProduct(1, reversed: true)
        return try x + $0[0].cumulativeProduct(1, exclusive: true) * $0[0].cumulativeProduct(1, exclusive: true, reversed: true)
    },
    PrimitiveCase(
        names: ["NonZero", "Where", "Gather"], shapes: [[[4, 5]], [[3, 5, 2]], [[0, 5]], [[5, 5, 0]]],
        rejects: [([[40, 5]], "limit is 12, allowed is 86"), ([[7]], "a mask of the first sizes")]
    ) {
        let shape: Shape = [try size($0[0], 0), try size($0[0], 1)]
        let (values, count) = try bent($0[0]).selected(where: mask(shape, for: $0[0]), limit: 12)
        return try values * count.cast(to: $0[0].dtype)
    },
    PrimitiveCase(names: ["NonZero"], shapes: [[[4, 5]], [[9]], [[300]], [[0]], [[1]]], rejects: [([[]], "a mask of the first sizes")]) {
        let m = try mask($0[0].shape, for: $0[0])
        let (x, places) = (try bent($0[0]).selected(where: m), try m.nonZero())
        return try x + places.sum([0]).cast(to: x.dtype) + x.filled(with: 3, where: x.isLess(than: Tensor.zeros([], x.dtype, on: x.device)))
    },
    PrimitiveCase(
        names: ["Pad"], shapes: [[[3, 4]], [[2, 3, 5]], [[1, 1]], [[0, 3]], [[2, 0]], [[30, 50]]], rejects: [([[3]], "2 axes at least")]
    ) { try bent($0[0]).padded([(1, 2), (3, 0)], .constant(0.75)) },
    PrimitiveCase(
        names: ["Pad", "Unpad"], shapes: [[[3, 4]], [[2, 3, 5]], [[40, 70]], [[2, 2, 4]], [[0, 2, 4]]],
        rejects: [([[3, 3]], "padding of axis 1 is 3, 0, allowed is 0...2 in [3, 3]"), ([[0, 4]], "padding of axis 0 is 1, 1, allowed is 0...0")]
    ) { try bent(bent($0[0]).padded([(1, 1), (3, 0)], .reflect)) },
    PrimitiveCase(
        names: ["Pad", "Unpad"], shapes: [[[3, 4]], [[2, 3, 5, 1]], [[1, 1]], [[3, 40, 30, 2]]],
        rejects: [([[2, 0]], "padding of axis 1 is 3, 2, allowed is 0...0 in [2, 0]")]
    ) { try bent($0[0]).padded($0[0].rank == 2 ? [(1, 2), (3, 2)] : [(1, 2), (3, 2), (0, 0)], .edge) },
    PrimitiveCase(names: ["Pad", "Unpad"], shapes: [[[3, 4]], [[2, 3, 5]], [[1, 2]], [[30, 50]]]) { try bent($0[0]).padded([(1, 2), (3, 6)], .wrap) },
    PrimitiveCase(
        names: ["Flip"], shapes: [[[3, 4, 5]], [[1, 1, 1]], [[0, 2, 2]], [[30, 5, 40]]], rejects: [([[3]], "has no axis -2")]
    ) {
        // Through everything that reads tensors where they lie.
        let turned = try bent($0[0]).flipped([0, -1])
        let product = try turned.matmul($0[0].flipped([-2]).transposed())
        return try (turned * $0[0]).sum([1]) + product.sum([1]).sum([-1], keepingAxes: true) + turned.flipped([1]).max([1])
    },
    PrimitiveCase(
        names: ["Split"], shapes: [[[2, 6, 3]], [[1, 6, 1]], [[0, 6, 2]], [[30, 6, 50]]],
        rejects: [([[2, 5]], "sizes is [1, 0, 3, 2], allowed is 0 and more, 5 in all"), ([[6]], "has no axis 1")]
    ) {
        let parts = try bent($0[0]).split([1, 0, 3, 2], axis: 1)
        return try parts[2] * parts[0] + parts[1].sum([1], keepingAxes: true)  // the last one is left out
    },
    PrimitiveCase(names: ["Split"], shapes: [[[2, 6, 3]], [[5, 4, 1]]], rejects: [([[2, 5]], "parts is 2, allowed is a divisor")]) {
        let halves = try bent($0[0]).split(into: 2, axis: 1)
        return try Tensor.stacked((halves[0] * halves[1]).unstacked(0).reversed(), axis: -1)
    },
    PrimitiveCase(names: ["Split", "Concat"], shapes: [[[2, 5, 3]], [[1, 1]], [[0, 4]], [[3, 0]]], rejects: [([[3]], "has no axis 1")]) {
        try bent($0[0]).rolled(by: 2, axis: 1) * $0[0].rolled(by: -9, axis: 0)
    },
    PrimitiveCase(names: ["Expand", "Reshape"], shapes: [[[2, 3]], [[1, 1]], [[0, 2]]], rejects: [([[3]], "as many axes as counts, 2")]) {
        try bent($0[0]).tiled([2, 3]) * $0[0].repeated(2, axis: 0).repeated(3, axis: -1)
    },
    PrimitiveCase(names: ["Expand"], shapes: [[[2, 1, 2, 1, 2, 1, 1]]], rejects: [([[1, 1, 1, 1, 1, 1, 1, 1]], "as many axes as counts, 7")]) {
        try bent($0[0]).tiled([2, 1, 1, 2, 1, 3, 1])
    },
    PrimitiveCase(names: ["Slice", "Unslice"], shapes: [[[3, 4, 3]], [[3, 2, 5]], [[1, 2, 1]], [[2, 2, 0]], [[0, 2, 3]]], rejects: [([[3]], "has no axis 2")]) {
        try bent($0[0]).diagonal(0, 2)
    },
    PrimitiveCase(names: ["Where", "Compare"], shapes: [[[4, 4]], [[2, 3, 5]], [[0, 3]]], rejects: [([[3]], "two axes at least")]) {
        try bent($0[0]).lowerTriangle(diagonal: 1) - $0[0].upperTriangle() * 2
    },
    einsum("ij,jk->ik", [[[2, 3], [3, 4]], [[0, 3], [3, 2]], [[2, 0], [0, 3]]], rejects: [([[2, 3], [4, 5]], "size of 'j' is 3 and 4"), ([[2, 3], [3]], "2 axes for a term")]),
    einsum("ij , kj", [[[2, 3], [4, 3]]], rejects: [([[2, 3]], "number of tensors is 1, allowed is 2")]),
    einsum("bhqd,bhkd->bhqk", [[[2, 3, 4, 5], [2, 3, 6, 5]]]),
    einsum("bqhd,bkhd->bhqk", [[[2, 4, 3, 5], [2, 6, 3, 5]]]),
    einsum("...ij,...jk->...ik", [[[2, 3], [3, 4]], [[5, 2, 3], [3, 4]], [[5, 1, 2, 3], [4, 3, 2]]]),
    einsum("i,j", [[[2], [3]]]),
    einsum("ii->i", [[[3, 3]]], rejects: [([[2, 3]], "size of 'i' is 2 and 3")]),
    einsum("ijij,jk->ik", [[[2, 3, 2, 3], [3, 4]]]),
    einsum("ij->", [[[2, 3]]]),
    einsum("ab,bc,cd,de->ae", [[[2, 3], [3, 4], [4, 5], [5, 2]]]),
    einsum("ab,bc,cd,de,ef,fg->ag", [[[2, 3], [3, 2], [2, 3], [3, 2], [2, 3], [3, 2]]]),
    einsum("abc,cbd,bd->ad", [[[2, 3, 4], [4, 3, 5], [3, 5]]]),
    einsum("abcd,dcbe->ae", [[[2, 3, 4, 2], [2, 4, 3, 5]]]),
    einsum("ab,ab,ab->b", [[[2, 3], [2, 3], [2, 3]]]),
]
