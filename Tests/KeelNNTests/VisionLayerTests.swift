import Keel
import KeelNN
import Testing

private func names(_ layer: some Layer) throws -> [String] { try layer.state().map { "\($0.name) \($0.tensor.shape)" } }

@Test func visionLayersNameTheirState() throws {
    var generator = Philox(seed: 1)
    #expect(try names(GroupNorm(6, groups: 2)) == ["scale [6]", "bias [6]"])
    #expect(try names(InstanceNorm(6)) == ["scale [6]", "bias [6]"])
    #expect(try names(RMSNorm(6)) == ["scale [6]"])
    #expect(try names(ConvTranspose2D(4, 6, kernel: 3, groups: 2, using: &generator)) == ["weight [4, 3, 3, 3]", "bias [6]"])
    #expect(try names(Conv1D(4, 6, kernel: 3, groups: 2, hasBias: false, using: &generator)) == ["weight [6, 2, 3]"])
    #expect(try names(AdaptivePool(.max, 2, 3)) + names(Upsample(2)) == [])
}

/// A deviation is told from n numbers to about 1 / √(2n): 5 % at n = 400 and more, of which four times are allowed.
@Test func convolutionsKeepTheSpreadOfTheirInputs() throws {
    var generator = Philox(seed: 2)
    let pictures = try Tensor.normal([8, 32, 12, 12], using: &generator), sequences = try Tensor.normal([8, 32, 50], using: &generator)
    let up = try ConvTranspose2D(32, 32, kernel: 4, stride: 2, padding: 1, using: &generator)(pictures, in: .prediction)
    #expect(up.shape == [8, 32, 24, 24])
    let along = try Conv1D(32, 32, kernel: 3, padding: (1, 1), using: &generator)(sequences, in: .prediction)
    #expect(along.shape == [8, 32, 50])
    // The edges have fewer inputs, so that the middle alone is looked at: He's variance is 2.
    #expect(abs(try up.sliced(2, from: 2, to: 22).sliced(3, from: 2, to: 22).variance().item() - 2) < 0.4)
    #expect(abs(try along.sliced(2, from: 1, to: 49).variance().item() - 2) < 0.4)
}

@Test func aCausalConvolutionSeesNothingLater() throws {
    var generator = Philox(seed: 3)
    let layer = try Conv1D(2, 3, kernel: 3, padding: (8, 0), dilation: 4, using: &generator)
    let x = try Tensor.uniform([1, 2, 20], in: -1...1, using: &generator)
    let other = try Tensor.concatenated([x.sliced(2, to: 11), x.sliced(2, from: 11) * 3 + 1], axis: 2)
    let (a, b) = (try layer(x, in: .prediction), try layer(other, in: .prediction))
    #expect(a.shape == [1, 3, 20])
    #expect(try a.sliced(2, to: 11).elements() == b.sliced(2, to: 11).elements())
    #expect(try a.sliced(2, from: 11).elements() != b.sliced(2, from: 11).elements())
}

/// Means of 0 and deviations of 1, but for ε, within rounding.
@Test func normalisationsNormalise() throws {
    var generator = Philox(seed: 4)
    let x = try Tensor.uniform([3, 6, 5, 4], in: 1...9, using: &generator)
    let grouped = try GroupNorm(6, groups: 2)(x, in: .prediction).reshaped([3, 2, 60]), single = try InstanceNorm(6)(x, in: .prediction).reshaped([18, 20])
    for y in [grouped, single] {
        #expect(try y.mean([-1]).elements().allSatisfy { abs($0) < 1e-5 })
        #expect(try y.variance([-1]).elements().allSatisfy { abs($0 - 1) < 1e-4 })
    }
    let y = try RMSNorm(4)(x, in: .prediction)
    #expect(try y.squared().mean([-1]).elements().allSatisfy { abs($0 - 1) < 1e-5 })
}

