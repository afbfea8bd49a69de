import Keel
import KeelNN
import Testing

/// A layer of `golden_layers.py`: how it is made, and how called.
private struct LayerCase: Sendable {
    let name: String
    let run: @Sendable (_ check: (any Module, ([Tensor], any Module, Context) throws(TensorError) -> Tensor) throws -> Void) throws -> Void

    /// The initial values don't matter: the file's are used.
    init<M: Module>(
        _ name: String, _ make: @escaping @Sendable (inout Philox) throws(TensorError) -> M,
        _ call: @escaping @Sendable (M, [Tensor], Context) throws(TensorError) -> Tensor
    ) {
        self.name = name
        run = { check in
            var generator = Philox(seed: 1)
            try check(make(&generator)) { inputs, module, context throws(TensorError) in
                guard let module = module as? M else { preconditionFailure("a case's call is given its own layer") }
                return try call(module, inputs, context)
            }
        }
    }

    init<L: Layer>(_ name: String, _ make: @escaping @Sendable (inout Philox) throws(TensorError) -> L) {
        self.init(name, make) { layer, x, context throws(TensorError) in try layer(x[0], in: context) }
    }

    static func function(_ name: String, _ activation: Activation) -> LayerCase { LayerCase(name) { _ in activation } }
}

/// `SinusoidalEncoding` and its like have no state to be cast.
private struct Rotary: Layer {
    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try RotaryEncoding()(x, heads: 2, from: 3) }
    mutating func forEachState(_ body: StateVisitor) {}
}

private func seen(_ rows: [[Bool]], on device: any Device) throws(TensorError) -> Tensor { try Tensor(rows.flatMap { $0 }, [rows.count, rows[0].count], on: device) }
private let padding = [[true, true, true, true, true], [true, true, true, false, false]]
private let memoryPadding = [[true, true, true, true], [true, false, true, true]]

private func encoder(_ name: String, isPreNorm: Bool) -> LayerCase {
    LayerCase(name) { generator throws(TensorError) in
        try TransformerEncoder(8, heads: 2, inner: 6, layers: 2, isPreNorm: isPreNorm, using: &generator)
    } _: { layer, x, context throws(TensorError) in try layer(x[0], mask: seen(padding, on: x[0].device), in: context) }
}

private func decoder(_ name: String, isPreNorm: Bool) -> LayerCase {
    LayerCase(name) { generator throws(TensorError) in
        try TransformerDecoder(8, heads: 2, inner: 6, layers: 2, isPreNorm: isPreNorm, using: &generator)
    } _: { layer, x, context throws(TensorError) in
        try layer(x[0], memory: x[1], memoryMask: seen(memoryPadding, on: x[0].device), in: context)
    }
}

private let layerCases: [LayerCase] = [
    LayerCase("residual") { g throws(TensorError) in try ResidualBlock(3, 4, stride: 2, using: &g) },
    LayerCase("bottleneck") { g throws(TensorError) in try ResidualBlock(4, 4, inner: 2, using: &g) },
    LayerCase("excitation") { g throws(TensorError) in try SqueezeExcitation(6, inner: 3, using: &g) },
    LayerCase("inverted") { g throws(TensorError) in try InvertedResidual(3, 3, expansion: 2, squeeze: 2, activation: .silu, using: &g) },
    LayerCase("unetDown") { g throws(TensorError) in try UNetDown(2, 4, using: &g) },
    LayerCase("unetUp") { g throws(TensorError) in try UNetUp(4, skip: 2, 3, using: &g) } _: { layer, x, context throws(TensorError) in
        try layer(x[0], skip: x[1], in: context)
    },
    LayerCase("pyramid") { g throws(TensorError) in try FeaturePyramid([2, 3, 4], 3, using: &g) } _: { layer, x, context throws(TensorError) in
        var flat: [Tensor] = []
        for map in try layer(x, in: context) { flat.append(try map.flattened(from: 1)) }
        return try .concatenated(flat, axis: 1)
    },
    LayerCase("experts") { g throws(TensorError) in try MixtureOfExperts(6, inner: 5, experts: 4, balance: 1, using: &g) } _: { layer, x, context throws(TensorError) in
        let y = try layer(x[0], in: context).flattened()
        guard let loss = try context.auxiliaryLoss() else { throw TensorError(.custom("the experts left no loss")) }
        return try .concatenated([y, loss.reshaped([1])])
    },
    LayerCase("attention") { g throws(TensorError) in try MultiHeadAttention(8, heads: 2, isCausal: true, using: &g) } _: { layer, x, context throws(TensorError) in
        try layer(x[0], mask: seen(padding, on: x[0].device), in: context)
    },
    LayerCase("crossAttention") { g throws(TensorError) in try MultiHeadAttention(8, heads: 2, using: &g) } _: { layer, x, context throws(TensorError) in
        try layer(x[0], to: x[1], mask: seen(memoryPadding, on: x[0].device), in: context)
    },
    encoder("encoderPost", isPreNorm: false), encoder("encoderPre", isPreNorm: true),
    decoder("decoderPost", isPreNorm: false), decoder("decoderPre", isPreNorm: true),
    LayerCase("sinusoidal") { _ in SinusoidalEncoding() },
    LayerCase("rotary") { _ in Rotary() },
    LayerCase("learned") { g throws(TensorError) in try LearnedEncoding(7, 8, using: &g) },
    LayerCase("prelu") { _ throws(TensorError) in try PReLU(3) },
    .function("elu", .elu(scale: 0.7)), .function("selu", .selu), .function("softplus", .softplus), .function("mish", .mish),
    .function("hardSigmoid", .hardSigmoid), .function("hardSwish", .hardSwish), .function("geluTanh", .geluTanh), .function("gatedLinear", .gatedLinear),
]

