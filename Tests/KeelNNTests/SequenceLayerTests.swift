import Foundation
import Keel
import KeelNN
import Testing

private func numbers(_ shape: Shape, _ seed: UInt64 = 1) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try .normal(shape, using: &generator)
}

@Test func layersOverSequencesNameTheirState() throws {
    var generator = Philox(seed: 1)
    let lstm = try LSTM(3, 4, layers: 2, isBidirectional: true, using: &generator)
    let names = try lstm.state().map(\.name)
    #expect(names.count == 16)
    #expect(names.prefix(5) == ["0.forward.input", "0.forward.recurrent", "0.forward.inputBias", "0.forward.recurrentBias", "0.backward.input"])
    #expect(try lstm.parameterCount() == 2 * (16 * 3 + 16 * 4 + 32) + 2 * (16 * 8 + 16 * 4 + 32))
    let encoder = try TransformerEncoderLayer(8, heads: 2, inner: 16, using: &generator)
    #expect(try encoder.parameterCount() == 8 * 24 + 24 + 8 * 8 + 8 + 8 * 16 + 16 + 16 * 8 + 8 + 4 * 8)
}

@Test func aPaddedSequenceGivesWhatItGivesAlone() throws {
    var generator = Philox(seed: 2)
    let lstm = try LSTM(5, 7, layers: 2, isBidirectional: true, using: &generator)
    let x = try numbers([2, 6, 5]), short = try x.sliced(0, from: 1).sliced(1, to: 4)
    let both = try lstm.run(x, lengths: Tensor([Int64(6), 4])), alone = try lstm.run(short)
    let (part, whole) = (try both.y.sliced(0, from: 1).sliced(1, to: 4).elements(), try alone.y.elements())
    // The same sums in the same order, up to the rows that share a tile.
    #expect(zip(part, whole).allSatisfy { abs($0 - $1) <= 1e-6 })
    #expect(try both.y.sliced(0, from: 1).sliced(1, from: 4).elements().allSatisfy { $0 == 0 })
    for (padded, own) in zip(both.states, alone.states) {
        let (a, b) = (try padded.h.sliced(1, from: 1).elements() + padded.c.sliced(1, from: 1).elements(), try own.h.elements() + own.c.elements())
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-6 })
    }
}

@Test func aSequenceInTwoPartsEndsAsTheWhole() throws {
    var generator = Philox(seed: 2)
    let lstm = try LSTM(5, 18, layers: 2, using: &generator)
    let x = try numbers([3, 6, 5])
    let whole = try lstm.run(x), first = try lstm.run(x.sliced(1, to: 2)), rest = try lstm.run(x.sliced(1, from: 2), states: first.states)
    let (a, b) = (try whole.y.sliced(1, from: 2).elements(), try rest.y.elements())
    #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-6 })
}

@Test(arguments: [false, true])
func noStepOfACausalEncoderSeesALaterOne(isPreNorm: Bool) throws {
    var generator = Philox(seed: 3)
    let layer = try TransformerEncoderLayer(8, heads: 2, inner: 16, isPreNorm: isPreNorm, isCausal: true, using: &generator)
    let x = try numbers([1, 5, 8]), other = try Tensor.concatenated([x.sliced(1, to: 4), numbers([1, 1, 8], 9)], axis: 1)
    let a = try layer(x, in: .prediction), b = try layer(other, in: .prediction)
    #expect(try a.sliced(1, to: 4).elements() == b.sliced(1, to: 4).elements())
    #expect(try a.sliced(1, from: 4).elements() != b.sliced(1, from: 4).elements())
}

@Test func noStepOfACausalConvolutionSeesALaterOne() throws {
    var generator = Philox(seed: 3)
    let layer = try TemporalConv(3, 20, kernel: 3, padding: .causal, dilation: 2, using: &generator)
    let x = try numbers([2, 9, 3]), other = try Tensor.concatenated([x.sliced(1, to: 6), numbers([2, 3, 3], 9)], axis: 1)
    let a = try layer(x, in: .prediction), b = try layer(other, in: .prediction)
    #expect(a.shape == [2, 9, 20])
    #expect(try a.sliced(1, to: 6).elements() == b.sliced(1, to: 6).elements())
}

/// An embedding, its mean, and a linear map; the embedding as a sparse table or not.
private struct Words: Layer {
    var words: Embedding
    var head: Linear

    init() throws {
        var generator = Philox(seed: 4)
        words = try Embedding(50, 6, using: &generator)
        head = try Linear(6, 3, using: &generator)
    }

    func callAsFunction(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor { try head(words(ids, in: context).mean([1]), in: context) }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try words.forEachState(body, under: "words")
        try head.forEachState(body, under: "head")
    }
}

private func step(_ net: Words, _ parameters: ParameterStore, _ optimizer: some Optimizer, _ ids: [Int64]) throws {
    try parameters.clearGradients()
    try net(Tensor(ids, [2, 3]), in: .training(seed: 1, step: 0)).softmaxCrossEntropy(Tensor([Int64(0), 2])).backward()
    try optimizer.step()
}

@Test func aSparseTableMovesOnlyTheRowsThatWereLookedUp() throws {
    var sparse = try Words(), dense = try Words()
    let before = try sparse.words.weight.elements()
    let some = try ParameterStore(&sparse) { name, _ in ParameterGroup(isSparse: name == "words.weight") }, all = try ParameterStore(&dense)
    #expect(some.count == all.count)
    let ids: [Int64] = [4, 9, 4, 4, 0, 31]
    try step(sparse, some, AdamW(some, learningRate: 0.1, weightDecay: 0), ids)
    try step(dense, all, AdamW(all, learningRate: 0.1, weightDecay: 0), ids)
    let moved = try sparse.words.weight.elements(), expected = try dense.words.weight.elements()
    for row in 0..<50 {
        let range = row * 6..<row * 6 + 6
        if ids.contains(Int64(row)) {
            // Adam's first step is about the learning rate whatever the gradient is; sums in another order change its last digits.
            #expect(zip(moved[range], expected[range]).allSatisfy { abs($0 - $1) <= 1e-5 })
        } else {
            #expect(moved[range] == before[range])
        }
    }
    #expect(try sparse.head.weight.elements() == dense.head.weight.elements())
}

@Test func aSparseTableIsPartOfTheCheckpoint() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    func made() throws -> (Words, ParameterStore, AdamW) {
        var net = try Words()
        let store = try ParameterStore(&net) { name, _ in ParameterGroup(isSparse: name == "words.weight") }
        return (net, store, try AdamW(store, learningRate: 0.1, weightDecay: 0))
    }
    let (net, store, optimizer) = try made()
    try step(net, store, optimizer, [1, 2, 3, 4, 5, 6])
    try Checkpoint.save(net, optimizer, to: path)
    try step(net, store, optimizer, [1, 2, 3, 4, 5, 6])
    let (fresh, other, second) = try made()
    var resumed = fresh
    try Checkpoint.load(&resumed, second, from: path)
    try step(resumed, other, second, [1, 2, 3, 4, 5, 6])
    #expect(try resumed.state().flatMap { try $0.tensor.elements() } == net.state().flatMap { try $0.tensor.elements() })
}

@Test func descentWithMomentumRefusesSparseTables() throws {
    var net = try Words()
    let store = try ParameterStore(&net) { _, shape in ParameterGroup(isSparse: shape == [50, 6]) }
    #expect(throws: TensorError.self) { try SGD(store, learningRate: 0.1) }
}
