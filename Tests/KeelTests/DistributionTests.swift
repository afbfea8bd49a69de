import Foundation
import Keel
import Testing

/// The largest distance between the share of numbers up to each one and the distribution's: Kolmogorov and Smirnov's statistic.
private func distance(_ numbers: [Double], _ share: (Double) -> Double) -> Double {
    let sorted = numbers.sorted(), n = Double(sorted.count)
    return sorted.enumerated().map { max(abs(share($1) - Double($0) / n), abs(Double($0 + 1) / n - share($1))) }.max() ?? 0
}

private func doubles(_ x: Tensor) throws -> [Double] { try x.cast(to: .float64).elements(Double.self) }
private func moments(_ x: [Double]) -> (mean: Double, variance: Double) {
    let mean = x.reduce(0, +) / Double(x.count)
    return (mean, x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count))
}

private func normalShare(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }
private let many = 100_000
/// The statistic of 100,000 numbers is above this once in 100,000 seeds; the seed is fixed.
private let limit = 2.47 / Double(many).squareRoot()

@Test(arguments: [-2.0...2, 3.0...4, -0.5...8, -40.0 ... -38])
func truncatedNormalNumbersHaveTheirDistribution(_ limits: ClosedRange<Double>) throws {
    var generator = Philox(seed: 1)
    let x = try doubles(.truncatedNormal([many], within: limits, .float64, using: &generator))
    #expect(x.allSatisfy(limits.contains))
    guard limits.lowerBound > -10 else { return }
    let (from, to) = (normalShare(limits.lowerBound), normalShare(limits.upperBound))
    #expect(distance(x) { (normalShare($0) - from) / (to - from) } < limit)
}

/// With all their bits: none of the numbers is a float32 one.
@Test func doublesHaveTheirDistributions() throws {
    var generator = Philox(seed: 13)
    let even = try Tensor.uniform([many], in: -1...3, .float64, using: &generator)
    let normal = try Tensor.normal([many], mean: 2, deviation: 3, .float64, using: &generator)
    #expect(even.dtype == .float64 && normal.dtype == .float64)
    #expect(try distance(doubles(even)) { ($0 + 1) / 4 } < limit)
    #expect(try distance(doubles(normal)) { normalShare(($0 - 2) / 3) } < limit)
    for x in [even, normal] { #expect(try doubles(x).prefix(100).allSatisfy { Double(Float($0)) != $0 }) }
}

@Test(arguments: [DType.bfloat16, .float16])
func halfFloatsAreRoundedFromTheSameNumbers(_ dtype: DType) throws {
    var one = Philox(seed: 14), other = Philox(seed: 14)
    #expect(try Tensor.uniform([50], dtype, using: &one).cast(to: .float32).elements() == Tensor.uniform([50], using: &other).cast(to: dtype).cast(to: .float32).elements())
    #expect(try Tensor.normal([50], dtype, using: &one).cast(to: .float32).elements() == Tensor.normal([50], using: &other).cast(to: dtype).cast(to: .float32).elements())
    #expect(throws: TensorError(.dtype(primitive: "Normal", expected: "floats", .int64))) { try Tensor.normal([2], .int64, using: &one) }
    #expect(throws: TensorError(.dtype(primitive: "Uniform", expected: "floats", .bool))) { try Tensor.uniform([2], .bool, using: &one) }
}

/// Ten counts of 10,000 expected each: the sum of squared deviations over their expectation is above 42.6 once in 400,000 seeds.
@Test(arguments: [DType.int64, .int32, .uint8])
func wholeNumbersAreEquallyLikely(_ dtype: DType) throws {
    var generator = Philox(seed: 12)
    let lower = dtype == .uint8 ? 246 : -4, x = try Tensor.integers([many], in: lower..<lower + 10, dtype, using: &generator)
    #expect(x.dtype == dtype)
    var counts = [Int](repeating: 0, count: 10)
    for number in try x.cast(to: .int64).elements(Int.self) { counts[number - lower] += 1 }
    let expected = Double(many) / 10
    #expect(counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected } < 42.6)
    #expect(try Tensor.integers([3], in: 7..<8, using: &generator).elements(Int.self) == [7, 7, 7])
    #expect(try Tensor.integers([0, 2], in: 0..<2, using: &generator).shape == [0, 2])
}

@Test(arguments: [(3..<3, DType.int64), (Int.min..<Int.max, .int64), (0..<257, .uint8), (-1..<3, .uint8), (0..<1 << 31 + 1, .int32)])
func aRangeThatNoDtypeHoldsIsRefused(_ range: Range<Int>, _ dtype: DType) {
    var generator = Philox(seed: 1)
    let error = #expect(throws: TensorError.self) { try Tensor.integers([2], in: range, dtype, using: &generator) }
    #expect(error?.description.contains("Integers: range is \(range)") == true)
    #expect(throws: TensorError(.dtype(primitive: "Integers", expected: "whole numbers", .float32))) {
        try Tensor.integers([2], in: 0..<2, .float32, using: &generator)
    }
}

