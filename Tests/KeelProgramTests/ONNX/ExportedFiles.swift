import Foundation
import Keel
import KeelProgram
import Testing

/// Writes every exported network with inputs and our answers, as test directories of the ONNX project are laid out, for other runtimes to be checked
/// with (`make onnx-export-check`). It only runs where a folder for them is given.
@Test(.enabled(if: ProcessInfo.processInfo.environment["KEEL_EXPORTS"] != nil), arguments: tracedNetworks + tracedLayers)
func exportsAreWritten(_ network: TracedNetwork) throws {
    let root = try #require(ProcessInfo.processInfo.environment["KEEL_EXPORTS"])
    let program = try Program.trace(network.make(), inputs: network.inputs)
    for opset in [13, 17, 21] {
        let folder = "\(root)/\(network.description.replacing(" ", with: "_"))/\(opset)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try program.writeONNX(to: folder + "/model.onnx", opset: opset)
        for set in 0..<20 {
            let inputs = try network.sample(batch: 1 + set % 4, time: 3 + set % 5, seed: UInt64(set)), data = "\(folder)/test_data_set_\(set)"
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
            for (i, (port, tensor)) in zip(program.inputs, inputs).enumerated() { try write(tensor, port.name, to: "\(data)/input_\(i).pb") }
            for (i, (port, tensor)) in zip(program.outputs, try program.run(inputs)).enumerated() {
                try write(tensor, port.name, to: "\(data)/output_\(i).pb")
            }
        }
    }
}

private func write(_ tensor: Tensor, _ name: String, to path: String) throws {
    var writer = ProtobufWriter()
    ONNX.TensorData(name, tensor).write(to: &writer)
    try writer.allBytes().withUnsafeBytes { try Data($0).write(to: URL(filePath: path)) }
}
