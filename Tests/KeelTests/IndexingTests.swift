import Keel
import Testing

private let devices: [any Device] = [CPU.shared, Reference.shared]

@Test(arguments: devices.indices)
func sortingIsStableAndPutsNaNLast(_ device: Int) throws {
    let x = try Tensor([Float(2), .nan, -0.0, 0, -.infinity, 2, .nan, .infinity, -1]).moved(to: devices[device])
    #expect(try x.argSorted().elements(Int64.self) == [4, 8, 2, 3, 0, 5, 7, 1, 6])
    #expect(try x.argSorted(descending: true).elements(Int64.self) == [1, 6, 7, 0, 5, 2, 3, 8, 4])
    let (values, indices) = try x.topK(3, largest: false)
    #expect(try values.elements() == [-.infinity, -1, 0])
    #expect(try indices.elements(Int64.self) == [4, 8, 2])
    #expect(try x.sorted().elements()[2].sign == .minus, "a number keeps the sign of its zero")
    let scalars = try Tensor([Float](), [0]).moved(to: devices[device])
    #expect(try scalars.argSorted().count == 0)
}

/// Every kind of number, ties included, at lengths on both sides of each way to sort: insertion, merging, radix, and a few of many.
@Test(arguments: [DType.float32, .float64, .int32, .int64, .uint8], [1, 15, 17, 100, 511, 512, 3000])
func everyWayToSortGivesTheOrderOfASimpleOne(_ dtype: DType, _ n: Int) throws {
    var generator = Philox(seed: UInt64(n))
    let numbers = try Tensor.uniform([2, n], in: dtype == .uint8 ? 0...90 : -90...90, using: &generator)
    let x = try (dtype.isFloat ? numbers.cast(to: .int32).cast(to: dtype) * 0.5 : numbers.cast(to: dtype))
    for isDescending in [false, true] {
        for row in 0..<2 {
            let keys = try x.at(row).cast(to: .float64).elements(Double.self)
            let expected = (0..<n).sorted { (isDescending ? keys[$0] > keys[$1] : keys[$0] < keys[$1]) || keys[$0] == keys[$1] && $0 < $1 }
            for device in devices {
                let y = try x.at(row).moved(to: device)
                #expect(try y.argSorted(descending: isDescending).elements(Int64.self) == expected.map(Int64.init))
                #expect(try y.sorted(descending: isDescending).cast(to: .float64).elements(Double.self) == expected.map { keys[$0] })
                let k = max(1, n / 100)
                #expect(try y.topK(k, largest: isDescending).indices.elements(Int64.self) == expected.prefix(k).map(Int64.init))
            }
        }
    }
}

/// Numbers that get better and better make a search for the best few start over again and again.
@Test func topKFindsTheBestOfRisingNumbers() throws {
    let x = try Tensor.range(5000, .float32)
    #expect(try x.topK(7).indices.elements(Int64.self) == [4999, 4998, 4997, 4996, 4995, 4994, 4993])
    #expect(try x.topK(7, largest: false).indices.elements(Int64.self) == [0, 1, 2, 3, 4, 5, 6])
    #expect(try Tensor.zeros([5000]).topK(3).indices.elements(Int64.self) == [0, 1, 2])
    #expect(try x.topK(0).values.shape == [0])
}

@Test func theWholeNumbersOfEachRuleWrapAndKeepOrder() throws {
    for device in devices {
        let indices = try Tensor([Int64(1), -1, 1, 1]).moved(to: device)
        func run<T: TensorElement>(_ x: [T], _ updates: [T], _ rule: ScatterRule) throws -> [T] {
            try Tensor(x).moved(to: device).scattered(Tensor(updates).moved(to: device), along: 0, at: indices, rule).elements(T.self)
        }
        #expect(try run([Int32(5), 6, 7], [1, 2, 3, .max], .set) == [5, .max, 2])
        #expect(try run([Int32(5), 6, 7], [1, 2, 3, .max], .add) == [5, .min + 9, 9])
        #expect(try run([Int64(5), 6, 7], [2, 3, -1, 1], .multiply) == [5, -12, 21])
        #expect(try run([UInt8(5), 6, 7], [250, 2, 3, 9], .add) == [5, 12, 9])
        #expect(try run([Int64(5), 6, 7], [1, 20, 30, 9], .maximum) == [5, 30, 20])
        #expect(try run([Int32(5), 6, 7], [1, 20, 30, -9], .minimum) == [5, -9, 7])
        #expect(try run([true, false, true], [true, false, true, false], .set) == [true, false, false])
        let nan = try run([Float(5), .nan, 7], [1, .nan, 3, 9], .maximum)
        #expect(nan[0] == 5 && nan[1].isNaN && nan[2].isNaN)
        #expect(throws: TensorError(.dtype(primitive: "ScatterElements", expected: "numbers", .bool))) { try run([true], [true, true, true, true], .add) }
    }
}

