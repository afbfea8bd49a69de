public import Keel

/// The weights of one layer of recurrent cells in one direction, for all gates one below the other: `input [gates * hidden, features]`,
/// `recurrent [gates * hidden, hidden]`, and two biases `[gates * hidden]`.
public struct RecurrentWeights: Sendable {
    public var input, recurrent, inputBias, recurrentBias: Tensor

    /// All uniform in ±1/√hidden.
    init(gates: Int, _ features: Int, _ hidden: Int, using generator: inout Philox) throws(TensorError) {
        let bound = 1 / Float(hidden).squareRoot(), rows = gates * hidden
        input = try .uniform([rows, features], in: -bound...bound, using: &generator)
        recurrent = try .uniform([rows, hidden], in: -bound...bound, using: &generator)
        inputBias = try .uniform([rows], in: -bound...bound, using: &generator)
        recurrentBias = try .uniform([rows], in: -bound...bound, using: &generator)
    }

    /// For each layer its directions; each layer reads what the one before it gives.
    static func layers(
        _ count: Int, of cell: String, gates: Int, _ inFeatures: Int, _ hidden: Int, isBidirectional: Bool, using generator: inout Philox
    ) throws(TensorError) -> [[RecurrentWeights]] {
        guard count >= 1, hidden >= 1 else {
            throw TensorError(.argument(primitive: cell, name: "layers and hidden", given: "\(count) and \(hidden)", allowed: "1 and more"))
        }
        let directions = isBidirectional ? 2 : 1
        var layers: [[RecurrentWeights]] = []
        for layer in 0..<count {
            var made: [RecurrentWeights] = []
            for _ in 0..<directions {
                made.append(try RecurrentWeights(gates: gates, layer == 0 ? inFeatures : directions * hidden, hidden, using: &generator))
            }
            layers.append(made)
        }
        return layers
    }

    /// What a layer reads of the one before it: in training, without the share that is dropped.
    static func read(_ y: Tensor, by layer: Int, of cell: String, dropout: Double, in context: Context?) throws(TensorError) -> Tensor {
        guard layer > 0, dropout > 0 else { return y }
        guard let context else {
            throw TensorError(.argument(primitive: cell, name: "context", given: "none", allowed: "one, where layers drop numbers"))
        }
        return try context.dropped(y, rate: dropout)
    }
}

extension [[RecurrentWeights]] {
    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for layer in indices {
            for direction in self[layer].indices {
                let name = "\(layer).\(direction == 0 ? "forward" : "backward")"
                try body("\(name).input", .parameter, &self[layer][direction].input)
                try body("\(name).recurrent", .parameter, &self[layer][direction].recurrent)
                try body("\(name).inputBias", .parameter, &self[layer][direction].inputBias)
                try body("\(name).recurrentBias", .parameter, &self[layer][direction].recurrentBias)
            }
        }
    }
}
