// The workloads over sequences, as their specification has them.
import Keel
import KeelBenchNetworks
import KeelNN

let sequenceWorkloads: [Workload] = [
    Workload(name: "bilstm-text", group: .train, work: 64, unit: "sequences/s") {
        var generator = Philox(seed: 0)
        let words = try ids(below: 10_000, 64 * 64).reshaped([64, 64])
        return try trainingStep(BiLSTMText(10_000, 128, 128, 2, using: &generator), words, ids(below: 2, 64)) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
    Workload(name: "lstm-forecast", group: .train, work: 64, unit: "windows/s") {
        var generator = Philox(seed: 0)
        let network = try LSTMForecaster(7, 64, layers: 2, horizon: 24, using: &generator)
        return try trainingStep(network, floats(64, 96, 7), floats(64, 168, seed: 3), loss: { try $0.meanSquaredError($1) }) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
    Workload(name: "transformer-encoder", group: .train, work: 8, unit: "sequences/s") {
        var generator = Philox(seed: 0)
        let network = try EncoderClassifier(384, heads: 12, inner: 1536, layers: 6, classes: 2, using: &generator)
        return try trainingStep(network, floats(8, 128, 384), ids(below: 2, 8)) { try AdamW($0, learningRate: 1e-4, weightDecay: 0.01) }
    },
    Workload(name: "tcn-forecast", group: .train, work: 64, unit: "windows/s") {
        var generator = Philox(seed: 0)
        let network = try TCNForecaster(7, 64, taps: 3, dilations: [1, 2, 4, 8], horizon: 24, using: &generator)
        return try trainingStep(network, floats(64, 96, 7), floats(64, 168, seed: 3), loss: { try $0.meanSquaredError($1) }) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
]