/// An update that another one covered gets no gradient; a factor beside a zero does.
@Test func gradientsOfScatteringGoToWhatStayed() throws {
    let indices = try Tensor([Int64(0), 1, 0])
    let x = try Tensor([Float(2), 3, 4]).requiringGradient(), updates = try Tensor([Float(5), 0, 7]).requiringGradient()
    let seed = try Tensor([Float(1), 10, 100])
    func gradients(_ rule: ScatterRule) throws -> [[Float]] {
        try x.scattered(updates, along: 0, at: indices, rule).gradients(of: [x, updates], seed: seed).map { try $0.elements() }
    }
    #expect(try gradients(.set) == [[0, 0, 100], [0, 10, 1]])
    #expect(try gradients(.add) == [[1, 10, 100], [1, 10, 1]])
    #expect(try gradients(.multiply) == [[35, 0, 100], [14, 30, 10]])
    #expect(try gradients(.maximum) == [[0, 10, 100], [0, 0, 1]])
    #expect(try gradients(.minimum) == [[1, 0, 100], [0, 10, 0]])
}

/// Products of numbers of which some are 0: nothing is divided by them.
@Test func gradientOfARunningProductIsExactBesideZeros() throws {
    let x = try Tensor([Float(2), 0, 3, 0, 5]).requiringGradient()
    let y = try x.cumulativeProduct(0)
    #expect(try y.elements() == [2, 0, 0, 0, 0])
    // d/dx1 of (x0, x0 x1, x0 x1 x2, ...) is (0, x0, x0 x2, x0 x2 x3, ...); the sum of its first three is 2 + 6.
    #expect(try y.sum().gradients(of: [x])[0].elements() == [1, 8, 0, 0, 0])
    #expect(try Tensor([Float.infinity, 2]).cumulativeProduct(0).elements() == [.infinity, .infinity])
}

@Test func sumsAreTheSameAtAnyThreadCountAndOfWholeNumbersWrap() throws {
    var generator = Philox(seed: 3)
    let x = try Tensor.uniform([37, 300], in: -1...1, using: &generator), wide = try Tensor.uniform([3, 50, 500], in: -1...1, using: &generator)
    let indices = try Tensor((0..<100_000).map { Int64($0 * 7919 % 1000) }), updates = try Tensor.uniform([100_000], in: -1...1, using: &generator)
    func all() throws -> [[Float]] {
        [
            try x.cumulativeSum(1).elements(), try wide.cumulativeSum(1, exclusive: true).elements(), try x.sorted().elements(),
            try Tensor.zeros([1000]).scattered(updates, along: 0, at: indices, .add).elements(), try wide.padded([(2, 3), (4, 1)], .reflect).elements(),
            try wide.recurrence(1, factors: wide).elements(), try x.topK(5).values.elements(),
        ]
    }
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let alone = try all()
    for count in 2...4 {
        Threads.count = count
        #expect(try all() == alone)
    }
    #expect(try Tensor([Int32.max, 1, 5]).cumulativeSum(0).elements(Int32.self) == [.max, .min, .min + 5])
    #expect(try Tensor([UInt8(200), 100]).cumulativeSum(0, reversed: true).elements(UInt8.self) == [44, 100])
}

@Test func masksSelectInOrderWithinTheDeclaredRoom() throws {
    for device in devices {
        let mask = try Tensor([false, true, true, false, false, true], [2, 3]).moved(to: device)
        #expect(try mask.nonZero().elements(Int64.self) == [0, 0, 1, 1, 2, 2])
        let (places, count) = try mask.nonZero(limit: 4)
        #expect(try places.elements(Int64.self) == [0, 0, 1, 0, 1, 2, 2, 0])
        #expect(try count.item(Int64.self) == 3)
        let x = try Tensor([Int32(1), 2, 3, 4, 5, 6], [2, 3]).moved(to: device)
        #expect(try x.selected(where: mask).elements(Int32.self) == [2, 3, 6])
        #expect(try x.selected(where: mask, limit: 4).values.elements(Int32.self) == [2, 3, 6, 0])
        #expect(try x.selected(where: Tensor([false, false]).moved(to: device)).shape == [0, 3])
        #expect(try x.filled(with: 9, where: mask).elements(Int32.self) == [1, 9, 9, 4, 5, 9])
        let empty = try Tensor.zeros([2, 0], .bool, on: device).nonZero(limit: 1)
        #expect(try empty.count.item(Int64.self) == 0)
    }
}