private func row(_ name: String) throws -> LayerCase { try #require(layerCases.first { $0.name == name }) }

/// A layer with the file's parameters, as variables.
private func prepare(_ module: inout any Module, _ name: String, _ file: GoldenFile, _ dtype: DType) throws -> [(name: String, variable: Tensor)] {
    var variables: [(name: String, variable: Tensor)] = []
    try module.forEachState { (part, kind, tensor) throws(TensorError) in
        do {
            tensor = try kind == .parameter ? file.tensor("\(name)/state/\(part)").cast(to: dtype).requiringGradient(named: part) : tensor.copy(dtype)
        } catch { throw TensorError(.custom("\(error)")) }
        if kind == .parameter { variables.append((part, tensor)) }
    }
    return variables
}

extension Tensor {
    fileprivate func copy(_ dtype: DType) throws(TensorError) -> Tensor {
        let own = try Tensor.zeros(shape, dtype)
        try own.assign(cast(to: dtype))
        return own
    }
}

/// Sums over two layers' features in float32: ten times a primitive's tolerance, for normalisations divide by small deviations.
@Test(arguments: layerCases.map(\.name))
func layersAndTheirGradientsAreThoseOfTorch(_ name: String) throws {
    let file = try GoldenFile("golden_layers")
    try row(name).run { module, call in
        var module = module
        let variables = try prepare(&module, name, file, .float32)
        let inputs = try file.tensors("\(name)/in").map { $0.requiringGradient() }
        let y = try call(inputs, module, .training(seed: 1, step: 0))
        try expectGolden(y.detached(), file.tensor("\(name)/out"), name, tolerance: 5e-5)
        let found = try y.gradients(of: inputs + variables.map(\.variable), seed: file.tensor("\(name)/seed"))
        for (i, gradient) in found.prefix(inputs.count).enumerated() {
            try expectGolden(gradient, file.tensor("\(name)/grad\(i)"), "\(name), gradient \(i)", tolerance: 5e-5)
        }
        for (variable, gradient) in zip(variables, found.dropFirst(inputs.count)) {
            try expectGolden(gradient, file.tensor("\(name)/gradient/\(variable.name)"), "\(name), \(variable.name)", tolerance: 5e-5)
        }
        for part in try module.state() where part.kind == .buffer {
            try expectGolden(part.tensor, file.tensor("\(name)/after/\(part.name)"), "\(name), \(part.name)", tolerance: 5e-5)
        }
    }
}

/// In float64 a central difference with step 1e-5 is right to about 1e-9 of the largest number; kinks of ReLU may lie in between, which
/// the drawn numbers avoid.
@Test(arguments: layerCases.map(\.name))
func gradientsOfLayersMatchCentralDifferences(_ name: String) throws {
    let file = try GoldenFile("golden_layers")
    try row(name).run { module, call in
        var module = module
        let variables = try prepare(&module, name, file, .float64)
        let inputs = try file.tensors("\(name)/in").map { try $0.cast(to: .float64).requiringGradient() }
        let seed = try file.tensor("\(name)/seed").cast(to: .float64)
        let all = inputs + variables.map(\.variable)
        let y = try call(inputs, module, .training(seed: 1, step: 0))
        let gradients = try y.gradients(of: all, seed: seed)
        var generator = Philox(seed: 3), slope = 0.0, directions: [Tensor] = []
        for (variable, gradient) in zip(all, gradients) {
            let direction = try Tensor.normal(variable.shape, using: &generator).cast(to: .float64)
            slope += try (gradient * direction).sum().item(Double.self)
            directions.append(direction)
        }
        func value(_ by: Double) throws -> Double {
            let moved = try zip(all, directions).map { variable, direction in try variable.detached() + direction * by }
            var other = module, next = inputs.count
            try other.forEachState { (_, kind, tensor) throws(TensorError) in
                guard kind == .parameter else { return }
                tensor = moved[next]
                next += 1
            }
            return try (call(Array(moved.prefix(inputs.count)), other, .training(seed: 1, step: 0)) * seed).sum().item(Double.self)
        }
        let difference = try (value(1e-5) - value(-1e-5)) / 2e-5
        #expect(abs(slope - difference) <= 1e-6 * max(1, abs(difference)), "\(name): \(slope) and \(difference)")
    }
}
