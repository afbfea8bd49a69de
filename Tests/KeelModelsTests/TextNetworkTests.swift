import Keel
import KeelModels
import KeelNN
import Testing

private func tinyGPT(_ generator: inout Philox) throws -> GPT {
    try GPT(tokens: 11, longest: 16, features: 16, layers: 2, heads: 2, dropout: 0, using: &generator)
}

/// The same sums in another order: a few roundings of numbers around 1.
private func agree(_ a: Tensor, _ b: Tensor) throws -> Bool {
    let (x, y) = (try a.elements(), try b.elements())
    return a.shape == b.shape && zip(x, y).allSatisfy { abs($0 - $1) < 1e-5 }
}

@Test func aCachedGPTGivesWhatTheWholeTextGives() throws {
    var generator = Philox(seed: 1)
    let network = try tinyGPT(&generator), text = try Tensor([1, 5, 2, 9, 3, 3, 7, 0, 10, 4] as [Int64], [2, 5])
    let whole = try network(text, in: .prediction)
    var caches: [KeyValueCache] = [], parts: [Tensor] = []
    for (start, end) in [(0, 2), (2, 3), (3, 5)] {
        parts.append(try network(text.sliced(1, from: start, to: end), continuing: &caches, in: .prediction))
    }
    #expect(try agree(.concatenated(parts, axis: 1), whole))
    #expect(throws: TensorError.self) { try network(text.repeated(3, axis: 1), continuing: &caches, in: .prediction) }
    var others = Array(caches.dropLast())
    #expect(throws: TensorError.self) { try network(text, continuing: &others, in: .prediction) }
}

@Test func aGPTGoesOnWithWhatItHasLearned() throws {
    var generator = Philox(seed: 2)
    var network = try tinyGPT(&generator)
    let text = try Tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3] as [Int64], [1, 10])
    let optimizer = try Adam(ParameterStore(&network), learningRate: 0.01)
    for step in 0..<60 {
        let logits = try network(text.sliced(1, to: 9), in: .training(seed: 1, step: step))
        try optimizer.minimise(logits.flattened(through: 1).softmaxCrossEntropy(text.sliced(1, from: 1).contiguous().flattened()))
    }
    let written = try network.continued(text.sliced(1, to: 2), by: 8, .greedy, using: &generator)
    #expect(try written.elements(Int64.self) == text.elements(Int64.self))
    #expect(try network.continued(text, by: 0, using: &generator).shape == [1, 10])
}

@Test func samplingDrawsFromTheLikeliestAlone() throws {
    var generator = Philox(seed: 3)
    // Probabilities 0.5, 0.3, 0.15 and 0.05.
    let logits = try Tensor([0.3, 0.5, 0.05, 0.15] as [Float], [1, 4]).log()
    func drawn(_ sampling: Sampling, times: Int = 2000) throws -> [Int64: Double] {
        let many = try logits.expanded(to: [times, 4]).contiguous()
        let tokens = try sampling.next(many, using: &generator)
        #expect(tokens.shape == [times, 1])
        return try Dictionary(grouping: tokens.elements(Int64.self), by: { $0 }).mapValues { Double($0.count) / Double(times) }
    }
    #expect(try drawn(.greedy) == [1: 1])
    #expect(try drawn(Sampling(most: 1)) == [1: 1])
    #expect(try drawn(Sampling(share: 0.4)) == [1: 1])
    #expect(try Set(drawn(Sampling(share: 0.6)).keys) == [0, 1])
    #expect(try Set(drawn(Sampling(most: 3)).keys) == [0, 1, 3])
    // A share of 2000 draws is within 0.05, more than four deviations, of its probability.
    let all = try drawn(Sampling())
    for (token, probability) in [(0, 0.3), (1, 0.5), (2, 0.05), (3, 0.15)] as [(Int64, Double)] { #expect(abs((all[token] ?? 0) - probability) < 0.05) }
    let flat = try drawn(Sampling(temperature: 100))
    #expect(flat.values.allSatisfy { abs($0 - 0.25) < 0.05 })
    for (temperature, most, share) in [(-1, nil, 1), (.nan, nil, 1), (.infinity, nil, 1), (1, 0, 1), (1, nil, 0), (1, nil, 1.5), (1, nil, .nan)] as [(Double, Int?, Double)] {
        #expect(throws: TensorError.self) { try Sampling(temperature: temperature, most: most, share: share) }
    }
}

@Test func paddingDoesNotChangeWhatBERTSays() throws {
    var generator = Philox(seed: 4)
    let network = try BERT(tokens: 20, longest: 12, features: 16, layers: 2, heads: 2, using: &generator)
    let short = try Tensor([4, 8, 15, 16] as [Int64], [1, 4]), long = try Tensor([4, 8, 15, 16, 0, 0] as [Int64], [1, 6])
    let plain = try network(short, mask: nil, in: .prediction), mask = try Tensor([1, 1, 1, 1, 0, 0] as [Int64], [1, 6])
    let padded = try network(long, mask: mask, in: .prediction)
    #expect(try agree(padded.sliced(1, to: 4).contiguous(), plain))
    let ones = try Tensor([1, 1, 1, 1] as [Int64], [1, 4])
    #expect(try agree(BERT.sentence(padded, mask: mask), BERT.sentence(plain, mask: ones)))
    #expect(throws: TensorError.self) { try network(long.repeated(3, axis: 1), mask: nil, in: .prediction) }
}

@Test func aSequenceWriterGoesOnFromItsState() throws {
    var generator = Philox(seed: 5)
    let network = try RecurrentSeq2Seq(sourceTokens: 12, targetTokens: 9, features: 8, hidden: 8, using: &generator)
    let source = try Tensor([1, 2, 3, 4, 5, 6] as [Int64], [1, 6]), target = try Tensor([0, 7, 3, 8] as [Int64], [1, 4])
    let reading = try network.read(source, lengths: Tensor([5] as [Int64]), in: .prediction)
    let whole = try network.written(target, reading, in: .prediction).logits
    let first = try network.written(target.sliced(1, to: 1), reading, in: .prediction)
    let rest = try network.written(target.sliced(1, from: 1), first.reading, in: .prediction)
    #expect(try agree(.concatenated([first.logits, rest.logits], axis: 1), whole))
}
