import Foundation
import Keel
import KeelNN
import Testing

private let halves: [DType] = [.bfloat16, .float16]

private struct Net: Layer {
    var first, second: Linear
    var batch: BatchNorm
    var norm: LayerNorm

    init() throws {
        var generator = Philox(seed: 8)
        first = try Linear(6, 16, using: &generator)
        batch = try BatchNorm(16)
        norm = try LayerNorm(16)
        second = try Linear(16, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try second(context.dropped(norm(batch(first(x, in: context), in: context).gelu(), in: context), rate: 0.2), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try batch.forEachState(body, under: "batch")
        try norm.forEachState(body, under: "norm")
        try second.forEachState(body, under: "second")
    }
}

private func batch() throws -> (x: Tensor, labels: Tensor) {
    var generator = Philox(seed: 9)
    return (try .normal([12, 6], using: &generator), try Tensor((0..<12).map { Int64($0 * 5 % 3) }))
}

/// The loss and its gradients by input and parameters, in training.
private func gradients(_ net: Net, _ dtype: DType) throws -> (loss: Float, found: [Tensor]) {
    var net = try net.cast(to: dtype), variables: [Tensor] = []
    try net.forEachState { (_, kind, tensor) throws(TensorError) in
        guard kind == .parameter else { return }
        tensor = tensor.requiringGradient()
        variables.append(tensor)
    }
    let (numbers, labels) = try batch(), x = try numbers.cast(to: dtype).requiringGradient()
    let loss = try net(x, in: .training(seed: 1, step: 2)).softmaxCrossEntropy(labels)
    return (try loss.item(), try loss.gradients(of: [x] + variables))
}

/// A bfloat16 has 8 bits of precision, a float16 11: each of some ten roundings on the way to a gradient is up to 2^-9 or 2^-12 of a number, and
/// normalisation carries them on to all numbers of a row. 2^-4 or 2^-7 of a gradient's largest number leaves room for them.
@Test(arguments: zip(halves, [Float(0x1p-4), 0x1p-7]))
func aNetworkOfHalfFloatsHasTheGradientsOfFloat32(_ half: DType, _ tolerance: Float) throws {
    let net = try Net(), (loss, found) = try gradients(net, half), (expectedLoss, expected) = try gradients(net, .float32)
    #expect(abs(loss - expectedLoss) <= tolerance * expectedLoss)
    let scale = try expected.map { try $0.magnitude().max().item() as Float }.max() ?? 0
    for (i, (a, b)) in zip(found, expected).enumerated() {
        #expect(a.dtype == half)
        // A bias before a batch normalisation has a gradient of nothing but roundings: so it is measured by the network's largest.
        let largest = max(try b.magnitude().max().item(), scale / 16), off: Float = try (a.cast(to: .float32) - b).magnitude().max().item()
        #expect(off <= tolerance * largest, "gradient \(i) is off by \(off) of \(largest)")
    }
}

@Test(arguments: halves)
func aLayerOfHalfFloatsIsHalfAsLargeAndPredictsNearlyTheSame(_ half: DType) throws {
    let net = try Net(), small = try net.cast(to: half), x = try batch().x
    func bytes(_ net: Net) throws -> Int { try net.state().reduce(0) { $0 + $1.tensor.count * $1.tensor.dtype.width } }
    #expect(try 2 * bytes(small) == bytes(net))
    #expect(try net.state().allSatisfy { $0.tensor.dtype == .float32 })
    let y = try small(x.cast(to: half), in: .prediction), expected = try net(x, in: .prediction)
    #expect(y.dtype == half)
    // Some six roundings of up to 2^-9 or 2^-12 of numbers of about 1.
    #expect(try (y.cast(to: .float32) - expected).magnitude().max().item() <= (half == .bfloat16 ? 0x1p-5 : 0x1p-8))
    #expect(try summary(small, input: x.cast(to: half)).stateBytes == bytes(small))
    #expect(throws: TensorError(.dtype(primitive: "cast of a layer", expected: "a kind of float", .int64))) { try net.cast(to: .int64) }
    #expect(throws: TensorError(.dtypesDiffer(primitive: "Affine", .float32, half))) { try small(x, in: .prediction) }
}

@Test func runningStatisticsOfHalfFloatsMove() throws {
    let x = try batch().x
    func statistics(_ dtype: DType) throws -> [Float] {
        let net = try Net().cast(to: dtype)
        _ = try net(x.cast(to: dtype), in: .training(seed: 1, step: 2))
        return try net.batch.runningMean.elements() + net.batch.runningVariance.elements()
    }
    // One rounding each, and those of the layer before.
    #expect(zip(try statistics(.bfloat16), try statistics(.float32)).allSatisfy { abs($0 - $1) <= 0x1p-7 })
}

@Test(arguments: halves)
func aLayerOfHalfFloatsIsSavedAndLoaded(_ half: DType) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let small = try Net().cast(to: half)
    try small.save(to: path)
    func numbers(_ net: Net) throws -> [[Float]] { try net.state().map { try $0.tensor.elements() } }
    var again = try Net().cast(to: half), wide = try Net()
    for i in 0..<2 {
        // The second time into a store's memory.
        if i == 1 { _ = try ParameterStore(&wide) }
        try wide.load(from: path)
        #expect(try numbers(wide) == numbers(small))
        #expect(try wide.state().allSatisfy { $0.tensor.dtype == .float32 })
    }
    try again.load(from: path)
    #expect(try numbers(again) == numbers(small))
    #expect(try again.state().allSatisfy { $0.tensor.dtype == half })
    // Never narrowed without being asked.
    try wide.save(to: path)
    let error = #expect(throws: TensorError.self) { try again.load(from: path) }
    #expect(error?.description == "'first.weight' is float32[16, 6], the layer needs \(half)[16, 6]")
}

@Test func aStoreTrainsFloat32Only() throws {
    var net = try Net().cast(to: .bfloat16)
    let error = #expect(throws: TensorError.self) { try ParameterStore(&net) }
    #expect(error?.description == "ParameterStore: needs float32 for 'first.weight', was given bfloat16")
}
