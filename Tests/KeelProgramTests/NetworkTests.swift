import Keel
import KeelBenchNetworks
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

/// A workload's network, and what it is given.
struct TracedNetwork: Sendable, CustomStringConvertible {
    let description: String
    let inputs: KeyValuePairs<String, TensorSpec>
    /// The evaluation forward of a new network.
    let make: @Sendable () throws -> ([Tensor]) throws -> Tensor

    /// Of ids below 50, lengths of at most `time`, true and false, and else of numbers of about 1.
    func sample(batch: Int, time: Int, seed: UInt64) throws -> [Tensor] {
        var generator = Philox(seed: seed)
        return try inputs.map { name, spec in
            let sizes = (0..<spec.shape.rank).map { axis in spec.shape[axis].number ?? (spec.shape[axis] == .symbol("time") ? time : batch) }
            let count = sizes.reduce(1, *)
            switch spec.dtype {
            case .int64 where name == "lengths": return try Tensor((0..<count).map { _ in Int64(generator.next() % UInt64(time)) + 1 }, Shape(sizes))
            case .int64: return try Tensor((0..<count).map { _ in Int64(generator.next() % 50) }, Shape(sizes))
            case .bool: return try Tensor((0..<count).map { _ in generator.next() % 3 > 0 }, Shape(sizes))
            default: return try .normal(Shape(sizes), using: &generator)
            }
        }
    }
}

private let batch = Dimension.symbol("batch"), time = Dimension.symbol("time")

func floats(_ sizes: Dimension...) -> TensorSpec {
    switch sizes.count {
    case 2: TensorSpec(Shape(sizes[0], sizes[1]), .float32)
    case 3: TensorSpec(Shape(sizes[0], sizes[1], sizes[2]), .float32)
    default: TensorSpec(Shape(sizes[0], sizes[1], sizes[2], sizes[3]), .float32)
    }
}

private func pictures(_ side: Int) -> TensorSpec { floats(batch, Dimension(3), Dimension(side), Dimension(side)) }

/// With running statistics as after some training: at first they would be neutral.
func trained<N: Layer>(_ network: N) throws -> @Sendable ([Tensor]) throws -> Tensor {
    var network = network, generator = Philox(seed: 3)
    try network.forEachState { name, kind, tensor throws(TensorError) in
        guard kind == .buffer else { return }
        tensor = try .uniform(tensor.shape, in: 0.5...1.5, using: &generator)
    }
    let ready = network
    return { try ready($0[0], in: .prediction) }
}

let tracedNetworks: [TracedNetwork] = [
    TracedNetwork(description: "MLP", inputs: ["x": floats(batch, Dimension(20))]) {
        var generator = Philox(seed: 1)
        return try trained(try MLP(20, 64, 5, using: &generator))
    },
    TracedNetwork(description: "ResNet-18, small pictures", inputs: ["images": pictures(32)]) {
        var generator = Philox(seed: 1)
        return try trained(try ResNet18(10, isLarge: false, using: &generator))
    },
    TracedNetwork(description: "ResNet-18, large pictures", inputs: ["images": pictures(64)]) {
        var generator = Philox(seed: 1)
        return try trained(try ResNet18(10, isLarge: true, using: &generator))
    },
    TracedNetwork(description: "small ResNet", inputs: ["images": pictures(32)]) {
        var generator = Philox(seed: 1)
        return try trained(try SmallResNet(16, 10, using: &generator))
    },
    TracedNetwork(description: "EfficientNet-Lite0", inputs: ["images": pictures(64)]) {
        var generator = Philox(seed: 1)
        return try trained(try EfficientNetLite0(10, using: &generator))
    },
    TracedNetwork(description: "U-Net", inputs: ["images": pictures(32)]) {
        var generator = Philox(seed: 1)
        return try trained(try UNet(base: 8, 3, using: &generator))
    },
    TracedNetwork(description: "BiLSTM", inputs: ["words": TensorSpec(Shape(batch, time), .int64)]) {
        var generator = Philox(seed: 1)
        return try trained(try BiLSTMText(50, 16, 16, 2, using: &generator))
    },
    TracedNetwork(description: "LSTM forecaster", inputs: ["x": floats(batch, time, Dimension(7))]) {
        var generator = Philox(seed: 1)
        return try trained(try LSTMForecaster(7, 16, layers: 2, horizon: 3, using: &generator))
    },
    TracedNetwork(description: "transformer encoder", inputs: ["x": floats(batch, time, Dimension(48))]) {
        var generator = Philox(seed: 1)
        return try trained(try EncoderClassifier(48, heads: 4, inner: 96, layers: 2, classes: 2, using: &generator))
    },
    TracedNetwork(description: "TCN forecaster", inputs: ["x": floats(batch, time, Dimension(7))]) {
        var generator = Philox(seed: 1)
        return try trained(try TCNForecaster(7, 16, taps: 3, dilations: [1, 2, 4], horizon: 3, using: &generator))
    },
    TracedNetwork(description: "DeepFM", inputs: ["ids": TensorSpec(Shape(batch, Dimension(6)), .int64), "numbers": floats(batch, Dimension(13))]) {
        var generator = Philox(seed: 1)
        let network = try DeepFM(rows: 50, features: 8, fields: 6, numbers: 13, widths: [32, 32], using: &generator)
        return { try network($0[0], $0[1], in: .prediction) }
    },
]

/// The same kernels in the same order: no bit differs, whatever the symbols stand for.
@Test(arguments: tracedNetworks)
func aNetworkTracedWithSymbolsGivesItsNumbersBitForBit(_ network: TracedNetwork) throws {
    let forward = try network.make()
    let program = try Program.trace(forward, inputs: network.inputs)
    for (batch, time) in [(1, 9), (3, 4)] {
        let inputs = try network.sample(batch: batch, time: time, seed: UInt64(batch))
        try expectEqual(program.run(inputs), [forward(inputs)])
    }
}
