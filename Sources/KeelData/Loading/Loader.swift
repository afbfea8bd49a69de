internal import Keel
internal import Synchronization

/// Where a loader is: `taken` elements of epoch `epoch` were handed out. All there is to save.
public struct LoaderPosition: Sendable, Hashable, Codable {
    public var epoch: Int
    public var taken: Int

    public init(epoch: Int = 0, taken: Int = 0) {
        self.epoch = epoch
        self.taken = taken
    }
}

/// The order of a data set's items in each epoch: as they are, or shuffled anew from a seed.
public struct ItemOrder: Sendable, Hashable, Codable {
    public let count: Int
    /// nil: no shuffling.
    public let seed: UInt64?

    /// - Precondition: there is at least one item.
    public init(count: Int, shuffledBy seed: UInt64?) {
        precondition(count > 0, "an order has at least one item")
        self.count = count
        self.seed = seed
    }

    /// Every item once. A function of seed and epoch alone.
    ///
    /// - Source: Durstenfeld, *Random permutation*, 1964.
    public func items(inEpoch epoch: Int) -> [Int] {
        var items = Array(0..<count)
        guard let seed else { return items }
        var generator = Philox(seed: seed, stream: UInt64(epoch))
        for last in stride(from: count - 1, to: 0, by: -1) {
            // The high half of a product: even to one part in 2^64 / count.
            items.swapAt(last, Int(generator.next().multipliedFullWidth(by: UInt64(last + 1)).high))
        }
        return items
    }
}

/// Goes through a data set epoch after epoch, making elements ahead on threads of its own.
///
/// What comes out depends on the order and the position only, not on the number of threads; a loader made from a saved
/// position goes on exactly where the other one was.
public final class Loader<Element: Sendable> {
    /// What an element is made from: the item, and which epoch wants it (a key for augmentation).
    public struct Request: Sendable, Hashable {
        public let item: Int
        public let epoch: Int
    }

    public let order: ItemOrder
    public private(set) var position: LoaderPosition
    private let prefetcher: Prefetcher<Element>

    /// - Parameters:
    ///   - position: where to begin.
    ///   - threads: operating-system threads that call `make`.
    ///   - ahead: elements in the making or waiting, which bounds memory.
    public init(
        _ order: ItemOrder, from position: LoaderPosition = LoaderPosition(), threads: Int, ahead: Int,
        make: @escaping @Sendable (Request) throws -> Element
    ) {
        precondition((0...order.count).contains(position.taken), "a position lies within its epoch")
        self.order = order
        self.position = position
        let epochs = ShuffledEpochs(order)
        prefetcher = Prefetcher(threads: threads, ahead: ahead) { number in
            let (whole, taken) = (number + position.taken).quotientAndRemainder(dividingBy: order.count)
            let epoch = position.epoch + whole
            return try make(Request(item: epochs.item(taken, ofEpoch: epoch), epoch: epoch))
        }
    }

    /// The next element; there is always one. Waits until it is made, so call it on a thread that may wait.
    public func next() throws -> Element {
        if position.taken == order.count { position = LoaderPosition(epoch: position.epoch + 1) }
        position.taken += 1
        guard let element = try prefetcher.next() else { preconditionFailure("a loader's prefetcher has no end") }
        return element
    }
}

/// The orders of the epochs in use, so that each is shuffled once. Looking ahead touches two of them at a time, or more
/// where there are fewer items than elements ahead.
private final class ShuffledEpochs: Sendable {
    private let order: ItemOrder
    private let known = Mutex<[Int: [Int]]>([:])

    init(_ order: ItemOrder) { self.order = order }

    func item(_ index: Int, ofEpoch epoch: Int) -> Int {
        known.withLock { known in
            if let items = known[epoch] { return items[index] }
            if known.count == 4, let oldest = known.keys.min() { known[oldest] = nil }
            let items = order.items(inEpoch: epoch)
            known[epoch] = items
            return items[index]
        }
    }
}
