public import KeelNN

/// A loader's elements as a trainer's batches: so many at a time, put together. The last batch of an epoch may be smaller.
public struct LoaderBatches<Element: Sendable, Batch>: BatchSource {
    public let batchSize: Int
    private let order: ItemOrder
    private let open: (LoaderPosition) -> Loader<Element>
    private let collate: ([Element]) throws -> Batch
    private var loader: Loader<Element>

    /// - Parameters:
    ///   - open: makes the loader of `order` at a position.
    ///   - collate: makes one batch of elements.
    public init(
        _ order: ItemOrder, batchSize: Int, opening open: @escaping (LoaderPosition) -> Loader<Element>,
        collate: @escaping ([Element]) throws -> Batch
    ) {
        precondition(batchSize > 0, "a batch has one element at least")
        self.order = order
        self.batchSize = batchSize
        self.open = open
        self.collate = collate
        loader = open(LoaderPosition())
    }

    public var batchesPerEpoch: Int { (order.count + batchSize - 1) / batchSize }

    public mutating func seek(epoch: Int, batch: Int) {
        let position = LoaderPosition(epoch: epoch, taken: min(batch * batchSize, order.count))
        if loader.position != position { loader = open(position) }
    }

    public mutating func next() throws -> Batch {
        let taken = loader.position.taken == order.count ? 0 : loader.position.taken
        var elements: [Element] = []
        for _ in 0..<min(batchSize, order.count - taken) { elements.append(try loader.next()) }
        return try collate(elements)
    }
}
