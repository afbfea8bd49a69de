import Foundation
public import Keel
public import KeelProgram

/// Where programs are written as models, with inputs and our answers, laid out as the ONNX project's test directories are: for other runtimes to be
/// checked with (`make onnx-export-check`).
package struct ExportFolder {
    private let root: String

    /// - Returns: nil where no folder is asked for.
    package init?() {
        guard let root = ProcessInfo.processInfo.environment["KEEL_EXPORTS"] else { return nil }
        self.root = root
    }

    /// - Parameter sample: inputs, each time others and of other sizes.
    /// - Throws: what tracing, exporting and writing throw; where something of this name was written before.
    package func write(_ program: Program, as name: String, opsets: [Int] = [13, 17, 21], sample: (_ set: Int) throws -> [Tensor]) throws {
        let sets = try (0..<20).map { set in
            let inputs = try sample(set)
            return (inputs, try program.run(inputs))
        }
        let network = "\(root)/\(name.replacing(" ", with: "_"))"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        // Throws where two have one name.
        try FileManager.default.createDirectory(atPath: network, withIntermediateDirectories: false)
        for opset in opsets {
            let folder = "\(network)/\(opset)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            try program.writeONNX(to: folder + "/model.onnx", opset: opset)
            for (set, (inputs, outputs)) in sets.enumerated() {
                let data = "\(folder)/test_data_set_\(set)"
                try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: false)
                for (i, (port, tensor)) in zip(program.inputs, inputs).enumerated() { try write(tensor, port.name, to: "\(data)/input_\(i).pb") }
                for (i, (port, tensor)) in zip(program.outputs, outputs).enumerated() { try write(tensor, port.name, to: "\(data)/output_\(i).pb") }
            }
        }
    }

    private func write(_ tensor: Tensor, _ name: String, to path: String) throws {
        var writer = ProtobufWriter()
        ONNX.TensorData(name, tensor).write(to: &writer)
        try writer.allBytes().withUnsafeBytes { try Data($0).write(to: URL(filePath: path)) }
    }
}
