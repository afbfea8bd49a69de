/// Batches, epoch after epoch, without end. What comes at a position depends on the position alone, so that a training can go on from it.
public protocol BatchSource<Batch> {
    associatedtype Batch

    /// How many batches an epoch has; at least one.
    var batchesPerEpoch: Int { get }

    /// Makes batch number `batch` of epoch `epoch` the next one.
    mutating func seek(epoch: Int, batch: Int) throws

    mutating func next() throws -> Batch
}
