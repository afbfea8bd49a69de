public import Keel

/// Gated recurrent units over sequences, in one or more layers, in one direction or in both; each layer reads what the one before it gave.
///
/// - Shapes: `x [batch, time, inFeatures]` → `[batch, time, directions * hidden]`, the last layer's output at every step. A direction has
///   `input [3 * hidden, features]`, `recurrent [3 * hidden, hidden]` and two biases `[3 * hidden]`; gates in the order reset, update,
///   candidate.
/// - Initial values: all uniform in ±1/√hidden.
/// - Source: Cho et al., 2014, with the reset gate after the recurrent product; see `Tensor.gru`.
public struct GRU: Layer {
    /// For each layer its directions: forwards, and backwards if there is one.
    public var layers: [[RecurrentWeights]]
    public let hidden: Int
    /// The share that is dropped, in training, of what each layer but the last gives.
    public let dropout: Double

    public init(
        _ inFeatures: Int, _ hidden: Int, layers: Int = 1, isBidirectional: Bool = false, dropout: Double = 0, using generator: inout Philox
    ) throws(TensorError) {
        self.layers = try RecurrentWeights.layers(
            layers, of: "GRU", gates: 3, inFeatures, hidden, isBidirectional: isBidirectional, using: &generator)
        self.hidden = hidden
        self.dropout = try checkedRate(dropout, in: "GRU")
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try run(x, in: context).y }

    /// The same, with the first states and the sequences' lengths, and giving the last states.
    ///
    /// - Parameters:
    ///   - states: for each layer `[directions, batch, hidden]`; zeros if nil.
    ///   - lengths: `[batch]` int64; past a sequence's end the output is 0 and the state stays.
    ///   - context: only layers with dropout need one.
    public func run(
        _ x: Tensor, states: [Tensor]? = nil, lengths: Tensor? = nil, in context: Context? = nil
    ) throws(TensorError) -> (y: Tensor, states: [Tensor]) {
        guard states == nil || states?.count == layers.count else {
            throw TensorError(.argument(primitive: "GRU", name: "states", given: "\(states?.count ?? 0)", allowed: "one a layer, \(layers.count)"))
        }
        var y = x, last: [Tensor] = []
        for (place, layer) in layers.enumerated() {
            let directions = layer.map { (input: $0.input, recurrent: $0.recurrent, inputBias: $0.inputBias, recurrentBias: $0.recurrentBias) }
            let made = try RecurrentWeights.read(y, by: place, of: "GRU", dropout: dropout, in: context).gru(directions, state: states?[place], lengths: lengths)
            y = made.y
            last.append(made.h)
        }
        return (y, last)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try layers.forEachState(body) }
}
