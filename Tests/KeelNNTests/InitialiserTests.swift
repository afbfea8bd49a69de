import Keel
import KeelNN
import Testing

/// A uniform number's variance is a third of its bound's square; 60,000 numbers tell it to about 1 %.
@Test func initialVariancesAreThoseOfTheFans() throws {
    var generator = Philox(seed: 1)
    let shape: Shape = [100, 60, 10]
    func variance(_ x: Tensor) throws -> Double { Double(try x.squared().mean().item()) }
    func expect(_ x: Tensor, _ wanted: Double) throws { #expect(try abs(variance(x) / wanted - 1) < 0.04) }
    try expect(.kaimingUniform(shape, using: &generator), 2.0 / 600)
    try expect(.kaimingNormal(shape, slope: 1, mode: .output, using: &generator), 1.0 / 1000)
    try expect(.xavierUniform(shape, using: &generator), 2.0 / 1600)
    try expect(.xavierNormal(shape, gain: 2, using: &generator), 8.0 / 1600)
}

@Test(arguments: [Shape([5, 8]), [8, 5], [4, 2, 3], [6, 6]])
func orthogonalWeightsKeepLengths(_ shape: Shape) throws {
    var generator = Philox(seed: 2)
    let w = try Tensor.orthogonal(shape, gain: 2, using: &generator).flattened(from: 1)
    let product = try (w.shape[0].value() <= w.shape[1].value() ? w.matmul(w.transposed()) : w.transposed().matmul(w)).elements()
    let n = Int(Double(product.count).squareRoot())
    for (i, number) in product.enumerated() { #expect(abs(number - (i % (n + 1) == 0 ? 4 : 0)) < 1e-5) }
}

@Test func weightsWithoutFansAreRefused() throws {
    var generator = Philox(seed: 3)
    let error = #expect(throws: TensorError.self) { try Tensor.xavierNormal([5], using: &generator) }
    #expect(error?.description == "Initialiser: needs weights [outputs, inputs, window...] with a number at least, was given [5]")
    #expect(throws: TensorError.self) { try Tensor.orthogonal([0, 5], using: &generator) }
}
