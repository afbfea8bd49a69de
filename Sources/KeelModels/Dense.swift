internal import Keel
internal import KeelNN

extension Sequential {
    /// Linear maps with an activation, and dropout if there is any, after each but the last.
    ///
    /// - Parameter widths: what comes in, what lies in between, what goes out.
    static func dense(
        _ widths: [Int], activation: Activation = .relu, dropout: Double = 0, using generator: inout Philox
    ) throws(TensorError) -> Sequential {
        var layers: [any Layer] = []
        for (place, (from, to)) in zip(widths, widths.dropFirst()).enumerated() {
            layers.append(try Linear(from, to, using: &generator))
            guard place < widths.count - 2 else { continue }
            layers.append(activation)
            if dropout > 0 { layers.append(try Dropout(dropout)) }
        }
        return Sequential(layers)
    }
}

/// How many numbers `Sequential.dense` trains.
func denseParameters(_ widths: [Int]) -> Int { zip(widths, widths.dropFirst()).reduce(0) { $0 + ($1.0 + 1) * $1.1 } }

/// - Throws: `TensorError.argument` for another number of inputs.
func checkCount(_ inputs: [Tensor], _ count: Int, _ network: String) throws(TensorError) {
    guard inputs.count == count else {
        throw TensorError(.argument(primitive: network, name: "inputs", given: "\(inputs.count)", allowed: "\(count)"))
    }
}
