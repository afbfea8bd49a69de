public import Keel

/// All that a training needs to go on as if it had never stopped, in one safetensors file: the network's state under `model.`, the
/// optimiser's under `optimizer.`, that of a running mean of the weights under `average.`, a pruning's under `pruning.`, and what the caller
/// notes (steps done, the data's position) as text.
public enum Checkpoint {
    /// What a checkpoint holds, by name; without an optimiser, a network alone. `ModelFolder` of KeelProgram takes it as a model's weights.
    public static func tensors<M: Module>(
        _ layer: M, _ optimizer: (any Optimizer)? = nil, average: ExponentialMovingAverage? = nil, pruning: Pruning? = nil
    ) throws(TensorError) -> [(name: String, tensor: Tensor)] {
        var tensors: [(name: String, tensor: Tensor)] = []
        for part in try layer.state() { tensors.append(("model." + part.name, part.tensor.detached())) }
        try optimizer?.forEachState { (name, tensor) throws(TensorError) in tensors.append(("optimizer." + name, tensor)) }
        try average?.forEachState { (name, tensor) throws(TensorError) in tensors.append(("average." + name, tensor)) }
        try pruning?.forEachState { (name, tensor) throws(TensorError) in tensors.append(("pruning." + name, tensor)) }
        return tensors
    }

    /// Writes a checkpoint, whole or not at all.
    public static func save<M: Module>(
        _ layer: M, _ optimizer: some Optimizer, average: ExponentialMovingAverage? = nil, pruning: Pruning? = nil, notes: [String: String] = [:],
        to path: String
    ) throws(TensorError) {
        try Safetensors.write(tensors(layer, optimizer, average: average, pruning: pruning), metadata: notes, to: path)
    }

    /// Restores a network that lies in the optimiser's store, and the optimiser, as they were.
    ///
    /// - Returns: the notes.
    /// - Throws: as `Layer.load`.
    @discardableResult
    public static func load<M: Module>(
        _ layer: inout M, _ optimizer: some Optimizer, average: ExponentialMovingAverage? = nil, pruning: Pruning? = nil, from path: String
    ) throws(TensorError) -> [String: String] {
        try load(&layer, optimizer, average: average, pruning: pruning, from: Safetensors(reading: path))
    }

    /// The same of a file that is open, such as a model folder's weights; without an optimiser, of the network alone.
    @discardableResult
    public static func load<M: Module>(
        _ layer: inout M, _ optimizer: (any Optimizer)? = nil, average: ExponentialMovingAverage? = nil, pruning: Pruning? = nil, from file: Safetensors
    ) throws(TensorError) -> [String: String] {
        var state: [(Tensor, Tensor)] = []
        func find(_ name: String, for tensor: Tensor) throws(TensorError) {
            guard let entry = file[name], let value = try file.tensor(named: name) else { throw TensorError(.missingState(name: name, path: file.path)) }
            guard entry.shape == tensor.shape, entry.dtype == tensor.dtype else {
                throw TensorError(.stateMismatch(name: name, expected: "\(tensor.spec)", given: "\(entry.dtype)\(entry.shape)"))
            }
            state.append((tensor, value))
        }
        try optimizer?.forEachState { (name, tensor) throws(TensorError) in try find("optimizer." + name, for: tensor) }
        try average?.forEachState { (name, tensor) throws(TensorError) in try find("average." + name, for: tensor) }
        try pruning?.forEachState { (name, tensor) throws(TensorError) in try find("pruning." + name, for: tensor) }
        try layer.load(from: file, under: "model.")
        for (tensor, value) in state { try tensor.assign(value) }
        return file.metadata
    }
}
