import Keel
import KeelBenchNetworks
import KeelNN
import KeelProgram

/// One thing that is timed.
struct Workload: Sendable {
    enum Group: String, Sendable { case train, infer, latency, int8, micro, own }

    let name: String
    let group: Group
    /// What one iteration processes, in `unit` without its "/s".
    let work: Double
    let unit: String
    /// Prepares data and network, and gives the step that is timed.
    let make: @Sendable () throws -> Step
}

/// The data is the same in each run: normal numbers, and labels spread evenly.
func floats(_ sizes: Int..., seed: UInt64 = 1) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try .normal(Shape(sizes), using: &generator)
}
func ids(below limit: Int, _ count: Int) throws -> Tensor {
    var generator = Philox(seed: 2)
    return try Tensor((0..<count).map { _ in Int64(generator.next() % UInt64(limit)) })
}

/// The step of a network that is trained on one batch.
func trainingStep(
    _ network: consuming some Layer, _ x: Tensor, _ target: Tensor, loss: @escaping (Tensor, Tensor) throws -> Tensor = { try $0.softmaxCrossEntropy($1) },
    _ optimizer: (ParameterStore) throws -> any Optimizer
) throws -> Step {
    Step(try Training(network, batches: [[x, target]], optimizer: optimizer) { network, batch, context in try loss(network(batch[0], in: context), batch[1]) })
}

private func predictionStep(_ network: some Layer, _ x: Tensor) -> Step {
    Step { _ = try noGrad { () throws(TensorError) in try network(x, in: .prediction) } }
}

/// A network as an optimised program, which takes any batch of inputs like `x`.
func batchProgram(_ network: some Layer, _ x: Tensor) throws -> Program {
    var shape = x.shape
    shape[0] = .symbol("batch")
    return try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(shape, x.dtype)).optimised()
}

private func programStep(_ network: some Layer, _ x: Tensor) throws -> Step {
    let program = try batchProgram(network, x)
    return Step { _ = try program(x) }
}

/// Forward, and backward to every input from an output gradient, of ones if none is given.
private func gradientStep(_ inputs: [Tensor], seed: Tensor? = nil, _ function: @escaping ([Tensor]) throws -> Tensor) throws -> Step {
    let variables = inputs.map { $0.requiringGradient() }
    let y = try function(variables)
    let seed = try seed ?? .ones(y.shape)
    return Step {
        for variable in variables { variable.clearGradient() }
        try function(variables).backward(seed: seed)
    }
}

/// Nine elementwise steps over four million numbers, as a program.
private func chain(_ name: String, _ passes: [Pass]) -> Workload {
    Workload(name: name, group: .own, work: 9 * 4_194_304 * 1e-6, unit: "Melement/s") {
        let x = try floats(2048, 2048), y = try floats(2048, 2048, seed: 3), bias = try floats(2048, seed: 5)
        let program = try Program.trace(
            { v in try ((((v[0] + bias) * v[1] + v[0]).relu() * 0.5 - v[1]).maximum(v[0]) + bias) * v[1] }, inputs: ["x": x.spec, "y": y.spec])
        let ready = try program.optimised(passes)
        return Step { _ = try ready.run([x, y]) }
    }
}

private func product(_ n: Int) -> Workload {
    Workload(name: "sgemm-\(n)", group: .micro, work: 2e-9 * Double(n * n * n), unit: "GFLOP/s") {
        let (a, b) = (try floats(n, n), try floats(n, n, seed: 3))
        return Step { _ = try a.matmul(b) }
    }
}

private func convolution(_ name: String, channels: Int, groups: Int, isTraining: Bool) -> Workload {
    let forward = 2e-9 * Double(8 * channels * channels / groups * 9 * 56 * 56)
    return Workload(name: name, group: .micro, work: forward * (isTraining ? 3 : 1), unit: "GFLOP/s") {
        let x = try floats(8, channels, 56, 56), weight = try floats(channels, channels / groups, 3, 3)
        guard isTraining else { return Step { _ = try x.conv2D(weight, sliding: Sliding(padding: 1), groups: groups) } }
        return try gradientStep([x, weight]) { try $0[0].conv2D($0[1], sliding: Sliding(padding: 1), groups: groups) }
    }
}

