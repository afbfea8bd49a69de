import Keel
import KeelNN
import KeelProgram

/// A network in training on batches that lie in memory, taken in turn. It can go on from given weights and with given data.
final class Training {
    private var batches: [[Tensor]]
    private let parameters: ParameterStore
    private let optimizer: any Optimizer
    private let loss: ([Tensor]) throws -> Tensor
    private let load: (Safetensors) throws -> Void
    private let buffers: () throws -> [Tensor]
    /// Whole steps, if they are a program's.
    private var program: Program?
    private var stepsDone = 0

    /// - Parameter loss: of the network and the tensors of a batch.
    init<N: Layer>(
        _ network: consuming N, batches: [[Tensor]], tables: [String] = [], optimizer: (ParameterStore) throws -> any Optimizer,
        loss: @escaping (N, [Tensor], Context) throws -> Tensor
    ) throws {
        parameters = try ParameterStore(&network) { name, _ in ParameterGroup(isSparse: tables.contains(name)) }
        self.optimizer = try optimizer(parameters)
        self.batches = batches
        let context = try Context.training(seed: 1, step: 0)
        var trained = network
        self.loss = { try loss(trained, $0, context) }
        load = { try trained.load(from: $0) }
        buffers = { try trained.buffers() }
    }

    /// Clear gradients, forward, loss, backward, update.
    ///
    /// - Returns: the loss before the update.
    @discardableResult
    func step() throws -> Tensor {
        let batch = batches[stepsDone % batches.count]
        stepsDone += 1
        if let program { return try program.run(batch)[0] }
        return try step(on: batch)
    }

    private func step(on batch: [Tensor]) throws -> Tensor {
        try parameters.clearGradients()
        let loss = try loss(batch)
        try loss.backward()
        try optimizer.step()
        return loss.detached()
    }

    /// From now on each step is a run of one optimised program, for batches as large as the first.
    func becomeProgram() throws {
        let inputs = batches[0].enumerated().map { (name: "\($0.offset)", spec: $0.element.spec) }
        program = try Program.traced(inputs: inputs, state: optimizer.state() + buffers()) { [(name: "loss", tensor: try step(on: $0))] }.optimised()
    }

    /// Replaces the network's state by that of a file, and the batches by those of another, where tensor `i` of batch `b` is called `b.i`.
    ///
    /// - Throws: `Misuse` where the data lacks a tensor; as `Layer.load`.
    func begin(weights: Safetensors, data: Safetensors) throws {
        for b in batches.indices {
            for i in batches[b].indices {
                guard let tensor = try data.tensor(named: "\(b).\(i)") else { throw Misuse(description: "\(data.path) has no tensor '\(b).\(i)'") }
                batches[b][i] = tensor
            }
        }
        try load(weights)
    }
}

/// What is timed, again and again.
struct Step {
    let run: () throws -> Void
    /// The training whose step it is, if it is one.
    let training: Training?

    init(_ run: @escaping () throws -> Void) {
        self.run = run
        training = nil
    }

    init(_ training: Training) {
        run = { try training.step() }
        self.training = training
    }
}