@Test func partsAndFlipsAreViews() throws {
    let x = try Tensor.range(12, .float32).reshaped([3, 4])
    let parts = try x.split([1, 3], axis: 1)
    #expect(try parts[1].elements() == [1, 2, 3, 5, 6, 7, 9, 10, 11])
    #expect(try x.flipped([0, 1]).elements() == (0..<12).reversed().map(Float.init))
    #expect(try x.flipped([1]).sliced(1, from: 1, to: 3).elements() == [2, 1, 6, 5, 10, 9])
    #expect(try x.flipped([0]).reshaped([12]).elements() == [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3])
    #expect(try x.rolled(by: 1, axis: 1).elements() == [3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10])
    #expect(try x.unstacked().count == 3)
    #expect(try Tensor.zeros([0, 4]).unstacked().isEmpty)
}

@Test func sequencesHitTheirEnds() throws {
    #expect(try Tensor.arange(from: 1, to: 2, by: 0.25).elements() == [1, 1.25, 1.5, 1.75])
    #expect(try Tensor.arange(to: 3, .int64).elements(Int64.self) == [0, 1, 2])
    #expect(try Tensor.arange(from: 3, to: 0, by: -2).elements() == [3, 1])
    #expect(try Tensor.arange(from: 3, to: 0).count == 0)
    let line = try Tensor.linspace(from: 0.1, to: 0.7, count: 7, .float64).elements(Double.self)
    #expect(line.first == 0.1 && line.last == 0.7 && line.count == 7)
    #expect(try Tensor.linspace(from: 4, to: 9, count: 1).elements() == [4])
    #expect(try Tensor.eye(2, columns: 3).elements() == [1, 0, 0, 0, 1, 0])
    #expect(try Tensor.lowerTriangularMask(2, columns: 3, diagonal: 1).elements(Bool.self) == [true, true, false, true, true, true])
    #expect(try Tensor.upperTriangularMask(3).elements(Bool.self) == [true, true, true, false, true, true, false, false, true])
}

@Test func einsumsOfIntegersAreExact() throws {
    let a = try Tensor([Int64(1), 2, 3, 4], [2, 2]), b = try Tensor([Int64(5), 6, 7, 8], [2, 2])
    #expect(try Tensor.einsum("ij,jk->ik", a, b).elements(Int64.self) == [19, 22, 43, 50])
    #expect(try Tensor.einsum("ij,ij->", a, b).item(Int64.self) == 70)
    #expect(try Tensor.einsum("ji", a).elements(Int64.self) == [1, 3, 2, 4])
    #expect(try Tensor.einsum("ii", a).item(Int64.self) == 5)
}

@Test(arguments: [
    ("ij->ijk", "only letters of the terms in the result"), ("ij->ii", "each letter once in the result"), ("i1->i", "letters, one '...' a term"),
    ("...i...->i", "letters, one '...' a term"), ("ij->i->j", "letters, one '...' a term"),
])
func badEquationsAreRefused(_ equation: String, _ reason: String) {
    let error = #expect(throws: TensorError.self) { try Einsum(equation) }
    #expect(error?.description.hasPrefix("Einsum: equation is '\(equation)', allowed is \(reason)") == true, "\(error?.description ?? "")")
}

