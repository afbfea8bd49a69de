import Keel
import KeelNN
import Testing

/// A network of which every block may be run again on the way back.
private struct Net: Layer {
    var first, second: Linear
    var norm: BatchNorm
    var keepsNothing = false

    init() throws {
        var generator = Philox(seed: 4)
        first = try Linear(6, 8, using: &generator)
        norm = try BatchNorm(8)
        second = try Linear(8, 3, using: &generator)
    }

    private func hidden(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let y = try context.dropped(norm(first(x, in: context), in: context).relu(), rate: 0.3)
        try context.add(auxiliaryLoss: y.mean())
        return y
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try context.dropped(x, rate: 0.1)
        let y = keepsNothing ? try context.checkpointed(x) { x, context throws(TensorError) in try hidden(x, in: context) } : try hidden(x, in: context)
        return try second(context.dropped(y, rate: 0.2), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try norm.forEachState(body, under: "norm")
        try second.forEachState(body, under: "second")
    }
}

/// The same dropout, the same running statistics, the same gradients, to the bit.
@Test func aNetworkWithCheckpointsTrainsAsWithout() throws {
    func run(_ keepsNothing: Bool) throws -> [[Float]] {
        var net = try Net()
        net.keepsNothing = keepsNothing
        let parameters = try ParameterStore(&net)
        var generator = Philox(seed: 6)
        let x = try Tensor.normal([16, 6], using: &generator), labels = try Tensor((0..<16).map { Int64($0 % 3) })
        try net(x, in: .training(seed: 2, step: 5)).softmaxCrossEntropy(labels).backward()
        return try [parameters.gradients.elements()] + net.state().filter { $0.kind == .buffer }.map { try $0.tensor.elements() }
    }
    #expect(try run(true) == run(false))
}

private func stored(_ numbers: [Float]) throws -> ParameterStore {
    var net = try Net()
    let parameters = try ParameterStore(&net)
    try parameters.gradients.sliced(0, to: numbers.count).assign(Tensor(numbers))
    return parameters
}

@Test func gradientsAreClippedToANorm() throws {
    let parameters = try stored([3, 0, -4])
    #expect(try parameters.clipGradients(toNorm: 10).item() == 5)
    #expect(try Array(parameters.gradients.elements()[..<3]) == [3, 0, -4])
    #expect(try parameters.clipGradients(toNorm: 1).item() == 5)
    let found = try parameters.gradients.elements()
    #expect(zip(found, [0.6, 0, -0.8]).allSatisfy { abs($0 - $1) < 1e-6 })
    try parameters.clearGradients()
    #expect(try parameters.clipGradients(toNorm: 1).item() == 0)
    #expect(try parameters.gradients.elements().allSatisfy { $0 == 0 })
    #expect(throws: TensorError.self) { try parameters.clipGradients(toNorm: 0) }
}

@Test func gradientsAreClippedToAValue() throws {
    let parameters = try stored([3, 0.25, -4, -0.5])
    try parameters.clipGradients(toValue: 0.5)
    #expect(try Array(parameters.gradients.elements()[..<4]) == [0.5, 0.25, -0.5, -0.5])
    #expect(throws: TensorError.self) { try parameters.clipGradients(toValue: -1) }
}
