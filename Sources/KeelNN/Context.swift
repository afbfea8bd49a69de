import Synchronization
public import Keel

/// What a call of a network needs to know beside its input: whether it trains, and where its randomness comes from; and where layers leave
/// losses of their own.
///
/// Randomness is a key and a counter in a tensor, not numbers: a traced program takes them as an input.
public struct Context: Sendable {
    public let isTraining: Bool
    let random: Tensor?
    let call: Call?

    /// For predicting: statistics are used, not made; nothing is dropped.
    public static let prediction = Context(isTraining: false, random: nil, call: nil)

    /// For one training step. The same seed and step give the same random numbers.
    public static func training(seed: UInt64, step: Int) throws(TensorError) -> Context {
        .training(random: try Tensor([Int64(bitPattern: seed), Int64(step)]))
    }

    /// For one training step with a key and a counter, int64 `[2]`.
    public static func training(random: Tensor) -> Context { Context(isTraining: true, random: random, call: Call()) }

    /// `x` with some numbers dropped, if this is training; each call with other random numbers.
    public func dropped(_ x: Tensor, rate: Double) throws(TensorError) -> Tensor {
        guard isTraining, rate > 0, let random, let call else { return x }
        return try x.dropout(rate, random: random, draw: call.nextDraw())
    }

    /// Leaves a scalar that is to be added to the loss, if this is training.
    public func add(auxiliaryLoss loss: Tensor) { call?.losses.withLock { $0.append(loss) } }

    /// The sum of what layers have left since the context was made; nil if nothing.
    public func auxiliaryLoss() throws(TensorError) -> Tensor? {
        guard let losses = call?.losses.withLock({ $0 }), var sum = losses.first else { return nil }
        for loss in losses.dropFirst() { sum = try sum + loss }
        return sum
    }
}

/// What one call of a network counts and collects.
final class Call: Sendable {
    private let draws: Atomic<Int>
    let losses = Mutex<[Tensor]>([])

    init(from first: Int = 0) { draws = Atomic(first) }

    /// The number of the next draw.
    var upcoming: Int { draws.load(ordering: .relaxed) }
    func nextDraw() -> Int { draws.wrappingAdd(1, ordering: .relaxed).oldValue }
    func skip(to draw: Int) { draws.store(draw, ordering: .relaxed) }
}
