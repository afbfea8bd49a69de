public import Keel

/// A function without state, as a layer: `Activation.relu`, or `Activation { x throws(TensorError) in try x.relu() }`.
public struct Activation: Layer {
    public let name: String
    /// What a normalisation before it does in one pass; nil where that is nothing of the kind.
    let rectifier: Rectifier?
    private let function: @Sendable (Tensor) throws(TensorError) -> Tensor

    public init(_ name: String = "Activation", _ function: @escaping @Sendable (Tensor) throws(TensorError) -> Tensor) {
        self.name = name
        self.function = function
        rectifier = nil
    }

    private init(_ name: String, _ rectifier: Rectifier) {
        self.name = name
        self.rectifier = rectifier
        function = { x throws(TensorError) in try rectifier(x) }
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try function(x) }
    public mutating func forEachState(_ body: StateVisitor) {}

    public static var identity: Activation { Activation("Identity", .none) }
    public static var relu: Activation { Activation("ReLU", .relu) }
    public static var relu6: Activation { Activation("ReLU6", .relu6) }
    public static func leakyRelu(slope: Double = 0.01) -> Activation {
        Activation("LeakyReLU") { x throws(TensorError) in try x.leakyRelu(slope: slope) }
    }
    public static func elu(scale: Double = 1) -> Activation { Activation("ELU") { x throws(TensorError) in try x.elu(scale: scale) } }
    public static var selu: Activation { Activation("SELU") { x throws(TensorError) in try x.selu() } }
    public static var gelu: Activation { Activation("GELU") { x throws(TensorError) in try x.gelu() } }
    public static var geluTanh: Activation { Activation("GELU") { x throws(TensorError) in try x.geluTanh() } }
    public static var silu: Activation { Activation("SiLU") { x throws(TensorError) in try x.silu() } }
    public static var mish: Activation { Activation("Mish") { x throws(TensorError) in try x.mish() } }
    public static var softplus: Activation { Activation("Softplus") { x throws(TensorError) in try x.softplus() } }
    public static var hardSigmoid: Activation { Activation("HardSigmoid") { x throws(TensorError) in try x.hardSigmoid() } }
    public static var hardSwish: Activation { Activation("HardSwish") { x throws(TensorError) in try x.hardSwish() } }
    public static var tanh: Activation { Activation("Tanh") { x throws(TensorError) in try x.tanh() } }
    public static var sigmoid: Activation { Activation("Sigmoid") { x throws(TensorError) in try x.sigmoid() } }
    public static var softmax: Activation { Activation("Softmax") { x throws(TensorError) in try x.softmax() } }
    public static var gatedLinear: Activation { Activation("GLU") { x throws(TensorError) in try x.gatedLinear() } }
}

/// `x` where it is positive, `weight * x` elsewhere, with a weight that is learned.
///
/// - Shapes: `x [n, channels, ...]` → the same; `weight [channels]`, or `[1]` for all channels alike; 0.25 at first.
/// - Source: He et al., *Delving Deep into Rectifiers*, 2015.
public struct PReLU: Layer {
    public var weight: Tensor

    public init(_ channels: Int = 1) throws(TensorError) { weight = try .full(0.25, [channels]) }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var slope = weight
        for _ in 0..<max(x.rank - 2, 0) { slope = try slope.withAxis(-1) }
        return try x.relu() - slope * x.negated().relu()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try body("weight", .parameter, &weight) }
}

extension Tensor {
    private func scalar(_ value: Double) throws(TensorError) -> Tensor { try .full(value, Shape(), dtype, on: device) }

    /// `x` where it is positive, `scale * (exp(x) - 1)` elsewhere (Clevert et al., 2016).
    public func elu(scale: Double = 1) throws(TensorError) -> Tensor {
        try isGreater(than: scalar(0)).select(self, (clipped(from: -.infinity, to: 0).exp() - 1) * scale)
    }

    /// `elu` scaled so that mean 0 and variance 1 stay so (Klambauer et al., 2017).
    public func selu() throws(TensorError) -> Tensor { try elu(scale: 1.6732632423543772) * 1.0507009873554805 }

    /// `log(1 + exp(x))`; beyond 20 that is `x`.
    public func softplus() throws(TensorError) -> Tensor {
        try isGreater(than: scalar(20)).select(self, (clipped(from: -.infinity, to: 20).exp() + 1).log())
    }

    /// `x * tanh(softplus(x))` (Misra, 2019).
    public func mish() throws(TensorError) -> Tensor { try self * softplus().tanh() }

    /// `relu6(x + 3) / 6`.
    public func hardSigmoid() throws(TensorError) -> Tensor { try (self + 3).relu6() / 6 }

    /// `x * hardSigmoid(x)` (Howard et al., 2019).
    public func hardSwish() throws(TensorError) -> Tensor { try self * hardSigmoid() }

    /// The first half of an axis times the sigmoid of the second (Dauphin et al., 2017).
    public func gatedLinear(_ axis: Int = -1) throws(TensorError) -> Tensor {
        let halves = try split(into: 2, axis: axis)
        return try halves[0] * halves[1].sigmoid()
    }
}
