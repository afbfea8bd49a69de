public import Keel

/// Long short-term memory over sequences, in one or more layers, in one direction or in both; each layer reads what the one before it gave.
///
/// - Shapes: `x [batch, time, inFeatures]` → `[batch, time, directions * hidden]`, the last layer's output at every step. A direction has
///   `input [4 * hidden, features]`, `recurrent [4 * hidden, hidden]` and two biases `[4 * hidden]`, which only their sum matters of; gates in
///   the order input, forget, cell, output.
/// - Initial values: all uniform in ±1/√hidden.
/// - Source: Hochreiter and Schmidhuber, 1997; Gers et al., 2000; both directions: Schuster and Paliwal, 1997.
public struct LSTM: Layer {
    /// For each layer its directions: forwards, and backwards if there is one.
    public var layers: [[RecurrentWeights]]
    public let hidden: Int
    /// The share that is dropped, in training, of what each layer but the last gives.
    public let dropout: Double

    public init(
        _ inFeatures: Int, _ hidden: Int, layers: Int = 1, isBidirectional: Bool = false, dropout: Double = 0, using generator: inout Philox
    ) throws(TensorError) {
        self.layers = try RecurrentWeights.layers(
            layers, of: "LSTM", gates: 4, inFeatures, hidden, isBidirectional: isBidirectional, using: &generator)
        self.hidden = hidden
        self.dropout = try checkedRate(dropout, in: "LSTM")
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try run(x, in: context).y }

    /// The same, with the first states and the sequences' lengths, and giving the last states.
    ///
    /// - Parameters:
    ///   - states: for each layer `h` and `c [directions, batch, hidden]`; zeros if nil.
    ///   - lengths: `[batch]` int64; past a sequence's end the output is 0 and the state stays.
    ///   - context: only layers with dropout need one.
    public func run(
        _ x: Tensor, states: [(h: Tensor, c: Tensor)]? = nil, lengths: Tensor? = nil, in context: Context? = nil
    ) throws(TensorError) -> (y: Tensor, states: [(h: Tensor, c: Tensor)]) {
        guard states == nil || states?.count == layers.count else {
            throw TensorError(.argument(primitive: "LSTM", name: "states", given: "\(states?.count ?? 0)", allowed: "one a layer, \(layers.count)"))
        }
        var y = x, last: [(h: Tensor, c: Tensor)] = []
        for (place, layer) in layers.enumerated() {
            var directions: [(input: Tensor, recurrent: Tensor, bias: Tensor)] = []
            for direction in layer { directions.append((direction.input, direction.recurrent, try direction.inputBias + direction.recurrentBias)) }
            let made = try RecurrentWeights.read(y, by: place, of: "LSTM", dropout: dropout, in: context).lstm(directions, state: states?[place], lengths: lengths)
            y = made.y
            last.append((made.h, made.c))
        }
        return (y, last)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try layers.forEachState(body) }
}
