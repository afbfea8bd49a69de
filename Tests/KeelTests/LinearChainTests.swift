import Foundation
import Keel
import Testing

private struct Chain {
    let emissions, transitions, start, end: Tensor

    init(batch: Int, time: Int, tags: Int, seed: UInt64) throws {
        var generator = Philox(seed: seed)
        emissions = try .uniform([batch, time, tags], in: -2...2, using: &generator)
        transitions = try .uniform([tags, tags], in: -2...2, using: &generator)
        start = try .uniform([tags], in: -2...2, using: &generator)
        end = try .uniform([tags], in: -2...2, using: &generator)
    }

    /// Every path of a sequence with its score.
    func paths(_ row: Int, length: Int) throws -> [(path: [Int], score: Double)] {
        let tags = try start.shape.size(0), x = try emissions.at(row).elements(), steps = try transitions.elements()
        let (first, last) = (try start.elements(), try end.elements())
        let all = (0..<length).reduce([[Int]()]) { paths, _ in paths.flatMap { path in (0..<tags).map { path + [$0] } } }
        return all.map { path in
            var score = Double(first[path[0]]) + Double(last[path[length - 1]])
            for (t, tag) in path.enumerated() { score += Double(x[t * tags + tag]) + (t > 0 ? Double(steps[path[t - 1] * tags + tag]) : 0) }
            return (path, score)
        }
    }

    func decoded(_ lengths: Tensor?, on device: any Device) throws -> Tensor {
        try emissions.moved(to: device).crfDecoded(
            transitions: transitions.moved(to: device), start: start.moved(to: device), end: end.moved(to: device), lengths: lengths?.moved(to: device))
    }
}

@Test(arguments: 0..<5)
func theLikelihoodOfAChainIsItsShareOfAllPaths(_ seed: Int) throws {
    let chain = try Chain(batch: 2, time: 5, tags: 3, seed: UInt64(seed)), lengths = [5, 3]
    let tags = try Tensor([0, 2, 1, 1, 0, 1, 1, 0, -5, 77].map { Int64($0) }, [2, 5])
    let found = try chain.emissions.crfLogLikelihood(
        tags, transitions: chain.transitions, start: chain.start, end: chain.end, lengths: Tensor(lengths.map { Int64($0) })).elements()
    for (row, length) in lengths.enumerated() {
        let paths = try chain.paths(row, length: length), sum = paths.reduce(0) { $0 + exp($1.score) }
        let own = try tags.at(row).sliced(0, to: length).elements(Int64.self).map { Int($0) }
        let expected = try #require(paths.first { $0.path == own }).score - log(sum)
        #expect(abs(Double(found[row]) - expected) <= 5e-6 * max(1, abs(expected)))
    }
}

@Test(arguments: 0..<5)
func viterbiFindsTheBestOfAllPaths(_ seed: Int) throws {
    let chain = try Chain(batch: 3, time: 5, tags: 4, seed: UInt64(seed) + 10), lengths = [5, 1, 3]
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let found = try chain.decoded(Tensor(lengths.map { Int64($0) }), on: device)
        for (row, length) in lengths.enumerated() {
            let best = try #require(try chain.paths(row, length: length).max { $0.score < $1.score }).path
            #expect(try found.at(row).elements(Int64.self) == (best + [Int](repeating: 0, count: 5 - length)).map { Int64($0) })
        }
    }
}

@Test func forbiddenStepsAreNeverTaken() throws {
    // A tag may follow itself or the one before it only, and the first one begins.
    var allowed = [Float](repeating: -.infinity, count: 16)
    for i in 0..<4 { for j in 0..<4 where j == i || j == i + 1 { allowed[i * 4 + j] = 0 } }
    let chain = try Chain(batch: 3, time: 6, tags: 4, seed: 4)
    let transitions = try Tensor(allowed, [4, 4]).requiringGradient(), start = try Tensor([0, -.infinity, -.infinity, -.infinity] as [Float])
    let path = try chain.emissions.crfDecoded(transitions: transitions, start: start, end: chain.end)
    for row in 0..<3 {
        let tags = try path.at(row).elements(Int64.self)
        #expect(tags[0] == 0 && zip(tags, tags.dropFirst()).allSatisfy { $1 == $0 || $1 == $0 + 1 })
    }
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let steps = try transitions.detached().moved(to: device).requiringGradient()
        let likelihood = try chain.emissions.moved(to: device).crfLogLikelihood(
            path.moved(to: device), transitions: steps, start: start.moved(to: device), end: chain.end.moved(to: device))
        #expect(try likelihood.elements().allSatisfy { $0 < 0 && $0 > -30 })
        let slopes = try likelihood.sum().gradients(of: [steps])[0].elements()
        #expect(zip(slopes, allowed).allSatisfy { $1 == 0 ? $0.isFinite : $0 == 0 })
    }
}

@Test func chainsRefuseWhatIsOutOfRange() throws {
    let chain = try Chain(batch: 1, time: 2, tags: 3, seed: 1)
    func refusal(_ tags: [Int64], lengths: [Int64] = [2]) throws -> String? {
        #expect(throws: TensorError.self) {
            try chain.emissions.crfLogLikelihood(
                Tensor(tags, [1, 2]), transitions: chain.transitions, start: chain.start, end: chain.end, lengths: Tensor(lengths))
        }?.description
    }
    #expect(try refusal([0, 3]) == "label 3 of row 0 isn't in 0..<3")
    #expect(try refusal([-1, 0]) == "label -1 of row 0 isn't in 0..<3")
    #expect(try refusal([0, 0], lengths: [3]) == "CRFLogPartition: length of row 0 is 3, allowed is 0...2")
    #expect(try refusal([0, 0], lengths: [2, 2]) == "CRFLogPartition: needs lengths [1], was given [2]")
}
