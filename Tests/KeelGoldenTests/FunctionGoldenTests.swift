import Keel

private func function(_ name: String, _ primitives: [String], _ body: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, body)
    golden.file = "golden_functions"
    return golden
}

/// The cases of `golden_functions.py`.
let functionGoldenCases: [GoldenCase] = [
    function("expm1", ["Expm1"]) { x throws(TensorError) in try x[0].expm1() },
    function("log1p", ["Log1p"]) { x throws(TensorError) in try (x[0] / 2.5).log1p() },
    function("sine", ["Sin", "Cos"]) { x throws(TensorError) in try x[0].sine() },
    function("cosine", ["Cos", "Sin"]) { x throws(TensorError) in try x[0].cosine() },
    function("tangent", ["Cos", "Sin"]) { x throws(TensorError) in try (x[0] / 2).tangent() },
    function("arcsine", ["Atan"]) { x throws(TensorError) in try (x[0] / 2.5).arcsine() },
    function("arccosine", ["Atan"]) { x throws(TensorError) in try (x[0] / 2.5).arccosine() },
    function("hyperbolicSine", ["Sinh"]) { x throws(TensorError) in try x[0].hyperbolicSine() },
    function("hyperbolicCosine", ["Cosh"]) { x throws(TensorError) in try x[0].hyperbolicCosine() },
    function("floor", ["Floor"]) { x throws(TensorError) in try x[0].floor() },
    function("ceil", ["Ceil"]) { x throws(TensorError) in try x[0].ceil() },
    function("rounded", ["Round"]) { x throws(TensorError) in try x[0].rounded() },
    function("truncated", ["Truncate"]) { x throws(TensorError) in try x[0].truncated() },
    function("arctangent2", ["Arctangent2"]) { x throws(TensorError) in try x[0].arctangent(over: x[1]) },
    function("remainder", ["Mod"]) { x throws(TensorError) in try x[0].remainder(over: x[1]) },
    function("variance", ["ReduceSum"]) { x throws(TensorError) in try x[0].variance([0, 2], correction: 1) },
    function("standardDeviation", ["Sqrt"]) { x throws(TensorError) in try x[0].standardDeviation([1], keepingAxes: true) },
    function("product", ["LinearRecurrence"]) { x throws(TensorError) in try x[0].product([0, -1]) },
    function("quantile", ["TopK"]) { x throws(TensorError) in try x[0].quantile(0.3) },
    function("median", ["TopK"]) { x throws(TensorError) in try x[0].median(0) },
    function("cumulativeMax", ["CumulativeExtreme"]) { x throws(TensorError) in try x[0].cumulativeMax(1).values },
    function("cumulativeMin", ["CumulativeExtreme"]) { x throws(TensorError) in try x[0].cumulativeMin(0).values },
]
