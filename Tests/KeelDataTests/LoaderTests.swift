import KeelData
import Testing

@Test(arguments: [1, 2, 5])
func elementsComeInOrderWhateverTheThreads(threads: Int) throws {
    let prefetcher = Prefetcher(count: 500, threads: threads, ahead: 8) { position in
        // Uneven work, so that threads overtake each other.
        (0..<(position % 7) * 1000).reduce(position) { value, _ in value }
    }
    for position in 0..<500 { #expect(try prefetcher.next() == position) }
    #expect(try prefetcher.next() == nil)
}

@Test func anErrorComesOutAtItsPosition() throws {
    struct Fault: Error {}
    let prefetcher = Prefetcher(count: 3, threads: 2, ahead: 4) { position in
        if position == 1 { throw Fault() }
        return position
    }
    #expect(try prefetcher.next() == 0)
    #expect(throws: Fault.self) { try prefetcher.next() }
    #expect(try prefetcher.next() == 2)
}

@Test func everyEpochHasEveryItemOnceInAnOrderOfItsOwn() {
    let order = ItemOrder(count: 100, shuffledBy: 7)
    let first = order.items(inEpoch: 0)
    #expect(first.sorted() == Array(0..<100) && order.items(inEpoch: 1).sorted() == first.sorted())
    #expect(first == order.items(inEpoch: 0) && first != order.items(inEpoch: 1))
    #expect(first != ItemOrder(count: 100, shuffledBy: 8).items(inEpoch: 0))
    #expect(ItemOrder(count: 5, shuffledBy: nil).items(inEpoch: 3) == [0, 1, 2, 3, 4])
}

@Test(arguments: [1, 3], [0, 1, 9, 10, 11, 25])
func aSavedPositionGoesOnWhereTheLoaderWas(threads: Int, taken: Int) throws {
    func loader(_ position: LoaderPosition = LoaderPosition()) -> Loader<[Int]> {
        Loader(ItemOrder(count: 10, shuffledBy: 3), from: position, threads: threads, ahead: 25) { [$0.epoch, $0.item] }
    }
    let whole = loader()
    let all = try (0..<40).map { _ in try whole.next() }
    let interrupted = loader()
    for _ in 0..<taken { _ = try interrupted.next() }
    let resumed = loader(interrupted.position)
    #expect(try (taken..<40).map { _ in try resumed.next() } == Array(all[taken...]))
    #expect(resumed.position == whole.position)
    #expect(all.map { $0[0] } == (0..<40).map { $0 / 10 })
}

@Test func batchesOfALoaderGoOnFromAnyPosition() throws {
    let order = ItemOrder(count: 10, shuffledBy: 3)
    func batches() -> LoaderBatches<Int, [Int]> {
        LoaderBatches(order, batchSize: 4, opening: { Loader(order, from: $0, threads: 2, ahead: 5) { $0.epoch * 100 + $0.item } }, collate: { $0 })
    }
    var whole = batches(), all: [[Int]] = []
    #expect(whole.batchesPerEpoch == 3)
    for _ in 0..<9 { all.append(try whole.next()) }
    #expect(all.map(\.count) == [4, 4, 2, 4, 4, 2, 4, 4, 2])
    #expect(Set(all[3...5].joined()) == Set(100..<110))
    for start in 0..<7 {
        var part = batches()
        part.seek(epoch: start / 3, batch: start % 3)
        #expect(try part.next() == all[start])
        #expect(try part.next() == all[start + 1])
    }
}
