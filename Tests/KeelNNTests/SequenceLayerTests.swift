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
    let layer = try Conv1D(3, 20, taps: 3, padding: .causal, dilation: 2, using: &generator)
    let x = try numbers([2, 9, 3]), other = try Tensor.concatenated([x.sliced(1, to: 6), numbers([2, 3, 3], 9)], axis: 1)
    let a = try layer(x, in: .prediction), b = try layer(other, in: .prediction)
    #expect(a.shape == [2, 9, 20])
    #expect(try a.sliced(1, to: 6).elements() == b.sliced(1, to: 6).elements())
}
