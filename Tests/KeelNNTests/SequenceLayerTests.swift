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

@Test func gatedUnitsNameTheirState() throws {
    var generator = Philox(seed: 1)
    let gru = try GRU(3, 4, layers: 2, isBidirectional: true, using: &generator)
    let names = try gru.state().map(\.name)
    #expect(names.count == 16)
    #expect(names.suffix(4) == ["1.backward.input", "1.backward.recurrent", "1.backward.inputBias", "1.backward.recurrentBias"])
    #expect(try gru.parameterCount() == 2 * (12 * 3 + 12 * 4 + 24) + 2 * (12 * 8 + 12 * 4 + 24))
    #expect(throws: TensorError.self) { try GRU(3, 0, using: &generator) }
    #expect(throws: TensorError.self) { try gru.run(numbers([2, 3, 3]), states: [numbers([2, 2, 4])]) }
}

/// Each sequence of a padded batch, and its last states, are what it has alone, forwards and backwards; and so is every gradient.
@Test func gatedUnitsGivePaddedSequencesWhatTheyGetAlone() throws {
    var generator = Philox(seed: 2)
    let gru = try GRU(5, 17, layers: 2, isBidirectional: true, using: &generator)
    let sequences = try [7, 1, 4, 6, 2, 3, 5].enumerated().map { try numbers([$1, 5], UInt64($0)).requiringGradient() }
    let (x, lengths) = try Tensor.padded(sequences: sequences, value: 9)
    let made = try gru.run(x, lengths: lengths), parts = try made.y.sequences(lengths: lengths)
    let gradients = try (made.y.squared().sum() + made.states[1].sum()).gradients(of: sequences)
    for (i, sequence) in sequences.enumerated() {
        let alone = try gru.run(sequence.withAxis(0))
        // The same sums in the same order, up to the rows that share a tile.
        #expect(try zip(parts[i].elements(), alone.y.elements()).allSatisfy { abs($0 - $1) <= 1e-6 })
        for (padded, own) in zip(made.states, alone.states) {
            #expect(try zip(padded.at(i, axis: 1).elements(), own.at(0, axis: 1).elements()).allSatisfy { abs($0 - $1) <= 1e-6 })
        }
        let own = try (alone.y.squared().sum() + alone.states[1].sum()).gradients(of: [sequence])[0]
        #expect(try zip(gradients[i].elements(), own.elements()).allSatisfy { abs($0 - $1) <= 1e-5 })
    }
    #expect(throws: TensorError.self) { try x.sequences(lengths: Tensor([Int64](repeating: 8, count: 7))) }
}

@Test func gatedUnitsGoOnFromTheStateTheyEndedWith() throws {
    var generator = Philox(seed: 2)
    let gru = try GRU(5, 18, layers: 2, using: &generator)
    let x = try numbers([3, 6, 5])
    let whole = try gru.run(x), first = try gru.run(x.sliced(1, to: 2)), rest = try gru.run(x.sliced(1, from: 2), states: first.states)
    #expect(try zip(whole.y.sliced(1, from: 2).elements(), rest.y.elements()).allSatisfy { abs($0 - $1) <= 1e-6 })
}

@Test func aLengthMaskIsTrueWithinEachSequence() throws {
    let mask = try Tensor([Int64(2), 0, 3]).lengthMask(3)
    #expect(try mask.elements(Bool.self) == [true, true, false, false, false, false, true, true, true])
}

/// Tags that are told apart by what came before them only: each step's own score says nothing of them.
@Test func aChainLearnsWhichTagFollowsWhich() throws {
    var generator = Philox(seed: 5)
    var chain = try LinearChainCRF(3, using: &generator)
    let parameters = try ParameterStore(&chain), optimizer = try AdamW(parameters, learningRate: 0.1, weightDecay: 0)
    let emissions = try Tensor.zeros([2, 6, 3]), tags = try Tensor([0, 1, 2, 0, 1, 2, 1, 2, 0, 1, 0, 0].map { Int64($0) }, [2, 6])
    let lengths = try Tensor([Int64(6), 4])
    var losses: [Float] = []
    for _ in 0..<60 {
        try parameters.clearGradients()
        let loss = try chain.logLikelihood(emissions, tags, lengths: lengths).mean().negated()
        losses.append(try loss.item())
        try loss.backward()
        try optimizer.step()
    }
    #expect(losses[0] > 4 && losses[59] < 1)
    let hint = try Tensor([Float(0), 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0], [1, 4, 3])
    #expect(try chain.decoded(hint).elements(Int64.self) == [1, 2, 0, 1])
    #expect(try chain.state().map(\.name) == ["transitions", "start", "end"])
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

/// Between layers, in training, and nowhere else.
private func expectDropping<L: Layer>(_ make: (_ dropout: Double, _ layers: Int) throws -> L) throws {
    let x = try numbers([2, 4, 5]), once = try Context.training(seed: 1, step: 1), again = try Context.training(seed: 1, step: 1)
    let plain = try make(0, 2)(x, in: .prediction).elements(), dropping = try make(0.5, 2)
    #expect(try dropping(x, in: .prediction).elements() == plain)
    let first = try dropping(x, in: once).elements()
    #expect(first != plain)
    #expect(try dropping(x, in: again).elements() == first)
    #expect(try dropping(x, in: .training(seed: 1, step: 2)).elements() != first)
    #expect(try make(1e-12, 2)(x, in: again).elements() == plain)
    #expect(try make(0.5, 1)(x, in: again).elements() == make(0, 1)(x, in: .prediction).elements())
    #expect(throws: TensorError.self) { try make(1, 2) }
}

@Test func recurrentLayersDropBetweenThem() throws {
    func lstm(_ dropout: Double, _ layers: Int) throws -> LSTM {
        var generator = Philox(seed: 3)
        return try LSTM(5, 6, layers: layers, isBidirectional: true, dropout: dropout, using: &generator)
    }
    func gru(_ dropout: Double, _ layers: Int) throws -> GRU {
        var generator = Philox(seed: 3)
        return try GRU(5, 6, layers: layers, dropout: dropout, using: &generator)
    }
    try expectDropping(lstm)
    try expectDropping(gru)
    // What isn't said isn't guessed.
    let x = try numbers([2, 4, 5])
    #expect(throws: TensorError(.argument(primitive: "LSTM", name: "context", given: "none", allowed: "one, where layers drop numbers"))) {
        try lstm(0.5, 2).run(x)
    }
    #expect(throws: TensorError.self) { try gru(0.5, 2).run(x) }
    #expect(try lstm(0.5, 2).run(x, in: .prediction).y.elements() == lstm(0, 2).run(x).y.elements())
    #expect(try gru(0.5, 1).run(x).y.elements() == gru(0, 1).run(x).y.elements())
}
