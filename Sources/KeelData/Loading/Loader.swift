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

/// What a loader goes through in each epoch: a pure function of the epoch (and of a seed that it holds), so that it
/// depends on no thread and needs no state to be saved. An order's items are numbers of items in the data set; those of
/// batches are lists of them.
public protocol Sampler<Item>: Sendable {
    associatedtype Item: Sendable
    /// Items of an epoch: at least one, and as many in every epoch.
    var count: Int { get }
    func items(inEpoch epoch: Int) -> [Item]
}

/// What a loader makes an element from: the item (or the batch's), and which epoch wants it (a key for augmentation).
public struct LoaderRequest<Item: Sendable>: Sendable {
    public let item: Item
    public let epoch: Int
}
extension LoaderRequest: Equatable where Item: Equatable {}
extension LoaderRequest: Hashable where Item: Hashable {}

/// The order of a data set's items in each epoch: as they are, or shuffled anew from a seed.
public struct ItemOrder: Sampler, Hashable, Codable {
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
        items.shuffleEvenly(using: &generator)
        return items
    }
}

/// Goes through a data set epoch after epoch, making elements ahead on threads of its own.
///
/// What comes out depends on the order and the position only, not on the number of threads; a loader made from a saved
/// position goes on exactly where the other one was.
public final class Loader<Element: Sendable> {
    /// Elements of an epoch.
    public let count: Int
    public private(set) var position: LoaderPosition
    private let prefetcher: Prefetcher<Element>

    /// - Parameters:
    ///   - position: where to begin.
    ///   - threads: operating-system threads that call `make`.
    ///   - ahead: elements in the making or waiting, which bounds memory.
    public init<Item>(
        _ sampler: some Sampler<Item>, from position: LoaderPosition = LoaderPosition(), threads: Int, ahead: Int,
        make: @escaping @Sendable (LoaderRequest<Item>) throws -> Element
    ) {
        let count = sampler.count
        precondition(count > 0, "a loader goes through at least one item")
        precondition((0...count).contains(position.taken), "a position lies within its epoch")
        self.count = count
        self.position = position
        let epochs = SampledEpochs(sampler)
        prefetcher = Prefetcher(threads: threads, ahead: ahead) { number in
            let (whole, taken) = (number + position.taken).quotientAndRemainder(dividingBy: count)
            let epoch = position.epoch + whole
            return try make(LoaderRequest(item: epochs.item(taken, ofEpoch: epoch), epoch: epoch))
        }
    }

    /// The next element; there is always one. Waits until it is made, so call it on a thread that may wait.
    public func next() throws -> Element {
        if position.taken == count { position = LoaderPosition(epoch: position.epoch + 1) }
        position.taken += 1
        guard let element = try prefetcher.next() else { preconditionFailure("a loader's prefetcher has no end") }
        return element
    }
}

/// The items of the epochs in use, so that each is sampled once. Looking ahead touches two of them at a time, or more
/// where there are fewer items than elements ahead.
private final class SampledEpochs<S: Sampler>: Sendable {
    private let sampler: S
    private let known = Mutex<[Int: [S.Item]]>([:])

    init(_ sampler: S) { self.sampler = sampler }

    func item(_ index: Int, ofEpoch epoch: Int) -> S.Item {
        known.withLock { known in
            if let items = known[epoch] { return items[index] }
            if known.count == 4, let oldest = known.keys.min() { known[oldest] = nil }
            let items = sampler.items(inEpoch: epoch)
            precondition(items.count == sampler.count, "a sampler has as many items in every epoch")
            known[epoch] = items
            return items[index]
        }
    }
}
