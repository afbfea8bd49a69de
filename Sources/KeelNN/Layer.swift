public import Keel

/// A part of a network: a value that holds parameters and buffers, and names them. What is called with one tensor is a `Layer`; others, as a
/// decoder or a feature pyramid, have a call of their own.
public protocol Module: Sendable {
    /// Visits all state by name, always in the same order. The visitor may replace it.
    mutating func forEachState(_ body: StateVisitor) throws(TensorError)
}

/// A module that is called with one tensor and gives one.
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
/// Training: a `Trainer` has the whole loop. What it does: a `ParameterStore` moves the parameters into flat memory, once, right after the network was made or loaded; an
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
/// `Checkpoint.save(net, optimizer, to: path)` and `Checkpoint.load(&net, optimizer, from: path)`. Load after the store was made, or before: both
/// work.
///
/// All of it runs on one thread, which should be a `ComputeLane`'s: `try await lane.run { try train(...) }`.
public protocol Layer: Module {
    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor
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

extension Module {
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

    /// What the layers keep up to date themselves, as running statistics.
    public func buffers() throws(TensorError) -> [Tensor] { try state().filter { $0.kind == .buffer }.map(\.tensor) }

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

    /// The same layer with its floats, parameters and buffers, as another kind of float, in memory of its own: half of it for `.bfloat16` and
    /// `.float16`. Its input has to be of that kind. For predicting and storing; what is trained stays float32 (see `DType`).
    ///
    /// - Throws: `TensorError.dtype` for a kind that isn't a float.
    public func cast(to dtype: DType) throws(TensorError) -> Self {
        guard dtype.isFloat else { throw TensorError(.dtype(primitive: "cast of a layer", expected: "a kind of float", dtype)) }
        var copy = try copied()
        try copy.forEachState { (_, _, tensor) throws(TensorError) in if tensor.dtype.isFloat { tensor = try tensor.cast(to: dtype) } }
        return copy
    }

    /// Writes all state to a safetensors file, whole or not at all.
    public func save(to path: String, metadata: [String: String] = [:]) throws(TensorError) {
        var tensors: [(name: String, tensor: Tensor)] = []
        for part in try state() { tensors.append((part.name, part.tensor.detached())) }
        try Safetensors.write(tensors, metadata: metadata, to: path)
    }

    /// Takes all state from a safetensors file: each piece by its name, shape and dtype. Half floats of a file are widened where the layer has
    /// float32.
    ///
    /// State that training updates in place, buffers and what lies in a store's flat memory, is overwritten there; other state is replaced. Another
    /// layer that has the same memory, as a plain copy of this one does, has the new numbers too: `copied` has memory of its own. Nothing changes
    /// unless all fits.
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
            let dtype = part.tensor.dtype
            guard entry.shape == part.tensor.shape, entry.dtype == dtype || entry.dtype.isHalf && dtype == .float32 else {
                throw TensorError(.stateMismatch(name: name, expected: "\(part.tensor.spec)", given: "\(entry.dtype)\(entry.shape)"))
            }
            loaded[part.name] = try file.tensor(named: name)?.cast(to: dtype)
        }
        if !allowingMore {
            for entry in file.entries where entry.name.hasPrefix(prefix) && loaded[String(entry.name.dropFirst(prefix.count))] == nil {
                throw TensorError(.unexpectedState(name: entry.name, path: file.path))
            }
        }
        try forEachState { (name, kind, tensor) throws(TensorError) in
            guard let value = loaded[name] else { throw TensorError(.missingState(name: prefix + name, path: file.path)) }
            if tensor.requiresGradient || kind == .buffer { try tensor.assign(value) } else { tensor = value }
        }
    }
}

/// Visits a parameter that may be missing.
func forEachOptional(_ name: String, _ tensor: inout Tensor?, _ body: StateVisitor) throws(TensorError) {
    guard var present = tensor else { return }
    try body(name, .parameter, &present)
    tensor = present
}
