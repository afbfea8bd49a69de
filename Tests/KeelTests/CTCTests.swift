import Foundation
import Keel
import Testing

/// Every way to write `length` digits below `base`.
private func words(_ length: Int, below base: Int) -> [[Int]] {
    (0..<length).reduce([[]]) { words, _ in words.flatMap { word in (0..<base).map { word + [$0] } } }
}

private func collapsed(_ path: [Int], blank: Int) -> [Int] {
    path.indices.filter { path[$0] != blank && ($0 == 0 || path[$0] != path[$0 - 1]) }.map { path[$0] }
}

/// The log-probability of every labelling, by adding up all paths.
private func labellings(_ numbers: [Double], time: Int, classes: Int, blank: Int) -> [[Int]: Double] {
    var sums: [[Int]: Double] = [:]
    for path in words(time, below: classes) {
        sums[collapsed(path, blank: blank), default: 0] += exp(path.enumerated().reduce(0) { $0 + numbers[$1.offset * classes + $1.element] })
    }
    return sums.mapValues { log($0) }
}

private func logProbabilities(_ shape: Shape, seed: UInt64) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try Tensor.uniform(shape, in: -3...3, using: &generator).logSoftmax()
}

@Test(arguments: [0, 2], 0..<4)
func ctcAddsUpEveryAlignment(blank: Int, seed: Int) throws {
    let x = try logProbabilities([1, 6, 3], seed: UInt64(seed))
    let labels = [0, 1, 2].filter { $0 != blank }
    for (target, expected) in labellings(try x.elements().map(Double.init), time: 6, classes: 3, blank: blank) where target.count <= 4 {
        let padded = try Tensor((target + [labels[0], labels[0], labels[0], labels[0]]).prefix(4).map { Int64($0) }, [1, 4])
        for device in [CPU.shared, Reference.shared] as [any Device] {
            let loss = try x.moved(to: device).ctcLoss(
                padded.moved(to: device), targetLengths: Tensor([Int64(target.count)]).moved(to: device), blank: blank, reduction: .sum
            ).item()
            // Six steps of float32 logarithms.
            #expect(abs(Double(loss) + expected) <= 2e-6 * max(1, abs(expected)), "\(target): \(loss), expected \(-expected)")
        }
    }
}

@Test func aTargetWithoutAlignmentCostsInfinityOrNothing() throws {
    let x = try logProbabilities([2, 3, 4], seed: 1)
    // Two equal labels need a blank between them: three steps are enough, two aren't.
    let targets = try Tensor([Int64(1), 1, 1, 1], [2, 2]), steps = try Tensor([Int64(3), 2]), counts = try Tensor([Int64(2), 2])
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let variable = try x.moved(to: device).requiringGradient()
        func loss(_ zeroesInfinity: Bool) throws -> Tensor {
            try variable.ctcLoss(
                targets.moved(to: device), inputLengths: steps.moved(to: device), targetLengths: counts.moved(to: device), zeroesInfinity: zeroesInfinity,
                reduction: .none)
        }
        #expect(try loss(false).elements()[1] == .infinity)
        #expect(try loss(true).elements()[1] == 0)
        #expect(try loss(true).elements()[0] == loss(false).elements()[0])
        let slope = try loss(true).sum().gradients(of: [variable])[0]
        #expect(try slope.at(1).elements().allSatisfy { $0 == 0 })
        #expect(try slope.at(0).elements().contains { $0 < 0 })
    }
}

/// A network that is sure of something else at every step: products of probabilities would be 0 in float32, and in float64.
@Test func ctcOfALongSequenceKeepsItsDigits() throws {
    let time = 600, classes = 20
    var generator = Philox(seed: 3)
    let logits = try Tensor.uniform([1, time, classes], in: -30...30, using: &generator)
    let targets = try Tensor((0..<100).map { Int64($0 % 3 + 1) }, [1, 100]), count = try Tensor([Int64(100)])
    func loss(_ x: Tensor) throws -> (Double, [Double]) {
        let variable = x.requiringGradient()
        let loss = try variable.logSoftmax().ctcLoss(targets, targetLengths: count, reduction: .sum)
        return (Double(try loss.cast(to: .float64).item(Double.self)), try loss.gradients(of: [variable])[0].cast(to: .float64).elements(Double.self))
    }
    let (found, slopes) = try loss(logits), (expected, wanted) = try loss(logits.cast(to: .float64))
    #expect(expected > 4000)
    // Logits of 30 are exact to 2e-6; sums of them along a path to some 1e-4.
    #expect(abs(found - expected) <= 1e-6 * expected)
    #expect(zip(slopes, wanted).allSatisfy { abs($0 - $1) <= 2e-4 })
}

