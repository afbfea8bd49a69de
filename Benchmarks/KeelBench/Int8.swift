// Networks whose layers multiply bytes, beside the same in floats: `latency-resnet18-224` and `latency-minilm-32` are the others' names.
import Keel
import KeelBenchNetworks
import KeelNN
import KeelProgram

/// A program's step after static quantisation, calibrated by its own input.
private func int8Step(_ program: Program, _ x: Tensor) throws -> Step {
    let quantised = try program.quantised(calibratedBy: [[x]]).program
    return Step { _ = try quantised.run([x]) }
}

/// The products of MiniLM's layers alone, one after the other, of 32 tokens; and such tokens.
private func products() throws -> (Program, Tensor) {
    var generator = Philox(seed: 0)
    let layers = try (0..<6).map { _ in
        (
            projections: try Linear(384, 3 * 384, using: &generator), joined: try Linear(384, 384, using: &generator),
            wide: try Linear(384, 1536, using: &generator), narrow: try Linear(1536, 384, using: &generator)
        )
    }
    let program = try Program.trace(
        { tokens in
            var x = tokens
            for layer in layers {
                x = try layer.joined(layer.projections(x, in: .prediction).sliced(-1, to: 384), in: .prediction)
                x = try layer.narrow(layer.wide(x, in: .prediction).gelu(), in: .prediction)
            }
            return x
        }, input: "x", TensorSpec([1, 32, 384], .float32)
    ).optimised()
    return (program, try floats(1, 32, 384))
}

let int8Workloads: [Workload] = [
    Workload(name: "int8-resnet18-224", group: .int8, work: 1, unit: "requests/s") {
        var generator = Philox(seed: 0)
        let network = try ResNet18(1000, isLarge: true, using: &generator)
        return try int8Step(try batchProgram(network, floats(1, 3, 224, 224)), floats(1, 3, 224, 224))
    },
    Workload(name: "int8-minilm-32", group: .int8, work: 1, unit: "requests/s") {
        var generator = Philox(seed: 0)
        let network = try MiniLM(30_522, positions: 512, 384, heads: 12, inner: 1536, layers: 6, using: &generator)
        let words = try ids(below: 30_522, 32).reshaped([1, 32])
        return try int8Step(try batchProgram(network, words), words)
    },
    Workload(name: "float-minilm-products", group: .int8, work: 1, unit: "requests/s") {
        let (program, x) = try products()
        return Step { _ = try program(x) }
    },
    Workload(name: "int8-minilm-products", group: .int8, work: 1, unit: "requests/s") {
        let (program, x) = try products()
        return try int8Step(program, x)
    },
]
