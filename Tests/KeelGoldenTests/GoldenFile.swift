import Foundation
import Keel
import Testing

/// What `golden.py`, or one like it, wrote, read by Keel's own reader.
struct GoldenFile {
    private let file: Safetensors

    init(_ name: String = "golden") throws {
        file = try Safetensors(reading: URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name).safetensors").path)
    }

    var names: [String] { file.entries.map(\.name) }

    func tensor(_ name: String) throws -> Tensor { try #require(try file.tensor(named: name), "\(name) isn't in the file") }

    /// The tensors `prefix0`, `prefix1` and so on.
    func tensors(_ prefix: String) throws -> [Tensor] {
        var found: [Tensor] = []
        while let next = try file.tensor(named: prefix + "\(found.count)") { found.append(next) }
        return found
    }
}

/// The file's numbers were computed in float64; float32 rounds by 6e-8, and sums of up to a hundred products by some 5e-6 of the largest.
func expectGolden(_ found: Tensor, _ expected: Tensor, _ what: String, tolerance: Float = 5e-6) throws {
    #expect(found.shape == expected.shape, "\(what)")
    let (x, y) = (try found.cast(to: .float32).elements(), try expected.elements())
    let allowed = tolerance * max(y.map(abs).max() ?? 0, 1e-2)
    for (i, (a, b)) in zip(x, y).enumerated() where !(abs(a - b) <= allowed) {
        Issue.record("\(what): number \(i) is \(a), expected \(b)")
        return
    }
}