/// The same where pictures and their gradients lie in blocks already, as between two layers.
private func blockedConvolution(_ name: String, channels: Int, groups: Int, isTraining: Bool) -> Workload {
    let forward = 2e-9 * Double(8 * channels * channels / groups * 9 * 56 * 56)
    return Workload(name: name, group: .own, work: forward * (isTraining ? 3 : 1), unit: "GFLOP/s") {
        let weight = try floats(channels, channels / groups, 3, 3), sliding = Sliding(padding: 1)
        let x = try floats(8, channels, 56, 56).conv2D(weight, sliding: sliding, groups: groups)
        guard isTraining else { return Step { _ = try x.conv2D(weight, sliding: sliding, groups: groups) } }
        return try gradientStep([x, weight], seed: x.conv2D(weight, sliding: sliding, groups: groups)) {
            try $0[0].conv2D($0[1], sliding: sliding, groups: groups)
        }
    }
}

let workloads: [Workload] = [
    Workload(name: "mlp-tabular", group: .train, work: 256, unit: "samples/s") {
        var generator = Philox(seed: 0)
        return try trainingStep(MLP(64, 256, 10, using: &generator), floats(256, 64), ids(below: 10, 256)) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
    Workload(name: "resnet18-cifar", group: .train, work: 64, unit: "images/s") {
        var generator = Philox(seed: 0)
        return try trainingStep(ResNet18(10, isLarge: false, using: &generator), floats(64, 3, 32, 32), ids(below: 10, 64)) {
            try SGD($0, learningRate: 0.1, momentum: 0.9)
        }
    },
    Workload(name: "effnet-lite0-train", group: .train, work: 16, unit: "images/s") {
        var generator = Philox(seed: 0)
        return try trainingStep(EfficientNetLite0(10, using: &generator), floats(16, 3, 224, 224), ids(below: 10, 16)) {
            try SGD($0, learningRate: 0.01, momentum: 0.9)
        }
    },
    Workload(name: "unet-128", group: .train, work: 8, unit: "images/s") {
        var generator = Philox(seed: 0)
        let network = try UNet(base: 32, 2, using: &generator), labels = try ids(below: 2, 8 * 128 * 128)
        return try trainingStep(network, floats(8, 3, 128, 128), labels, loss: { try $0.permuted([0, 2, 3, 1]).reshaped([-1, 2]).softmaxCrossEntropy($1) }) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
    Workload(name: "effnet-lite0-infer", group: .infer, work: 16, unit: "images/s") {
        var generator = Philox(seed: 0)
        return try programStep(try EfficientNetLite0(1000, using: &generator), try floats(16, 3, 224, 224))
    },
    Workload(name: "latency-mlp-tabular", group: .latency, work: 1, unit: "requests/s") {
        var generator = Philox(seed: 0)
        return try programStep(try MLP(64, 256, 10, using: &generator), try floats(1, 64))
    },
    Workload(name: "latency-resnet18-224", group: .latency, work: 1, unit: "requests/s") {
        var generator = Philox(seed: 0)
        return try programStep(try ResNet18(1000, isLarge: true, using: &generator), try floats(1, 3, 224, 224))
    },
    Workload(name: "latency-minilm-32", group: .latency, work: 1, unit: "requests/s") {
        var generator = Philox(seed: 0)
        let network = try MiniLM(30_522, positions: 512, 384, heads: 12, inner: 1536, layers: 6, using: &generator)
        return try programStep(network, try ids(below: 30_522, 32).reshaped([1, 32]))
    },
    product(256), product(512), product(1024), product(2048),
    convolution("conv3x3-fwd", channels: 64, groups: 1, isTraining: false),
    convolution("conv3x3-train", channels: 64, groups: 1, isTraining: true),
    convolution("dwconv3x3-fwd", channels: 144, groups: 144, isTraining: false),
    convolution("dwconv3x3-train", channels: 144, groups: 144, isTraining: true),
    blockedConvolution("conv3x3-fwd-blocked", channels: 64, groups: 1, isTraining: false),
    blockedConvolution("conv3x3-train-blocked", channels: 64, groups: 1, isTraining: true),
    blockedConvolution("dwconv3x3-fwd-blocked", channels: 144, groups: 144, isTraining: false),
    blockedConvolution("dwconv3x3-train-blocked", channels: 144, groups: 144, isTraining: true),
    Workload(name: "layernorm-train", group: .micro, work: 1024 * 384 * 1e-6, unit: "Melement/s") {
        try gradientStep([floats(1024, 384), floats(384), floats(384)]) { try $0[0].layerNormalised(scale: $0[1], bias: $0[2]) }
    },
    Workload(name: "softmax-train", group: .micro, work: 1536 * 128 * 1e-6, unit: "Melement/s") {
        try gradientStep([floats(1536, 128)]) { try $0[0].softmax() }
    },
    Workload(name: "gelu-train", group: .micro, work: 1024 * 1536 * 1e-6, unit: "Melement/s") {
        try gradientStep([floats(1024, 1536)]) { try $0[0].gelu() }
    },
    Workload(name: "batchnorm-train", group: .micro, work: 16 * 64 * 56 * 56 * 1e-6, unit: "Melement/s") {
        try gradientStep([floats(16, 64, 56, 56), floats(64), floats(64)]) {
            try $0[0].batchNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-5).y
        }
    },
    Workload(name: "embedding-gather", group: .micro, work: 53_248, unit: "rows/s") {
        let (table, rows) = (try floats(1_000_000, 16), try ids(below: 1_000_000, 53_248))
        return Step { _ = try table.gathered(rows) }
    },
    Workload(name: "tiny-add", group: .micro, work: 1, unit: "ops/s") {
        let (a, b) = (try floats(16), try floats(16))
        return Step { _ = try a + b }
    },
    Workload(name: "tiny-mlp", group: .micro, work: 1, unit: "forwards/s") {
        var generator = Philox(seed: 0)
        let (a, b, c) = (try Linear(64, 64, using: &generator), try Linear(64, 64, using: &generator), try Linear(64, 10, using: &generator))
        return predictionStep(Sequential([a, Activation.relu, b, Activation.relu, c]), try floats(1, 64))
    },
    Workload(name: "tiny-autograd", group: .micro, work: 1, unit: "steps/s") {
        let x = try Tensor.ones([16]), w = try Tensor.ones([16]).requiringGradient(), b = try Tensor.ones([16]).requiringGradient()
        return Step {
            w.clearGradient()
            b.clearGradient()
            let t = try (x * w + b).relu()
            try (t * t).sum().backward()
        }
    },
    // What no peer has: a network as small as those that small data sets are given, and what a primitive costs beside its arithmetic.
    Workload(name: "small-resnet", group: .own, work: 64, unit: "images/s") {
        var generator = Philox(seed: 0)
        return try trainingStep(SmallResNet(16, 10, using: &generator), floats(64, 3, 28, 28), ids(below: 10, 64)) {
            try AdamW($0, learningRate: 1e-3)
        }
    },
    Workload(name: "tiny-add-taped", group: .own, work: 1, unit: "ops/s") {
        let (a, b) = (try floats(16).requiringGradient(), try floats(16))
        return Step { _ = try a + b }
    },
    chain("chain-of-nine", Pass.all), chain("chain-of-nine-unfused", Pass.all.filter { $0.name != Pass.elementwiseFusion.name }),
    Workload(name: "chain-100-adds", group: .own, work: 100, unit: "ops/s") {
        let (start, b) = (try floats(16).requiringGradient(), try floats(16))
        let seed = try Tensor.ones([16])
        return Step {
            start.clearGradient()
            var x = start
            for _ in 0..<100 { x = try x + b }
            try x.backward(seed: seed)
        }
    },
] + int8Workloads + sequenceWorkloads + recommendationWorkloads
