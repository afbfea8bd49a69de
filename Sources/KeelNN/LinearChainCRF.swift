public import Keel

/// A linear-chain conditional random field over the scores that a network gives each tag at each step: it learns which tag follows which.
///
/// - Shapes: emissions `[batch, time, tags]` → the best tags `[batch, time]` int64. State: `transitions [tags, tags]` from row to column, `start`
///   and `end [tags]`.
/// - Initial values: uniform in ±0.1.
/// - Source: Lafferty, McCallum and Pereira, 2001.
public struct LinearChainCRF: Layer {
    public var transitions, start, end: Tensor

    public init(_ tags: Int, using generator: inout Philox) throws(TensorError) {
        transitions = try .uniform([tags, tags], in: -0.1...0.1, using: &generator)
        start = try .uniform([tags], in: -0.1...0.1, using: &generator)
        end = try .uniform([tags], in: -0.1...0.1, using: &generator)
    }

    /// The best tags of sequences without padding; `decoded` takes lengths.
    public func callAsFunction(_ emissions: Tensor, in context: Context) throws(TensorError) -> Tensor { try decoded(emissions) }

    /// The best tags, by the Viterbi algorithm: `[batch, time]` int64, 0 past a sequence's end.
    public func decoded(_ emissions: Tensor, lengths: Tensor? = nil) throws(TensorError) -> Tensor {
        try emissions.crfDecoded(transitions: transitions, start: start, end: end, lengths: lengths)
    }

    /// The logarithm of each sequence's probability of `tags [batch, time]` int64: `[batch]`. Its negative mean is the loss to train with.
    public func logLikelihood(_ emissions: Tensor, _ tags: Tensor, lengths: Tensor? = nil) throws(TensorError) -> Tensor {
        try emissions.crfLogLikelihood(tags, transitions: transitions, start: start, end: end, lengths: lengths)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("transitions", .parameter, &transitions)
        try body("start", .parameter, &start)
        try body("end", .parameter, &end)
    }
}
