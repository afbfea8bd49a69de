import Keel

private func indexing(_ name: String, _ primitives: [String], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_indexing"
    return golden
}

/// The cases of `golden_indexing.py`.
let indexingGoldenCases: [GoldenCase] = [
    indexing("takeAlong", ["GatherElements", "ScatterElements"]) { x throws(TensorError) in try x[0].takenAlong(1, at: x[1]) },
    indexing("scatterAdd", ["ScatterElements", "GatherElements"]) { x throws(TensorError) in try x[0].scattered(x[1], along: 1, at: x[2], .add) },
    indexing("scatterMultiply", ["ScatterElements"]) { x throws(TensorError) in try x[0].scattered(x[1], along: 1, at: x[2], .multiply) },
    indexing("scatterMaximum", ["ScatterElements"]) { x throws(TensorError) in try x[0].scattered(x[1], along: 1, at: x[2], .maximum) },
    indexing("scatterMinimum", ["ScatterElements"]) { x throws(TensorError) in try x[0].scattered(x[1], along: 1, at: x[2], .minimum) },
    indexing("scatterSet", ["ScatterElements"]) { x throws(TensorError) in try x[0].scattered(x[1], along: 1, at: x[2]) },
    indexing("scatterParts", ["ScatterElements"]) { x throws(TensorError) in try x[0].scattered(parts: x[1], at: x[2], .add) },
    indexing("topK", ["TopK"]) { x throws(TensorError) in try x[0].topK(4).values },
    indexing("topKSmallest", ["TopK"]) { x throws(TensorError) in try x[0].topK(2, axis: 0, largest: false).values },
    indexing("sort", ["TopK"]) { x throws(TensorError) in try x[0].sorted() },
    indexing("sortDescending", ["TopK"]) { x throws(TensorError) in try x[0].sorted(0, descending: true) },
    indexing("argSort", ["TopK"]) { x throws(TensorError) in try x[0].argSorted().cast(to: x[0].dtype) * x[0] },
    indexing("cumulativeSum", ["CumSum"]) { x throws(TensorError) in try x[0].cumulativeSum(1) },
    indexing("cumulativeSumReversed", ["CumSum"]) { x throws(TensorError) in try x[0].cumulativeSum(1, exclusive: true, reversed: true) },
    indexing("cumulativeProduct", ["LinearRecurrence"]) { x throws(TensorError) in try x[0].cumulativeProduct(1) },
    indexing("recurrence", ["LinearRecurrence"]) { x throws(TensorError) in try x[1].recurrence(1, factors: x[0]) },
    indexing("selected", ["Gather"]) { x throws(TensorError) in
        try x[0].selected(where: x[0].isGreater(than: Tensor.full(0.25, [], x[0].dtype, on: x[0].device)))
    },
    indexing("selectedRows", ["Gather", "Where"]) { x throws(TensorError) in
        try x[0].selected(where: Tensor([true, false, false, true]).moved(to: x[0].device), limit: 3).values
    },
    indexing("padConstant", ["Pad"]) { x throws(TensorError) in try x[0].padded([(0, 1), (1, 2)], .constant(0.5)) },
    indexing("padReflect", ["Pad", "Unpad"]) { x throws(TensorError) in try x[0].padded([(2, 2), (3, 1)], .reflect) },
    indexing("padEdge", ["Pad", "Unpad"]) { x throws(TensorError) in try x[0].padded([(2, 0), (3, 5)], .edge) },
    indexing("padWrap", ["Pad", "Unpad"]) { x throws(TensorError) in try x[0].padded([(0, 2), (3, 1)], .wrap) },
    indexing("flip", ["Flip"]) { x throws(TensorError) in try x[0].flipped([0, 2]) },
    indexing("roll", ["Split", "Concat"]) { x throws(TensorError) in try x[0].rolled(by: 2, axis: 1) },
    indexing("split", ["Split"]) { x throws(TensorError) in try x[0].split([1, 3, 2], axis: 1)[1] },
    indexing("tile", ["Expand", "Reshape"]) { x throws(TensorError) in try x[0].tiled([2, 3]) },
    indexing("repeat", ["Expand", "Reshape"]) { x throws(TensorError) in try x[0].repeated(3, axis: 1) },
    indexing("diagonal", ["Slice"]) { x throws(TensorError) in try x[0].diagonal(0, 2) },
    indexing("triangles", ["Where"]) { x throws(TensorError) in try x[0].lowerTriangle(diagonal: 1) + x[0].upperTriangle(diagonal: 2) * 2 },
    indexing("einsum0", ["MatMul"]) { x throws(TensorError) in try Einsum("bqhd,bkhd->bhqk")(x) },
    indexing("einsum1", ["MatMul"]) { x throws(TensorError) in try Einsum("ijij,jk->ik")(x) },
    indexing("einsum2", ["MatMul"]) { x throws(TensorError) in try Einsum("ab,bc,cd,de->ae")(x) },
    indexing("einsum3", ["MatMul"]) { x throws(TensorError) in try Einsum("...ij,...jk->...ik")(x) },
    indexing("einsum4", ["MatMul"]) { x throws(TensorError) in try Einsum("abc,cbd,bd->ad")(x) },
    indexing("einsum5", ["MatMul"]) { x throws(TensorError) in try Einsum("ij,kj")(x) },
]
