public import Keel

/// Examples that lie in memory, as batches: each tensor has one of them at each place of its first axis. In order, or shuffled anew in each
/// epoch; an epoch's last batch may be smaller.
///
/// ```swift
/// var batches = try TensorBatches(inputs, labels, batchSize: 32, shuffledBy: 1)
/// let batch = try batches.next()   // [inputs [32, ...], labels [32]]
/// ```
public struct TensorBatches: BatchSource {
    public let batchSize: Int
    private let tensors: [Tensor]
    private let examples: Int
    private let seed: UInt64?
    private var epoch = 0, batch = 0
    /// The order of `epoch`; nil before it is needed.
    private var order: Tensor?

    /// - Parameter seed: of the shuffling; nil for none. An epoch's order is a function of seed and epoch alone.
    /// - Throws: `TensorError.argument` for no tensors, no examples, or a batch size below 1; `TensorError.shape` for another count of examples.
    public init(_ tensors: Tensor..., batchSize: Int, shuffledBy seed: UInt64? = nil) throws(TensorError) {
        func refuse(_ name: String, _ given: String, _ allowed: String) -> TensorError {
            TensorError(.argument(primitive: "TensorBatches", name: name, given: given, allowed: allowed))
        }
        guard let first = tensors.first else { throw refuse("tensors", "none", "one at least") }
        guard batchSize > 0 else { throw refuse("batchSize", "\(batchSize)", "1 and more") }
        for tensor in tensors where tensor.rank == 0 || tensor.shape[0] != first.shape[0] {
            throw TensorError(.shape(primitive: "TensorBatches", expected: "as many examples as in \(first.shape)", tensor.shape))
        }
        examples = try first.shape.size(0)
        guard examples > 0 else { throw refuse("examples", "none", "one at least") }
        self.tensors = tensors
        self.batchSize = batchSize
        self.seed = seed
    }

    public var batchesPerEpoch: Int { (examples + batchSize - 1) / batchSize }

    public mutating func seek(epoch: Int, batch: Int) {
        if epoch != self.epoch { order = nil }
        (self.epoch, self.batch) = (epoch, batch)
    }

    public mutating func next() throws(TensorError) -> [Tensor] {
        if batch >= batchesPerEpoch { seek(epoch: epoch + 1, batch: 0) }
        let start = batch * batchSize, end = min(start + batchSize, examples)
        batch += 1
        var parts: [Tensor] = []
        guard let seed else {
            for tensor in tensors { parts.append(try tensor.sliced(0, from: start, to: end)) }
            return parts
        }
        var generator = Philox(seed: seed, stream: UInt64(epoch))
        let order = if let order { order } else { try Tensor.permutation(examples, using: &generator) }
        self.order = order
        let chosen = try order.sliced(0, from: start, to: end)
        for tensor in tensors { parts.append(try tensor.gathered(chosen)) }
        return parts
    }
}
