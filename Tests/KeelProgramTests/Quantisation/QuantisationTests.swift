import Foundation
import Keel
import KeelBenchNetworks
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

private let batch = Dimension.symbol("batch")

extension Program {
    fileprivate var primitives: Set<String> { Set(graph.nodes.map { type(of: $0.primitive).name }) }
    fileprivate func count(_ primitive: String) -> Int { graph.nodes.count { type(of: $0.primitive).name == primitive } }
}

/// However many of the worst layers have to go, they are found, and no more; few trials are made.
@Test(arguments: [0, 1, 2, 5, 16, 21])
func theGuardFindsTheFewest(layers: Int) {
    for needed in 0...(layers + 1) {
        var trials: Set<Int> = [], count = 0
        let found = Fallback.fewest(of: layers) { floats in
            count += 1
            trials.insert(floats)
            return floats >= needed ? "\(floats)" : nil
        }
        #expect(found?.count == (needed < max(layers, 1) ? needed : nil))
        #expect(found.map { $0.result == "\($0.count)" } ?? true)
        #expect(trials.count == count && Double(count) <= 2 * log2(Double(max(layers, 1))) + 2)
        #expect(!trials.contains(layers) || layers == 0)
    }
}

/// Three layers, of whose second each row has one weight that is thousands of times the others and multiplies next to nothing: its bytes have nothing of these.
@Test(arguments: [Quantisation.Kind.static, .dynamic])
func onlyTheHarmfulLayerFallsBack(kind: Quantisation.Kind) throws {
    var generator = Philox(seed: 4)
    var second = try Tensor.normal([24, 16], using: &generator)
    second = try .concatenated([Tensor.full(5000, [24, 1]), second.sliced(1, from: 1, to: 16)], axis: 1)
    var first = try Tensor.normal([16, 8], using: &generator)
    first = try .concatenated([Tensor.full(1e-7, [1, 8]), first.sliced(0, from: 1, to: 16)])
    let last = try Tensor.normal([4, 24], using: &generator)
    let program = try Program.trace(
        { x in try x.affine(first).relu().affine(second).relu().affine(last) }, input: "x", TensorSpec(Shape(batch, Dimension(8)), .float32))
    let samples = try (0..<4).map { _ in [try Tensor.normal([16, 8], using: &generator)] }
    let expected = try samples.map { try program.run($0)[0] }
    /// What is right less what is wrong.
    func score(_ program: Program) throws -> Double {
        let errors = try zip(samples, expected).map { sample, y in Double(try ((program.run(sample)[0] - y).norm() / y.norm()).item()) }
        return 1 - errors.reduce(0, +) / 4
    }
    let (quantised, report) = try program.quantised(Quantisation(kind, greatestLoss: 0.05), calibratedBy: samples, score: score)
    #expect(report.fallenBack.map(\.place) == [1])
    #expect(report.layers.map(\.isQuantised) == [true, false, true])
    #expect(quantised.graph.nodes.map { type(of: $0.primitive).name } == ["QuantisedAffine", "ActivatedAffine", "QuantisedAffine"])
    let scores = try #require(report.scores)
    // What the passes made adds up in another order.
    #expect(abs(scores.before - 1) < 1e-5 && scores.after > 0.95 && scores.evaluations == 3)
    #expect(try score(quantised) == scores.after)
    // Without a guard nothing is asked, and all are bytes.
    let unguarded = try program.quantised(Quantisation(kind), calibratedBy: samples)
    #expect(unguarded.report.scores == nil && unguarded.program.count("QuantisedAffine") == 3)
    #expect(try score(unguarded.program) < 0.5)
}

@Test func aScoreThatNeverHoldsLeavesTheFloats() throws {
    var generator = Philox(seed: 4)
    let network = try MLP(8, 16, 4, using: &generator)
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(Shape(batch, Dimension(8)), .float32))
    var asked = 0
    let (quantised, report) = try program.quantised(Quantisation(.dynamic)) { program in
        asked += 1
        return program.primitives.contains("QuantisedAffine") ? .nan : 1
    }
    #expect(quantised.primitives == ["ActivatedAffine"] && report.fallenBack.count == 3 && report.scores?.evaluations == asked && asked <= 5)
    #expect(report.bytes.before == report.bytes.after)
}

@Test func weightsTakeAQuarter() throws {
    var generator = Philox(seed: 4)
    let network = try MLP(256, 512, 128, using: &generator)
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(Shape(batch, Dimension(256)), .float32))
    let x = try Tensor.normal([3, 256], using: &generator), (quantised, report) = try program.quantised(Quantisation(.weights))
    #expect(report.milliseconds == nil && report.calibration == nil)
    // A byte for each weight, and a scale and a bias for each row.
    #expect(report.layers.map(\.bytes.after) == [512 * 256 + 512 * 4, 512 * 512 + 512 * 4, 128 * 512 + 128 * 4])
    #expect(Double(report.bytes.before) / Double(report.bytes.after) > 3.8)
    // 127 steps to the largest weight of a row: about 40 dB.
    #expect(report.layers.allSatisfy { ($0.signalToNoise ?? 0) > 38 })
    try expectClose(quantised.run([x]), program.run([x]), 0.02)
}

