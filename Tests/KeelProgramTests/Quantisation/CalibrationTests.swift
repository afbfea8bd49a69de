import Keel
import KeelProgram
import Testing

/// Worked out by hand: two bins kept, `(12 ln 1.2) / 22 + ln(20/22) = 0.0041`; three `0.1332`; with four to seven, where what is beyond lies in an empty
/// bin, `ln(10000) / 22 + ln(21/22) = 0.3721` and more; all eight `(20 ln(10/7) - ln 7) / 22 = 0.2358`.
@Test func theEntropyThresholdLosesLeastInformation() {
    #expect(entropyThreshold([10, 10, 1, 0, 0, 0, 0, 1], levels: 2) == 2)
    // An even distribution loses nothing in two steps, and much when it is clipped.
    #expect(entropyThreshold([4, 4, 4, 4, 4, 4, 4, 4], levels: 2) == 8)
    // No more bins than steps; nothing at all.
    #expect(entropyThreshold([1, 0, 5], levels: 3) == 3)
    #expect(entropyThreshold([0, 0, 0, 0], levels: 2) == 4)
}

@Test func aHistogramCountsMagnitudesAndNoZeros() throws {
    var histogram = MagnitudeHistogram(over: -2048...1024)
    try histogram.add(Tensor([Float(0), 0.5, -0.5, 1.5, -2048, 2047.5, 1024]))
    #expect(histogram.counts[0] == 2 && histogram.counts[1] == 1 && histogram.counts[1024] == 1 && histogram.counts[2047] == 2)
    #expect(histogram.counts.reduce(0, +) == 6)
}

/// Numbers that are normal up to 1 and a few at 100: their own steps would be all in one.
@Test func entropyClipsWhatMinMaxStretchesTo() throws {
    var generator = Philox(seed: 3)
    let program = try Program.trace({ try $0.affine(Tensor.ones([2, 4]) * 0.3) }, input: "x", TensorSpec(Shape(.symbol("batch"), Dimension(4)), .float32)).optimised()
    let numbers = try Tensor.normal([2000, 4], using: &generator) * 0.25
    let samples = [[numbers], [try Tensor([Float(100), -0.5, 0.5, 3], [1, 4])]]
    let x = program.graph.inputs[0].value
    let least = try numbers.min().item()
    #expect(try program.ranges(of: [x], .minMax, on: samples) == [x: least...100])
    let clipped = try #require(try program.ranges(of: [x], .entropy, on: samples)[x])
    #expect(clipped.lowerBound == least && clipped.upperBound < 10)
}

@Test func nextToNothingIsCalibratedToo() throws {
    let program = try Program.trace({ try $0.affine(Tensor.ones([2, 4])) }, input: "x", TensorSpec([1, 4], .float32)).optimised()
    let samples = [[try Tensor.full(1e-38, [1, 4])]], x = program.graph.inputs[0].value
    #expect(try program.ranges(of: [x], .entropy, on: samples) == program.ranges(of: [x], .minMax, on: samples))
}

/// Of two layers one has results that aren't finite.
@Test func noiseThatIsNoNumberIsTheWorst() throws {
    var noise = Noise()
    try noise.add(Tensor([Float.infinity]), expected: Tensor([Float.infinity]))
    #expect(noise.decibels == -200)
    #expect(Noise().decibels == 200)
}

@Test func aRangeHoldsZeroAndFiniteNumbers() throws {
    let program = try Program.trace({ try $0.affine(Tensor.ones([2, 4])) }, input: "x", TensorSpec([1, 4], .float32)).optimised()
    let x = program.graph.inputs[0].value
    #expect(try program.ranges(of: [x], .minMax, on: [[Tensor([Float(2), 3, 4, 5], [1, 4])]]) == [x: 0...5])
    #expect(throws: TensorError.self) { try program.ranges(of: [x], .minMax, on: [[Tensor([Float(2), .nan, 4, 5], [1, 4])]]) }
    #expect(throws: TensorError.self) { try program.quantised(Quantisation(.static)) }
}
