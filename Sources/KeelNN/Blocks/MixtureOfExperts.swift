public import Keel

/// Several feed-forward experts, of which each token asks the few that a router likes best for it; their answers are weighed by the softmax of
/// the router's marks for them.
///
/// In training the load-balancing loss, times `balance`, is left in the context (`Context.auxiliaryLoss`): `experts · Σ f · p`, where `f` is the
/// share of choices that an expert got and `p` its mean probability; 1 when all get the same.
///
/// - Shapes: `x [..., features]` → the same.
/// - Numerics: an expert computes its own tokens only; which they are is read from the data, so this is for eager use.
/// - Source: Shazeer et al., 2017; the loss: Fedus, Zoph and Shazeer, 2022, equation 4; weights over the chosen alone: Jiang et al., 2024.
public struct MixtureOfExperts: Layer {
    public var router: Linear
    public var experts: [FeedForward]
    public let chosen: Int
    public let balance: Double

    /// - Parameter chosen: how many experts a token asks.
    public init(
        _ features: Int, inner: Int, experts count: Int, chosen: Int = 2, balance: Double = 0.01, activation: Activation = .gelu,
        using generator: inout Philox
    ) throws(TensorError) {
        guard count >= 1, (1...count).contains(chosen) else {
            throw TensorError(.argument(primitive: "MixtureOfExperts", name: "chosen", given: "\(chosen)", allowed: "1...experts"))
        }
        router = try Linear(features, count, hasBias: false, using: &generator)
        experts = []
        for _ in 0..<count { experts.append(try FeedForward(features, inner: inner, activation: activation, using: &generator)) }
        self.chosen = chosen
        self.balance = balance
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        guard x.rank >= 1, x.count > 0 else { return x }
        let features = try x.shape.size(-1), tokens = try x.reshaped([x.count / features, features])
        let marks = try router(tokens, in: context), best = try marks.topK(chosen), weights = try best.values.softmax()
        if context.isTraining { context.add(auxiliaryLoss: try balanceLoss(marks, best.indices) * balance) }
        var sum = try Tensor.zeros(tokens.shape, tokens.dtype, on: tokens.device)
        for (number, expert) in experts.enumerated() {
            let places = try best.indices.equals(Tensor(Int64(number), on: x.device)).nonZero()
            guard try places.shape.size(1) > 0 else { continue }
            let rows = try places.at(0)
            let weight = try weights.flattened().gathered(rows * Tensor(Int64(chosen), on: x.device) + places.at(1)).withAxis(1)
            sum = try sum.scattered(parts: expert(tokens.gathered(rows), in: context) * weight, at: rows, .add)
        }
        return try sum.reshaped(x.shape)
    }

    private func balanceLoss(_ marks: Tensor, _ indices: Tensor) throws(TensorError) -> Tensor {
        let shares = try indices.flattened().oneHot(experts.count, marks.dtype).mean([0])
        return try (marks.softmax().mean([0]) * shares).sum() * Double(experts.count)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try router.forEachState(body, under: "router")
        for number in experts.indices { try experts[number].forEachState(body, under: "experts.\(number)") }
    }
}
