import Keel
import KeelData
import KeelDecoders
import Testing

private let classes = (0..<100).map { $0 % 10 == 0 ? 2 : $0 % 3 == 0 ? 1 : 0 }

@Test func samplersDrawWhatTheirGoldenScriptDraws() throws {
    let golden = try Golden("samplers")
    let weights = try golden.numbers("weights")
    let classes = try golden.integers("classes"), lengths = try golden.integers("lengths")
    for epoch in 0..<2 {
        func expect(_ sampler: some Sampler<Int>, _ name: String) throws {
            #expect(try sampler.items(inEpoch: epoch) == golden.integers("\(name) \(epoch)"), "\(name)")
        }
        try expect(WeightedOrder(weights: weights, count: 40, putsBack: true, seed: 5), "replaced")
        try expect(WeightedOrder(weights: weights, count: 6, putsBack: false, seed: 5), "taken")
        try expect(StratifiedOrder(classes: classes, seed: 1 << 40 | 9), "stratified")
        let buckets = GroupedBatches(lengths: lengths, bounds: [4, 9], size: 3, seed: 7)
        #expect(try buckets.items(inEpoch: epoch) == golden.lists("bucketed \(epoch)"))
    }
}

/// 4,000 draws: six deviations of a share are at most 6 · √(0.25 / 4000) = 0.047.
@Test func weightsAreTheSharesOfTheDraws() {
    let weights = [1.0, 0, 3, 4]
    let replaced = WeightedOrder(weights: weights, count: 4000, putsBack: true, seed: 3).items(inEpoch: 1)
    // The first two without replacement: P(i) + Σ P(j) P(i | not j).
    let firstTwo = (0..<2000).map {
        WeightedOrder(weights: weights, count: 2, putsBack: false, seed: 3).items(inEpoch: $0)
    }
    for (item, weight) in weights.enumerated() {
        #expect(abs(Double(replaced.count { $0 == item }) / 4000 - weight / 8) < 0.047)
        let second = weights.indices.reduce(0.0) { $1 == item ? $0 : $0 + weights[$1] / 8 * weight / (8 - weights[$1]) }
        #expect(abs(Double(firstTwo.count { $0.contains(item) }) / 2000 - weight / 8 - second) < 0.067)
    }
}

@Test func everyStretchOfAStratifiedOrderHasTheSharesOfTheWhole() {
    let items = StratifiedOrder(classes: classes, seed: 4).items(inEpoch: 2)
    #expect(items.sorted() == Array(0..<100))
    for start in stride(from: 0, to: 100, by: 20) {
        for label in 0..<3 {
            let found = items[start..<start + 20].count { classes[$0] == label }
            #expect(abs(found - classes.count { $0 == label } / 5) <= 2)
        }
    }
}

@Test func groupedBatchesHaveEveryItemOnceAndOneGroupEach() {
    let sampler = GroupedBatches(groups: classes, size: 8, seed: 4)
    let (first, second) = (sampler.items(inEpoch: 0), sampler.items(inEpoch: 1))
    #expect(first.count == sampler.count && second.count == sampler.count && first != second)
    #expect(first.flatMap(\.self).sorted() == Array(0..<100))
    #expect(first.allSatisfy { batch in batch.count <= 8 && Set(batch.map { classes[$0] }).count == 1 })
}

@Test(arguments: [1, 3], [0, 4, 13])
func aLoaderOfBatchesGoesOnWhereItWas(threads: Int, taken: Int) throws {
    let sampler = Batches(of: StratifiedOrder(classes: classes, seed: 8), size: 16)
    func loader(_ position: LoaderPosition = LoaderPosition()) -> Loader<[Int]> {
        Loader(sampler, from: position, threads: threads, ahead: 4) { [$0.epoch] + $0.item }
    }
    let whole = loader()
    let all = try (0..<20).map { _ in try whole.next() }
    #expect(sampler.count == 7 && all.prefix(7).flatMap { $0.dropFirst() }.sorted() == Array(0..<100))
    let interrupted = loader()
    for _ in 0..<taken { _ = try interrupted.next() }
    let resumed = loader(interrupted.position)
    #expect(try (taken..<20).map { _ in try resumed.next() } == Array(all[taken...]))
}

@Test func paddingFillsUpToTheLongestSequence() throws {
    let batch = try PaddedBatch([[1, 2, 3], [4], []], padding: -1, multiple: 2)
    #expect(try batch.values.elements(Int.self) == [1, 2, 3, -1, 4, -1, -1, -1, -1, -1, -1, -1])
    #expect(try batch.lengths.elements(Int.self) == [3, 1, 0])
    #expect(try batch.mask.elements(Bool.self) == [true, true, true, false, true] + Array(repeating: false, count: 7))
    let steps = try PaddedBatch([[1, 2, 3, 4], [5, 6]] as [[Float]], stepShape: [2], padding: 0)
    #expect(steps.values.shape == [2, 2, 2])
    #expect(try steps.values.elements() == [1, 2, 3, 4, 5, 6, 0, 0])
    #expect(throws: TensorError(.elementCount(given: 3, [2]))) {
        try PaddedBatch([[1, 2, 3]] as [[Float]], stepShape: [2], padding: 0)
    }
}
