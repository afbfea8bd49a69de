// A recurrent network over sequences of unequal length: what was the sign of the first number? It has to be
// remembered to the end of each sequence, not of the padding.
import Keel
import KeelNN

struct SignMemory: Module {
    var memory: LSTM
    var head: Linear

    func callAsFunction(_ x: Tensor, lengths: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(memory.run(x, lengths: lengths).states[0].h.at(0), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try memory.forEachState(body, under: "memory")
        try head.forEachState(body, under: "head")
    }
}

func makeSequences(_ count: Int, using generator: inout Philox) throws -> (x: Tensor, lengths: Tensor, signs: Tensor) {
    let times = (0..<count).map { _ in Int.random(in: 2...12, using: &generator) }
    let sequences = try times.map { try Tensor.normal([$0, 1], using: &generator) }
    let (x, lengths) = try Tensor.padded(sequences: sequences)
    return (x, lengths, try x.at(0, axis: 1).withoutAxis(1).isGreater(than: Tensor(Float(0))).cast(to: .int64))
}

var generator = Philox(seed: 1)
var network = SignMemory(memory: try LSTM(1, 16, using: &generator), head: try Linear(16, 2, using: &generator))
let optimizer = try AdamW(ParameterStore(&network), learningRate: 2e-2)
let train = try makeSequences(256, using: &generator), test = try makeSequences(100, using: &generator)
for step in 0..<80 {
    let logits = try network(train.x, lengths: train.lengths, in: .training(seed: 1, step: step))
    try optimizer.minimise(logits.softmaxCrossEntropy(train.signs))
}

let answers = try network(test.x, lengths: test.lengths, in: .prediction)
print("accuracy", try Accuracy().value(of: answers, test.signs))
