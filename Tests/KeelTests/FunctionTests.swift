import Keel
import Testing

@Test func remaindersOfWholeNumbersHaveTheDivisorsSign() throws {
    let a = try Tensor([7, -7, 7, -7, 5, .min] as [Int64]), b = try Tensor([3, 3, -3, -3, 0, -1] as [Int64])
    #expect(try a.remainder(over: b).elements(Int64.self) == [1, 2, -2, -1, 0, 0])
}

@Test(arguments: [CPU.shared, Reference.shared] as [any Device])
func wholeNumbersWrapAroundWhereTheyAreAdded(on device: any Device) throws {
    let x = try Tensor([.max, 1, 5] as [Int64], on: device)
    #expect(try x.sum().elements(Int64.self) == [.min + 5])
    let added = try x.scattered(parts: x, at: Tensor([1, 0, 2] as [Int64], on: device), .add)
    #expect(try added.elements(Int64.self) == [.min, .min, 10])
}

/// Where 1 + x would have rounded all of x away.
@Test func logarithmsAndExponentialsKeepTheirDigitsNearZero() throws {
    let x = try Tensor([1e-7, -1e-7, 3e-4, -3e-4, 0.01] as [Float])
    for (found, expected) in try [(x.expm1(), x.moved(to: Reference.shared).expm1()), (x.log1p(), x.moved(to: Reference.shared).log1p())] {
        let pairs = zip(try found.elements(), try expected.moved(to: CPU.shared).elements())
        #expect(pairs.allSatisfy { abs($0 - $1) <= 3e-7 * abs($1) })
    }
}

@Test func anglesComeBackFromTheirSines() throws {
    let ends = try Tensor([-1, 0, 1] as [Float])
    #expect(try zip(ends.arcsine().elements(), [-Float.pi / 2, 0, Float.pi / 2]).allSatisfy { abs($0 - $1) <= 1e-6 })
    #expect(try zip(ends.arccosine().elements(), [Float.pi, Float.pi / 2, 0]).allSatisfy { abs($0 - $1) <= 1e-6 })
    #expect(try Tensor([Float(1.5)]).arcsine().item().isNaN)
    let (y, x) = (try Tensor([0, 1, 0, -1] as [Float]), try Tensor([1, 0, -1, 0] as [Float]))
    #expect(try zip(y.arctangent(over: x).elements(), [0, .pi / 2, .pi, -.pi / 2]).allSatisfy { abs($0 - $1) <= 1e-6 })
}

@Test func roundingTakesTheEvenOneOfTwo() throws {
    let x = try Tensor([-2.5, -1.5, -0.4, 0.5, 1.5, 2.6] as [Float])
    #expect(try x.rounded().elements() == [-2, -2, 0, 0, 2, 3])
    #expect(try x.truncated().elements() == [-2, -1, 0, 0, 1, 2])
    #expect(try x.floor().elements() == [-3, -2, -1, 0, 1, 2])
    #expect(try x.ceil().elements() == [-2, -1, 0, 1, 2, 3])
}

@Test func boolsAreSummedUpOverAxes() throws {
    let x = try Tensor([true, false, false, false, true, true], [3, 2])
    #expect(try x.any([1]).elements(Bool.self) == [true, false, true])
    #expect(try x.all([1]).elements(Bool.self) == [false, false, true])
    #expect(try x.any().item(Bool.self) && !x.all().item(Bool.self))
    let none = try Tensor.zeros([0, 2], .bool)
    #expect(try none.any([0]).elements(Bool.self) == [false, false] && none.all([0]).elements(Bool.self) == [true, true])
    let special = try Tensor([0, .nan, .infinity, -1] as [Float])
    #expect(try special.isNaN().elements(Bool.self) == [false, true, false, false])
    #expect(try special.isFinite().elements(Bool.self) == [true, false, false, true])
    let error = #expect(throws: TensorError.self) { try special.any() }
    #expect(error?.description == "any: needs bools, was given float32")
}

@Test func uniqueNumbersComeInOrderWithTheirPlacesAndCounts() throws {
    let x = try Tensor([3, 1, 3, 2, 1, 3] as [Int64], [2, 3]), found = try x.unique()
    #expect(try found.values.elements(Int64.self) == [1, 2, 3])
    #expect(found.places.shape == [2, 3])
    #expect(try found.places.elements(Int64.self) == [2, 0, 2, 1, 0, 2])
    #expect(try found.counts.elements(Int64.self) == [2, 1, 3])
    #expect(try found.values.gathered(found.places).elements(Int64.self) == x.elements(Int64.self))
    let none = try Tensor.zeros([0]).unique()
    #expect(none.values.shape == [0] && none.places.shape == [0] && none.counts.shape == [0])
}

@Test func runningExtremesStayAtANaNAndNameTheLastOfEquals() throws {
    let x = try Tensor([1, 3, 3, .nan, 5] as [Float])
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let (values, places) = try x.moved(to: device).cumulativeMax(0)
        let found = try values.elements()
        #expect(found[..<3] == [1, 3, 3] && found[3].isNaN && found[4].isNaN)
        #expect(try places.elements(Int64.self) == [0, 1, 2, 3, 3])
    }
    #expect(try Tensor([4, 5, 2, 2] as [Int32]).cumulativeMin(0).values.elements(Int32.self) == [4, 4, 2, 2])
}

@Test func productsAndQuantilesOfNothing() throws {
    #expect(try Tensor.zeros([2, 0]).product([1]).elements() == [1, 1])
    #expect(try Tensor([2, 3, 4] as [Float]).product(keepingAxes: true).shape == [1])
    let nothing = #expect(throws: TensorError.self) { try Tensor.zeros([2, 0]).median() }
    #expect(nothing?.description == "quantile: needs an element at least along axis -1, was given [2, 0]")
    let share = #expect(throws: TensorError.self) { try Tensor.zeros([2]).quantile(2) }
    #expect(share?.description == "quantile: share is 2.0, allowed is 0...1")
    #expect(try Tensor([4, 1, 3, 2] as [Float]).median().item() == 2.5)
}