@Test func exponentialNumbersHaveTheirDistribution() throws {
    var generator = Philox(seed: 2)
    let x = try doubles(.exponential([many], rate: 2.5, .float64, using: &generator))
    #expect(distance(x) { 1 - exp(-2.5 * $0) } < limit)
}

/// Mean and variance are the shape; within six standard errors, that of the variance being `√((2 shape² + 6 shape) / n)`. Shape 1 is
/// exponential, and of shape ½ half the square of a normal number.
@Test(arguments: [0.05, 0.5, 1, 3.5, 80])
func gammaNumbersHaveTheirDistribution(_ shape: Double) throws {
    var generator = Philox(seed: 3)
    let x = try doubles(Tensor.full(shape, [many], .float64).gamma(using: &generator)), (mean, variance) = moments(x), n = Double(many)
    #expect(abs(mean - shape) < 6 * (shape / n).squareRoot())
    #expect(abs(variance - shape) < 6 * ((2 * shape * shape + 6 * shape) / n).squareRoot())
    if shape == 1 { #expect(distance(x) { 1 - exp(-$0) } < limit) }
    if shape == 0.5 { #expect(distance(x) { erf($0.squareRoot()) } < limit) }
}

@Test func betaAndDirichletNumbersHaveTheirMoments() throws {
    var generator = Philox(seed: 4)
    let a = try Tensor.full(2, [many], .float64), b = try Tensor.full(1, [many], .float64)
    #expect(try distance(doubles(a.beta(b, using: &generator))) { $0 * $0 } < limit)  // the density is 2x
    let small = try doubles(Tensor.full(0.001, [1000]).beta(Tensor.full(0.001, [1000]), using: &generator))
    #expect(small.allSatisfy { $0 >= 0 && $0 <= 1 })
    let points = try Tensor([1.0, 2, 5]).expanded(to: [many, 3]).dirichlet(using: &generator)
    #expect(try doubles(points.sum([1])).allSatisfy { abs($0 - 1) < 1e-12 })
    for (mean, expected) in zip(try doubles(points.mean([0])), [1.0 / 8, 2.0 / 8, 5.0 / 8]) { #expect(abs(mean - expected) < 0.004) }
}

/// Shares of each count against `e^-r r^k / k!`: within six standard errors.
@Test(arguments: [0, 0.3, 4, 9.9, 10, 35.5, 1000])
func poissonNumbersHaveTheirDistribution(_ rate: Double) throws {
    var generator = Philox(seed: 5)
    let x = try doubles(Tensor.full(rate, [many], .float64).poisson(using: &generator)), n = Double(many)
    var counts: [Double: Int] = [:]
    for number in x { counts[number, default: 0] += 1 }
    for k in Int(max(0, rate - 5 * rate.squareRoot()))...Int(rate + 5 * rate.squareRoot() + 2) {
        let share = rate == 0 ? (k == 0 ? 1 : 0) : exp(-rate + Double(k) * log(rate) - lgamma(Double(k) + 1))
        let error = 6 * (share * (1 - share) / n).squareRoot() + 2 / n
        #expect(abs(Double(counts[Double(k)] ?? 0) / n - share) <= error, "\(k)")
    }
}

@Test func drawsOfACategoryComeAsOftenAsTheyShould() throws {
    var generator = Philox(seed: 6)
    let shares = [0.1, 0, 0.6, 0.3], logits = try Tensor(shares).log()
    let rows = try Tensor.stacked([logits, logits + 1000])
    let found = try rows.categorical(many / 2, using: &generator).elements(Int.self)
    for (index, share) in shares.enumerated() {
        #expect(abs(Double(found.count { $0 == index }) / Double(many) - share) <= 6 * (share * (1 - share) / Double(many)).squareRoot())
    }
    let chance = try Tensor.full(0.3, [many]).bernoulli(using: &generator).cast(to: .float64).mean().item(Double.self)
    #expect(abs(chance - 0.3) < 6 * (0.21 / Double(many)).squareRoot())
    #expect(try Tensor([0.0, 1]).expanded(to: [1000, 2]).bernoulli(using: &generator).cast(to: .float64).mean([0]).elements(Double.self) == [0, 1])
}

/// Drawing 2 of 3 without putting back: pair (i, j) comes with probability `p[i] p[j] / (1 - p[i])`.
@Test func drawsWithoutReplacementAreThoseFromWhatIsLeft() throws {
    var generator = Philox(seed: 7)
    let p = [0.5, 0.3, 0.2]
    let found = try Tensor(p).log().expanded(to: [many, 3]).multinomial(withoutReplacement: 2, using: &generator).elements(Int.self)
    var counts = [Int](repeating: 0, count: 9)
    for draw in 0..<many { counts[found[2 * draw] * 3 + found[2 * draw + 1]] += 1 }
    for i in 0..<3 {
        for j in 0..<3 {
            let share = i == j ? 0 : p[i] * p[j] / (1 - p[i])
            #expect(abs(Double(counts[3 * i + j]) / Double(many) - share) <= 6 * (share * (1 - share) / Double(many)).squareRoot())
        }
    }
}

@Test func everyOrderIsAsLikely() throws {
    var generator = Philox(seed: 8)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<6000 { counts[try Tensor.permutation(3, using: &generator).elements(Int.self), default: 0] += 1 }
    #expect(counts.count == 6)
    #expect(counts.values.allSatisfy { abs($0 - 1000) < 174 })  // six deviations of √(6000 / 6 · 5/6)
    #expect(try Tensor.permutation(1001, using: &generator).elements(Int.self).sorted() == Array(0..<1001))
}

@Test func drawsDependOnTheSeedAloneAndGoOnWhereTheyStopped() throws {
    func draw(_ generator: inout Philox) throws -> [[Double]] {
        let ones = try Tensor.full(1.5, [5000], .float64)
        return try [
            doubles(.truncatedNormal([5001], using: &generator)), doubles(.exponential([3], using: &generator)), doubles(ones.gamma(using: &generator)),
            doubles(ones.poisson(using: &generator)), doubles(ones.categorical(5000, using: &generator).cast(to: .float64)),
            doubles(Tensor.permutation(77, using: &generator).cast(to: .float64)),
        ]
    }
    let before = Threads.count
    defer { Threads.count = before }
    var one = Philox(seed: 9), two = Philox(seed: 9), other = Philox(seed: 10)
    Threads.count = 1
    let first = try draw(&one), second = try draw(&one)
    Threads.count = 2
    #expect(try draw(&two) == first)
    var resumed = Philox(seed: 9, position: two.position)
    #expect(try draw(&resumed) == second)
    #expect(try draw(&other) != first)
    #expect(second != first)
}

/// The gradient of a log-density is the score.
@Test func logarithmsOfProbabilitiesAreThoseOfTheFormulas() throws {
    let x = try Tensor([0.5, -2]), mean = try Tensor(1.0).requiringGradient()
    let density = try x.normalLogDensity(mean: mean, deviation: Tensor(2.0))
    for (a, b) in zip(try density.elements(Double.self), [-1.6433357137, -2.7370857137]) { #expect(abs(a - b) < 1e-9) }
    #expect(try density.sum().gradients(of: [mean])[0].item(Double.self) == -0.875)
    let tossed = try Tensor([1.0, 0]).bernoulliLogProbability(logits: Tensor([0.4, 0.4])).elements(Double.self)
    #expect(abs(exp(tossed[0]) + exp(tossed[1]) - 1) < 1e-12)
    let chosen = try Tensor([Int64(2), 0]).categoricalLogProbability(logits: Tensor([0.0, 0, 0, 1, 2, 3], [2, 3])).elements(Double.self)
    #expect(abs(chosen[0] + log(3.0)) < 1e-12 && abs(chosen[1] - (1 - log(exp(1.0) + exp(2.0) + exp(3.0)))) < 1e-12)
}

/// Parameters that no distribution has, and the whole text of the refusal.
private struct Refusal: Sendable {
    let text: String
    let call: @Sendable (inout Philox) throws -> Void

    init(_ text: String, _ call: @escaping @Sendable (inout Philox) throws -> Void) { (self.text, self.call) = (text, call) }
}

private let refusals: [Refusal] = [
    Refusal("Exponential: rate is 0.0, allowed is above 0") { g in _ = try Tensor.exponential([1], rate: 0, using: &g) },
    Refusal("Bernoulli: number 1 is 1.5, allowed is probabilities of 0...1") { g in _ = try Tensor([0.5, 1.5]).bernoulli(using: &g) },
    Refusal("Gamma: number 0 is 0.0, allowed is finite shapes above 0") { g in _ = try Tensor([0.0]).gamma(using: &g) },
    Refusal("Poisson: number 0 is -1.0, allowed is finite rates of 0 and more") { g in _ = try Tensor([-1.0]).poisson(using: &g) },
    Refusal("Poisson: needs floats, was given int64") { g in _ = try Tensor([1]).poisson(using: &g) },
    Refusal("Categorical: row 1 is without a finite logit, or with NaN, allowed is logits of probabilities") { g in
        _ = try Tensor([0, 1, -Double.infinity, -Double.infinity], [2, 2]).categorical(3, using: &g)
    },
    Refusal("Categorical: row 0 is without a finite logit, or with NaN, allowed is logits of probabilities") { g in _ = try Tensor([Double.nan, 1]).categorical(1, using: &g) },
    Refusal("Multinomial: draws is 3, allowed is 0...2") { g in _ = try Tensor([0.0, 1]).multinomial(withoutReplacement: 3, using: &g) },
    Refusal("Multinomial: draws is 2, allowed is at most as many as a row has finite logits") { g in
        _ = try Tensor([0.0, -Double.infinity]).multinomial(withoutReplacement: 2, using: &g)
    },
]

@Test(arguments: refusals.indices)
func aDistributionThatIsNoneIsRefused(_ place: Int) throws {
    var generator = Philox(seed: 1)
    let error = #expect(throws: TensorError.self) { try refusals[place].call(&generator) }
    #expect(error?.description == refusals[place].text)
}
