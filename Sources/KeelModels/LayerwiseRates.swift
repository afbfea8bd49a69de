public import Keel
public import KeelNN

/// Learning rates for going on with a pretrained network: the last layers learn at the full rate, and each layer before at a fixed share of the
/// rate of the one after it.
///
/// ```swift
/// let parameters = try ParameterStore(&network, groups: LayerwiseRates(network, factor: 0.75).group)
/// ```
///
/// - Source: Howard and Ruder, *Universal Language Model Fine-tuning for Text Classification*, 2018, section 3.2.
public struct LayerwiseRates: Sendable {
    /// The layers, from the first to the last: names up to the first number in them, or their first two parts.
    public let layers: [String]
    private let factors: [String: Double]

    /// - Parameter factor: a layer's rate divided by that of the layer after it.
    /// - Throws: `TensorError.argument` unless it is above 0 and at most 1.
    public init(_ network: some Module, factor: Double) throws(TensorError) {
        guard factor > 0, factor <= 1 else {
            throw TensorError(.argument(primitive: "LayerwiseRates", name: "factor", given: "\(factor)", allowed: "above 0, at most 1"))
        }
        var layers: [String] = []
        for part in try network.state() where part.kind == .parameter {
            let layer = Self.layer(of: part.name)
            if !layers.contains(layer) { layers.append(layer) }
        }
        var factors: [String: Double] = [:], rate = 1.0
        for layer in layers.reversed() {
            factors[layer] = rate
            rate *= factor
        }
        (self.layers, self.factors) = (layers, factors)
    }

    /// How a parameter is trained; weights of one axis, as biases and normalisations have, don't decay.
    public func group(_ name: String, _ shape: Shape) -> ParameterGroup? {
        ParameterGroup(rateFactor: factors[Self.layer(of: name)] ?? 1, decays: shape.rank > 1)
    }

    /// `trunk.blocks.3` of `trunk.blocks.3.expand.conv.weight`, and `trunk.stem` of `trunk.stem.conv.weight`.
    private static func layer(of name: String) -> String {
        let words = name.split(separator: ".")
        if let number = words.dropLast().firstIndex(where: { $0.allSatisfy(\.isNumber) }) { return words[...number].joined(separator: ".") }
        return words.prefix(max(min(words.count - 1, 2), 1)).joined(separator: ".")
    }
}
