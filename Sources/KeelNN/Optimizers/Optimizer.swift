public import Keel

/// Moves a store's parameters against their gradients.
///
/// Whatever changes from step to step, the learning rate and the step number, is a tensor that is written in place: a traced
/// program reads it anew each time it runs. What differs between parameters is in their `ParameterGroup`: a factor of the learning rate, and
/// whether weight decay applies.
public protocol Optimizer {
    var parameters: ParameterStore { get }
    /// A scalar.
    var learningRate: Tensor { get }

    /// One update of all parameters from the gradients as they are.
    func step() throws(TensorError)

    /// Visits the optimiser's own state: learning rate, step number, and a tensor of each parameter's shape for each moment,
    /// named `<moment>.<parameter>`. The tensors are views: to change them, `assign` to them.
    func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError)

    /// Memory that a step writes to and leaves as it was: state of a program, but nothing that a checkpoint keeps.
    var scratch: [Tensor] { get }
}

extension Optimizer {
    /// One step down the gradient of `loss` alone: clears the gradients, goes back through `loss`, and steps. The gradients stay, to be
    /// looked at. To add up the gradients of several losses, or to clip them, call `backward`, `step` and `clearGradients` yourself.
    ///
    /// - Throws: as `Tensor.backward`.
    public func minimise(_ loss: Tensor) throws(TensorError) { try [self].minimise(loss) }

    public var scratch: [Tensor] { [] }

    /// All that a step reads and writes: parameters, their gradients, and what the optimiser keeps. With the network's buffers, it is the state of
    /// a training program (`Program.trace`).
    public func state() throws(TensorError) -> [Tensor] {
        var state = [parameters.values, parameters.gradients] + parameters.tables.map(\.parameter) + scratch
        try forEachState { (_, tensor) throws(TensorError) in state.append(tensor) }
        return state
    }

    public func setLearningRate(_ rate: Double) throws(TensorError) { try learningRate.assign(Tensor(Float(rate))) }
}

extension [any Optimizer] {
    /// One step of each, from one pass back through `loss`; see `Optimizer.minimise`.
    public func minimise(_ loss: Tensor) throws(TensorError) {
        for optimizer in self { try optimizer.parameters.clearGradients() }
        try loss.backward()
        for optimizer in self { try optimizer.step() }
    }
}

/// Refuses settings that no optimiser takes.
func checkSettings(
    _ name: String, learningRate: Double, shares: [(String, Double)] = [], epsilon: Double? = nil, weightDecay: Double
) throws(TensorError) {
    func refuse(_ setting: String, _ given: Double, _ allowed: String) -> TensorError {
        TensorError(.argument(primitive: name, name: setting, given: "\(given)", allowed: allowed))
    }
    guard learningRate >= 0, learningRate.isFinite else { throw refuse("learningRate", learningRate, "0 and more") }
    for (share, value) in shares where !(0..<1).contains(value) { throw refuse(share, value, "0..<1") }
    if let epsilon, !(epsilon > 0) { throw refuse("epsilon", epsilon, "above 0") }
    guard weightDecay >= 0, weightDecay.isFinite else { throw refuse("weightDecay", weightDecay, "0 and more") }
}

extension ParameterStore {
    /// - Throws: `TensorError.argument` where there are sparse tables, for optimisers that don't take them.
    func refuseTables(_ optimizer: String) throws(TensorError) {
        guard tables.isEmpty else {
            throw TensorError(.argument(primitive: optimizer, name: "parameters", given: "sparse tables", allowed: "dense parameters; Adam and AdamW take tables"))
        }
    }
}
