import Synchronization
public import Keel

/// A part of a network: a value that holds parameters and buffers, and can be called.
///
/// ## How to use KeelNN
///
/// A network is a struct of layers. It names its state in order; these names are the checkpoint format.
///
/// ```swift
/// struct Net: Layer {
///     var hidden, head: Linear
///     init(inputs: Int, classes: Int, using generator: inout Philox) throws(TensorError) {
///         hidden = try Linear(inputs, 64, using: &generator)
///         head = try Linear(64, classes, using: &generator)
///     }
///     func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
///         try head(hidden(x, in: context).relu(), in: context)
///     }
///     mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
///         try hidden.forEachState(body, under: "hidden")
///         try head.forEachState(body, under: "head")
///     }
/// }
/// ```
///
/// Training: a `ParameterStore` moves the parameters into flat memory, once, right after the network was made or loaded; an
/// optimiser updates that memory in place. The network is used as before.
///
/// ```swift
/// var generator = Philox(seed: 1)
/// var net = try Net(inputs: 10, classes: 3, using: &generator)
/// let parameters = try ParameterStore(&net)
/// var optimizer = try AdamW(parameters, learningRate: 1e-3)
/// for step in 0..<steps {
///     try optimizer.setLearningRate(schedule(step))
///     let logits = try net(batch.inputs, in: .training(seed: 1, step: step))
///     let loss = try logits.softmaxCrossEntropy(batch.labels)     // or crossEntropy(logits:labels:classWeights:labelSmoothing:)
///     try loss.backward()                                         // adds to the parameters' gradients
///     try parameters.clipGradients(toNorm: 1)
///     try optimizer.step()
///     try parameters.clearGradients()
/// }
/// let prediction = try noGrad { () throws(TensorError) in try net(x, in: .prediction).softmax() }
/// ```
///
/// Saving and loading: `try net.save(to: path)` and `try net.load(from: path)`; for going on with training,
/// `Checkpoint.save(to:, &net, &optimizer, ...)` and `Checkpoint.load(...)`. Load after the store was made, or before: both work.
///
/// All of it runs on one thread, which should be a `ComputeLane`'s: `try await lane.run { try train(...) }`.
public protocol Layer: Sendable {
    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor

    /// Visits all state by name, always in the same order. The visitor may replace it.
    mutating func forEachState(_ body: StateVisitor) throws(TensorError)
}

/// What a piece of state is for.
public enum StateKind: Sendable, Hashable {
    /// Trained by gradients.
    case parameter
    /// Kept up to date by the layer itself, as running statistics are.
    case buffer
}

/// Sees a piece of state: its name, its kind, and itself.
public typealias StateVisitor = (_ name: String, _ kind: StateKind, _ tensor: inout Tensor) throws(TensorError) -> Void

extension Layer {
    /// Visits this layer's state as part of a larger one, where it is called `name`.
    public mutating func forEachState(_ body: StateVisitor, under name: String) throws(TensorError) {
        try forEachState { (inner, kind, tensor) throws(TensorError) in try body("\(name).\(inner)", kind, &tensor) }
    }

    /// All state, by name and in order.
    public func state() throws(TensorError) -> [(name: String, kind: StateKind, tensor: Tensor)] {
        var copy = self, found: [(name: String, kind: StateKind, tensor: Tensor)] = []
        try copy.forEachState { (name, kind, tensor) throws(TensorError) in found.append((name, kind, tensor)) }
        return found
    }

    /// How many numbers are trained.
    public func parameterCount() throws(TensorError) -> Int {
        var count = 0
        for part in try state() where part.kind == .parameter { count += part.tensor.count }
        return count
    }

    /// The same layer with memory of its own. A plain copy shares the memory that a store's optimiser updates in place.
    public func copied() throws(TensorError) -> Self {
        var copy = self
        try copy.forEachState { (_, _, tensor) throws(TensorError) in
            let source = tensor.detached()
            let fresh = try Tensor.zeros(source.shape, source.dtype, on: source.device)
            try fresh.assign(source)
            tensor = fresh
        }
        return copy
    }