@Test func dynamicQuantisationNeedsNoSamples() throws {
    var generator = Philox(seed: 4)
    let network = try EncoderClassifier(48, heads: 4, inner: 96, layers: 2, classes: 2, using: &generator)
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(Shape(batch, .symbol("time"), Dimension(48)), .float32))
    let (quantised, report) = try program.quantised(Quantisation(.dynamic))
    #expect(quantised.count("QuantisedAffine") == report.layers.count(where: \.isQuantised) && report.layers.count(where: \.isQuantised) >= 9)
    let x = try Tensor.normal([2, 7, 48], using: &generator)
    try expectClose(quantised.run([x]), program.run([x]), 0.05)
}

@Test func theReportSaysWhatWasDone() throws {
    var generator = Philox(seed: 4)
    let network = try SmallResNet(8, 10, using: &generator)
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(Shape(batch, Dimension(3), Dimension(16), Dimension(16)), .float32))
    let samples = try (0..<2).map { _ in [try Tensor.normal([2, 3, 16, 16], using: &generator)] }
    let (quantised, report) = try program.quantised(calibratedBy: samples) { _ in 0.75 }
    #expect(quantised.count("QuantisedConv2D") + quantised.count("QuantisedAffine") == report.layers.count(where: \.isQuantised))
    #expect(!quantised.primitives.contains("RectifiedConv2D") && !quantised.primitives.contains("Conv"))
    let milliseconds = try #require(report.milliseconds)
    #expect(milliseconds.before > 0 && milliseconds.after > 0)
    #expect(report.bytes.after * 3 < report.bytes.before)
    #expect(report.layers.allSatisfy { ($0.signalToNoise ?? 0) > 25 })
    let text = report.description
    for part in ["static, minmax", "int8", " dB", "run, ms", "0.7500", "loses 0.0000", "16x8x3x3"] { #expect(text.contains(part), "\(part) in\n\(text)") }
    let copy = try JSONDecoder().decode(QuantisationReport.self, from: JSONEncoder().encode(report))
    #expect(copy.layers == report.layers && copy.description == text)
}

/// Pictures of a bright bar on noise, upright or lying, at one of three places: six classes.
private func bars(_ count: Int, seed: UInt64) throws -> (x: Tensor, labels: [Int]) {
    var generator = Philox(seed: seed)
    let noise = try Tensor.normal([count, 1, 12, 12], using: &generator).elements()
    var pixels = noise.map { $0 * 0.9 }
    let labels = (0..<count).map { _ in Int(generator.next() % 6) }
    for (i, label) in labels.enumerated() {
        for along in 2..<10 {
            for across in 0..<2 {
                let place = label % 3 * 4 + 1 + across, (y, x) = label < 3 ? (along, place) : (place, along)
                pixels[i * 144 + y * 12 + x] += 1.2
            }
        }
    }
    return (try Tensor(pixels, [count, 1, 12, 12]), labels)
}

private struct BarNetwork: Layer {
    var first, second: ConvNorm2D
    var head: Linear

    init(using generator: inout Philox) throws(TensorError) {
        first = try ConvNorm2D(1, 8, kernel: 3, using: &generator)
        second = try ConvNorm2D(8, 16, kernel: 3, stride: 2, using: &generator)
        head = try Linear(16 * 36, 6, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(second(first(x, in: context), in: context).flattened(from: 1), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try head.forEachState(body, under: "head")
    }
}

@Test func aTrainedNetworkLosesAtMostAPoint() throws {
    var generator = Philox(seed: 1), network = try BarNetwork(using: &generator)
    let parameters = try ParameterStore(&network), optimizer = try AdamW(parameters, learningRate: 0.003)
    for step in 0..<40 {
        let (x, labels) = try bars(64, seed: UInt64(step) + 10)
        try parameters.clearGradients()
        try network(x, in: .training(seed: 1, step: step)).softmaxCrossEntropy(Tensor(labels.map(Int64.init))).backward()
        try optimizer.step()
    }
    let ready = network
    let program = try Program.trace({ try ready($0, in: .prediction) }, input: "x", TensorSpec(Shape(batch, Dimension(1), Dimension(12), Dimension(12)), .float32))
    let (test, labels) = try bars(1000, seed: 2)
    func accuracy(_ program: Program) throws -> Double {
        let found = try program.run([test])[0].argMax(1).elements(Int64.self)
        return Double(zip(found, labels).count { Int($0) == $1 }) / 1000
    }
    let before = try accuracy(program), samples = try (0..<8).map { [try bars(16, seed: UInt64($0) + 100).x] }
    #expect(before > 0.85 && before < 0.999)
    for options in [Quantisation(.static), Quantisation(.static, calibration: .entropy), Quantisation(.dynamic), Quantisation(.weights)] {
        // Without a guard.
        let (quantised, report) = try program.quantised(options, calibratedBy: samples)
        #expect(report.fallenBack.isEmpty)
        #expect(try before - accuracy(quantised) <= 0.01, "\(options)")
    }
}