/// A small network that goes down and up again learns to give its pictures back.
@Test func anHourglassLearns() throws {
    struct Hourglass: Layer {
        var down: Conv2D
        var norm: GroupNorm
        var up: ConvTranspose2D
        init(using generator: inout Philox) throws {
            down = try Conv2D(1, 8, kernel: 3, stride: 2, padding: 1, using: &generator)
            norm = try GroupNorm(8, groups: 4)
            up = try ConvTranspose2D(8, 1, kernel: 3, stride: 2, padding: 1, outputPadding: 1, using: &generator)
        }
        func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try up(norm(down(x, in: context), in: context).silu(), in: context) }
        mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try down.forEachState(body, under: "down")
            try norm.forEachState(body, under: "norm")
            try up.forEachState(body, under: "up")
        }
    }
    var generator = Philox(seed: 5)
    var net = try Hourglass(using: &generator)
    let parameters = try ParameterStore(&net)
    let optimizer = try AdamW(parameters, learningRate: 0.02)
    let x = try Tensor.uniform([8, 1, 4, 4], in: -1...1, using: &generator).upsampled(by: 2, .linear)
    var losses: [Float] = []
    for step in 0..<60 {
        let loss = try net(x, in: .training(seed: 1, step: step)).meanSquaredError(x)
        losses.append(try loss.item())
        try loss.backward()
        try optimizer.step()
        try parameters.clearGradients()
    }
    #expect(losses[59] < losses[0] / 10, "\(losses[0]) → \(losses[59])")
}

@Test func convolutionsHaveSizesOfTheirOwnAlongEachAxis() throws {
    var generator = Philox(seed: 1)
    let sliding = Sliding(stride: (1, 2), padding: (top: 0, left: 3, bottom: 0, right: 3))
    let conv = try Conv2D(2, 4, kernel: (1, 7), sliding: sliding, groups: 2, using: &generator)
    #expect(conv.weight.shape == [4, 1, 1, 7])
    let x = try Tensor.normal([3, 2, 5, 8], using: &generator), y = try conv(x, in: .prediction)
    #expect(y.shape == [3, 4, 5, 4])
    #expect(try y.elements() == x.conv2D(conv.weight, bias: conv.bias, sliding: sliding, groups: 2).elements())
    let back = try ConvTranspose2D(4, 2, kernel: (1, 7), sliding: sliding, outputPadding: (0, 1), using: &generator)
    #expect(try back(y, in: .prediction).shape == x.shape)
    let line = try ConvTranspose1D(2, 6, kernel: 4, stride: 3, padding: (1, 0), outputPadding: 2, dilation: 2, groups: 2, using: &generator)
    #expect(line.weight.shape == [2, 3, 4])
    let sequence = try x.sliced(2, to: 1).withoutAxis(2), longer = try line(sequence, in: .prediction)
    #expect(longer.shape == [3, 6, 7 * 3 - 1 + 2 * 3 + 1 + 2])
    #expect(
        try longer.elements()
            == sequence.convTranspose1D(line.weight, bias: line.bias, stride: 3, padding: (1, 0), outputPadding: 2, dilation: 2, groups: 2).elements())
}

@Test func convolutionsThatDoNotFitAreRefused() throws {
    var generator = Philox(seed: 1)
    func expect(_ layer: String, _ name: String, _ given: String, _ allowed: String, _ make: () throws -> any Layer) {
        #expect(throws: TensorError(.argument(primitive: layer, name: name, given: given, allowed: allowed))) { try make() }
    }
    expect("Conv2D", "groups", "0", "a divisor of 4 and of 6") { try Conv2D(4, 6, kernel: 3, groups: 0, using: &generator) }
    expect("Conv2D", "groups", "4", "a divisor of 4 and of 6") { try Conv2D(4, 6, kernel: 3, groups: 4, using: &generator) }
    expect("Conv1D", "kernel", "[0]", "1 and more") { try Conv1D(4, 6, kernel: 0, using: &generator) }
    expect("ConvTranspose2D", "channels", "-1 and 6", "1 and more") { try ConvTranspose2D(-1, 6, kernel: 2, using: &generator) }
    expect("ConvTranspose1D", "groups", "3", "a divisor of 4 and of 6") { try ConvTranspose1D(4, 6, kernel: 2, groups: 3, using: &generator) }
    #expect(throws: TensorError.self) { try Conv2D(1 << 30, 1 << 30, kernel: 3, using: &generator) }
}

@Test func aSequenceOfLayersFlattensPictures() throws {
    var generator = Philox(seed: 1)
    let layers: [any Layer] = [
        try Conv2D(1, 4, kernel: 3, padding: 1, using: &generator), Activation.relu, MaxPool(2), Flatten(),
        try Linear(4 * 4 * 3, 5, using: &generator),
    ]
    #expect(try Sequential(layers)(.zeros([2, 1, 8, 6]), in: .prediction).shape == [2, 5])
    #expect(try Flatten(from: 2)(.zeros([2, 3, 4, 5]), in: .prediction).shape == [2, 3, 20])
}
