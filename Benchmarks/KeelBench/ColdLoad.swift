import Foundation
import Keel
import KeelBenchNetworks
import KeelProgram

/// From a model's folder to its first answer, in a process that has done nothing before.
enum ColdLoad {
    /// Writes a ResNet-18 of 1000 classes, 46.8 MB, where `path` is free; else loads what is there and answers three times.
    static func line(_ path: String, threads: Int) throws -> String {
        var line = JSONLine()
        line.add("peer", "keel")
        line.add("workload", "cold-load")
        line.add("threads", threads)
        guard FileManager.default.fileExists(atPath: path) else {
            var generator = Philox(seed: 0)
            let network = try ResNet18(1000, isLarge: true, using: &generator), pictures = Shape(.symbol("batch"), Dimension(3), Dimension(224), Dimension(224))
            let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(pictures, .float32))
            try ModelFolder.write(program, metadata: ModelMetadata(name: "resnet18"), to: path)
            line.add("skipped", "written; the next call loads it")
            return line.text
        }
        var before = Clock.wall()
        func lap(_ name: String) {
            let now = Clock.wall()
            line.add(name, (now - before) * 1e3)
            before = now
        }
        let folder = try ModelFolder(reading: path)
        lap("load_ms")
        let x = try Tensor.ones([1, 3, 224, 224])
        for name in ["first_ms", "second_ms", "third_ms"] {
            _ = try folder.run(["x": x])
            lap(name)
        }
        return line.text
    }
}