@Test func aNumberThatIsNoneMakesItsSequenceNone() throws {
    let x = try Tensor([Float](repeating: -1, count: 11) + [.nan], [2, 3, 2]).requiringGradient()
    let loss = try x.ctcLoss(Tensor([Int64(1), 1], [2, 1]), targetLengths: Tensor([Int64(1), 1]), reduction: .none)
    let values = try loss.elements()
    #expect(values[0].isFinite && values[1].isNaN)
    #expect(try loss.sum().gradients(of: [x])[0].at(0).elements().allSatisfy(\.isFinite))
}

@Test func greedyDecodingMergesRepeatsAndDropsBlanks() throws {
    let path = [0, 2, 2, 0, 2, 1, 1, 0], x = try Tensor(path.map { Int64($0) }).oneHot(3).withAxis(0).logSoftmax()
    let found = try x.ctcGreedyDecoded()[0]
    #expect(found.labels == [2, 2, 1])
    #expect(abs(found.logProbability - 8 * (1 - log(exp(1) + 2))) <= 1e-5)
    #expect(try x.ctcGreedyDecoded(lengths: Tensor([Int64(3)]))[0].labels == [2])
    #expect(try x.ctcGreedyDecoded(blank: 2)[0].labels == [0, 0, 1, 0])
}

/// With room for all beginnings the search is exact.
@Test(arguments: 0..<4)
func beamSearchFindsTheLikeliestLabellings(_ seed: Int) throws {
    let blank = seed % 3, x = try logProbabilities([2, 6, 3], seed: UInt64(seed))
    let found = try x.ctcBeamDecoded(width: 500, lengths: Tensor([Int64(6), 4]), blank: blank)
    for (row, time) in [6, 4].enumerated() {
        let all = labellings(try x.at(row).sliced(0, to: time).elements().map(Double.init), time: time, classes: 3, blank: blank)
        let expected = all.sorted { $0.value > $1.value }
        #expect(found[row].count == expected.count)
        for (a, b) in zip(found[row], expected) {
            #expect(a.labels == b.key)
            #expect(abs(a.logProbability - b.value) <= 1e-9)
        }
    }
}

/// A narrow beam gives labellings whose probability it doesn't overstate, the best of them at least as good as one path.
@Test(arguments: [1, 2, 8])
func narrowBeamsAreLowerBounds(_ width: Int) throws {
    for seed in 0..<10 {
        let x = try logProbabilities([1, 7, 3], seed: UInt64(seed)), all = labellings(try x.elements().map(Double.init), time: 7, classes: 3, blank: 0)
        let found = try x.ctcBeamDecoded(width: width)[0]
        #expect(found.count == width && Set(found.map(\.labels)).count == width)
        for hypothesis in found { #expect(hypothesis.logProbability <= (all[hypothesis.labels] ?? -.infinity) + 1e-9) }
        if width == 8 { #expect(found[0].labels == all.max { $0.value < $1.value }?.key) }
    }
}

@Test func ctcRefusesWhatIsOutOfRange() throws {
    let x = try logProbabilities([1, 3, 4], seed: 1)
    func refusal(_ targets: [Int64], _ count: Int64 = 1, steps: Int64 = 3, blank: Int = 0) throws -> String? {
        #expect(throws: TensorError.self) {
            try x.ctcLoss(Tensor(targets, [1, targets.count]), inputLengths: Tensor([steps]), targetLengths: Tensor([count]), blank: blank)
        }?.description
    }
    #expect(try refusal([4]) == "label 4 of row 0 isn't in 0..<4")
    #expect(try refusal([0]) == "CTCLoss: label 0 of row 0 is 0, allowed is any class but the blank")
    #expect(try refusal([1], 2) == "CTCLoss: target length of row 0 is 2, allowed is 0...1")
    #expect(try refusal([1], steps: 4) == "CTCLoss: input length of row 0 is 4, allowed is 0...3")
    #expect(try refusal([1], blank: 4) == "CTCLoss: blank is 4, allowed is 0..<4")
    let width = #expect(throws: TensorError.self) { try x.ctcBeamDecoded(width: 0) }
    #expect(width?.description == "ctcBeamDecoded: width is 0, allowed is 1 and more")
    #expect(throws: TensorError.self) { try x.ctcGreedyDecoded(lengths: Tensor([Int64(9)])) }
}
