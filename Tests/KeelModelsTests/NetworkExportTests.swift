import Keel
import KeelModels
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

/// Traced, each type gives its numbers bit for bit, whatever the symbols stand for: the same kernels in the same order.
///
/// Optimised, and exported and read again by our own operators, of which another table says what they do, it gives them to 1e-4 of the largest: the same
/// sums in another order, in float32, through some dozen layers. That is the bar for other runtimes too.
@Test(arguments: tinyNetworks)
func eachTypeIsTracedAndExported(_ tiny: TinyNetwork) throws {
    let network = try ExportedNetwork(tiny), forward = try network.forward(), program = try network.program(forward)
    #expect(program.outputs.map(\.name) == network.entry.outputs.prefix(program.outputs.count).map(\.name))
    let optimised = try program.optimised(), models = try [13, 17, 21].map { try program.reread(opset: $0) } + [optimised.reread(opset: 17)]
    for model in models { #expect(model.unsupported.isEmpty) }
    for (batch, time) in [(1, 9), (3, 6)] {
        let inputs = try network.sample(batch: batch, time: time, seed: UInt64(batch)), expected = try program.run(inputs)
        try expectEqual(expected, forward(inputs))
        try expectClose(optimised.run(inputs), expected, 1e-4)
        for model in models { try expectClose(model.run(zip(network.inputs, inputs).map { ($0.name, $1) }), expected, 1e-4) }
    }
}

/// A file leaves the sizes open, and is a program again.
@Test(arguments: tinyNetworks.filter { ["LSTMForecaster", "TCNForecaster", "DeepSpeech2", "Conformer", "TextLineCRNN"].contains($0.type) })
func sequencesOfAnyLengthAreReadAsPrograms(_ tiny: TinyNetwork) throws {
    let network = try ExportedNetwork(tiny), program = try network.program(network.forward()), imported = try ImportedModel(program.reread(opset: 17))
    guard case .program(let read) = imported.form else {
        if case .interpreted(_, let why) = imported.form { Issue.record("\(why)") }
        return
    }
    for time in [9, 6] {
        let inputs = try network.sample(batch: 2, time: time, seed: UInt64(time))
        try expectClose(read.run(inputs), program.run(inputs), 1e-4)
    }
}

/// The list of what isn't exported says what is so.
@Test func whatIsNotExportedIsRefused() throws {
    #expect(notExported.allSatisfy { row in NamedNetwork.all.contains { $0.type == row.type } })
    let tiny = try #require(tinyNetworks.first { $0.type == "BiLSTMCRF" }), network = try ExportedNetwork(tiny), tagger = try network.make()
    let program = try network.program { try tagger($0, in: .prediction) }
    #expect { try program.onnx() } throws: { if case ONNXError.notExportable("Viterbi", _, _) = $0 { true } else { false } }
}