private let indexingRejections: [(String, @Sendable () throws -> Void)] = [
    ("GatherElements: needs int64 or int32 indices, was given float32", { _ = try Tensor.zeros([2]).takenAlong(0, at: Tensor.zeros([2])) }),
    ("GatherElements: index -3 at position 1 isn't in -2..<2", { _ = try Tensor.zeros([2]).takenAlong(0, at: Tensor([Int64(0), -3])) }),
    (
        "GatherElements: index 5 at position 2 isn't in -2..<2",
        { _ = try Tensor.zeros([2, 2]).takenAlong(0, at: Tensor([Int64(0), 5], [2, 1]).expanded(to: [2, 2])) }
    ),
    ("ScatterElements: float32 and int32 don't mix; cast one of them", { _ = try Tensor.zeros([2]).scattered(Tensor([Int32(1)]), along: 0, at: Tensor([Int64(0)])) }),
    ("ScatterElements: needs updates [1], was given [2]", { _ = try Tensor.zeros([2]).scattered(Tensor.zeros([2]), along: 0, at: Tensor([Int64(0)])) }),
    ("ScatterElements: index 2 at position 0 isn't in -2..<2", { _ = try Tensor.zeros([2]).scattered(Tensor.zeros([1]), along: 0, at: Tensor([Int32(2)])) }),
    ("ScatterElements: needs indices of one axis, was given []", { _ = try Tensor.zeros([2]).scattered(parts: Tensor.zeros([1]), at: Tensor(Int64(0))) }),
    ("TopK: count is -1, allowed is 0...2", { _ = try Tensor.zeros([2]).topK(-1) }),
    ("CumSum: needs numbers, was given bool", { _ = try Tensor.zeros([2], .bool).cumulativeSum(0) }),
    ("LinearRecurrence: needs floats, was given int64", { _ = try Tensor.range(2).recurrence(0, factors: Tensor.range(2)) }),
    ("LinearRecurrence: float32 and float64 don't mix; cast one of them", { _ = try Tensor.zeros([2], .float64).recurrence(0, factors: Tensor.zeros([2])) }),
    ("NonZero: needs a bool mask, was given float32", { _ = try Tensor.zeros([2]).nonZero() }),
    ("NonZero: limit is -1, allowed is 0 and more", { _ = try Tensor.zeros([2], .bool).nonZero(limit: -1) }),
    ("NonZero: limit is 1, allowed is 2 and more for as many true elements", { _ = try Tensor.ones([2], .bool).nonZero(limit: 1) }),
    ("selected: needs a mask of the first sizes of [2, 3], was given [3]", { _ = try Tensor.zeros([2, 3]).selected(where: Tensor.ones([3], .bool)) }),
    ("Pad: padding of axis 0 is -1, 0, allowed is 0 and more", { _ = try Tensor.zeros([2]).padded([(-1, 0)]) }),
    ("Tile: counts is [-1], allowed is 0 and more", { _ = try Tensor.zeros([2]).tiled([-1]) }),
    ("Repeat: [2] has no axis 1", { _ = try Tensor.zeros([2]).repeated(2, axis: 1) }),
    ("Repeat: needs seven axes at most, was given [1, 1, 1, 1, 1, 1, 1, 1]", { _ = try Tensor.zeros([1, 1, 1, 1, 1, 1, 1, 1]).repeated(2, axis: 0) }),
    ("Diagonal: axes is 0, 0, allowed is two different ones", { _ = try Tensor.zeros([2, 2]).diagonal(0, 0) }),
    ("Roll: [2] has no axis 1", { _ = try Tensor.zeros([2]).rolled(by: 1, axis: 1) }),
    ("arange: range is 0.0..<1.0 by 0.0, allowed is finite numbers and a step other than 0", { _ = try Tensor.arange(to: 1, by: 0) }),
    ("linspace: count is -1, allowed is 0 and more", { _ = try Tensor.linspace(from: 0, to: 1, count: -1) }),
]

@Test(arguments: indexingRejections.indices)
func indexingRefusalsSayWhatWouldBeRight(_ i: Int) {
    let (text, call) = indexingRejections[i]
    let error = #expect(throws: TensorError.self) { try call() }
    #expect(error?.description == text)
}

/// Products of [10, 100], [100, 5] and [5, 50]: the first two first, 5,000 and 2,500 multiplications, of which the result has the most numbers.
@Test func whatASumOfProductsTakesIsKnownBefore() throws {
    let chain = try Einsum("ab,bc,cd->ad").cost(of: [[10, 100], [100, 5], [5, 50]])
    #expect(chain.multiplications == 7500 && chain.largest == 500)
    // Nothing is summed over: all of it is there at once.
    let outer = try Einsum("...a,...b->...ab").cost(of: [[2, 3], [4, 2, 5]])
    #expect(outer.multiplications == 120 && outer.largest == 120)
    let inner = try Einsum("a,a->").cost(of: [[7], [7]])
    #expect(inner.multiplications == 7 && inner.largest == 1)
    #expect(throws: TensorError.self) { try Einsum("a,a->").cost(of: [[7]]) }
}