    /// Writes all state to a safetensors file, whole or not at all.
    public func save(to path: String, metadata: [String: String] = [:]) throws(TensorError) {
        var tensors: [(name: String, tensor: Tensor)] = []
        for part in try state() { tensors.append((part.name, part.tensor.detached())) }
        try Safetensors.write(tensors, metadata: metadata, to: path)
    }

    /// Takes all state from a safetensors file: each piece by its name, shape and dtype.
    ///
    /// State that lies in a store's flat memory is overwritten there; other state is replaced. Nothing changes unless all fits.
    ///
    /// - Throws: `TensorError.missingState`, `TensorError.unexpectedState`, `TensorError.stateMismatch`, and what opening throws.
    public mutating func load(from path: String) throws(TensorError) {
        try load(from: Safetensors(reading: path))
    }

    public mutating func load(from file: Safetensors, under prefix: String = "", allowingMore: Bool = false) throws(TensorError) {
        var loaded: [String: Tensor] = [:]
        for part in try state() {
            let name = prefix + part.name
            guard let entry = file[name] else { throw TensorError(.missingState(name: name, path: file.path)) }
            guard entry.shape == part.tensor.shape, entry.dtype == part.tensor.dtype else {
                throw TensorError(.stateMismatch(name: name, expected: "\(part.tensor.spec)", given: "\(entry.dtype)\(entry.shape)"))
            }
            loaded[part.name] = try file.tensor(named: name)
        }
        if !allowingMore {
            for entry in file.entries where entry.name.hasPrefix(prefix) && loaded[String(entry.name.dropFirst(prefix.count))] == nil {
                throw TensorError(.unexpectedState(name: entry.name, path: file.path))
            }
        }
        try forEachState { (name, _, tensor) throws(TensorError) in
            guard let value = loaded[name] else { throw TensorError(.missingState(name: prefix + name, path: file.path)) }
            if tensor.requiresGradient { try tensor.assign(value) } else { tensor = value }
        }
    }
}

/// What a call of a network needs to know beside its input: whether it trains, and where its randomness comes from.
///
/// Randomness is a key and a counter in a tensor, not numbers: a traced program takes them as an input.
public struct Context: Sendable {
    public let isTraining: Bool
    let random: Tensor?
    let draws: Draws?

    /// For predicting: statistics are used, not made; nothing is dropped.
    public static let prediction = Context(isTraining: false, random: nil, draws: nil)

    /// For one training step. The same seed and step give the same random numbers.
    public static func training(seed: UInt64, step: Int) throws(TensorError) -> Context {
        .training(random: try Tensor([Int64(bitPattern: seed), Int64(step)]))
    }

    /// For one training step with a key and a counter, int64 `[2]`.
    public static func training(random: Tensor) -> Context { Context(isTraining: true, random: random, draws: Draws()) }

    /// `x` with some numbers dropped, if this is training; each call with other random numbers.
    public func dropped(_ x: Tensor, rate: Double) throws(TensorError) -> Tensor {
        guard isTraining, rate > 0, let random, let draws else { return x }
        return try x.dropout(rate, random: random, draw: draws.next())
    }
}

/// Numbers the random draws of one call of a network.
final class Draws: Sendable {
    private let count: Atomic<Int>

    init(from first: Int = 0) { count = Atomic(first) }

    /// The number of the next draw.
    var upcoming: Int { count.load(ordering: .relaxed) }
    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).oldValue }
    func skip(to draw: Int) { count.store(draw, ordering: .relaxed) }
}

/// Visits a parameter that may be missing.
func forEachOptional(_ name: String, _ tensor: inout Tensor?, _ body: StateVisitor) throws(TensorError) {
    guard var present = tensor else { return }
    try body(name, .parameter, &present)
    tensor = present
}
