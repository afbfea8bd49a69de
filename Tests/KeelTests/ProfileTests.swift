import Foundation
import Keel
import Testing

@Test func aProfileCountsWhatRan() throws {
    let a = try Tensor.ones([4, 8]), b = try Tensor.ones([8, 2])
    let (y, profile) = try profile { try (a.matmul(b) + 1).relu().relu() }
    #expect(try y.elements() == [Float](repeating: 9, count: 8))
    #expect(profile.events.map(\.name) == ["MatMul", "Scale", "Relu", "Relu"])
    #expect(profile.events.map(\.bytes) == [4 * (32 + 16 + 8), 64, 64, 64])
    #expect(profile.events.map(\.flops) == [2 * 8 * 8, 8, 8, 8])
    #expect(profile.events.allSatisfy { $0.ownSeconds >= 0 && $0.ownSeconds <= $0.seconds && $0.start + $0.seconds <= profile.seconds })
    let before = profile.events.count
    _ = try a.relu()
    #expect(profile.events.count == before)
}

/// What a kernel runs itself isn't counted twice.
@Test func timesOfKernelsWithinKernelsAreTheirOwn() throws {
    let x = try Tensor.ones([64, 32]).transposed()
    let profile = try profile { try x.softmax() }.profile
    let sum = profile.events.reduce(0) { $0 + $1.ownSeconds }
    #expect(sum <= profile.seconds)
}

/// Everything but the times and shares is exact.
@Test func theTableOfAProfileIsAligned() throws {
    let a = try Tensor.ones([16, 16])
    let text = try profile { try a.matmul(a).relu() }.profile.description
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines.count == 7)
    #expect(lines[0].split(separator: " ") == ["primitive", "calls", "ms", "share", "bytes"])
    #expect(Set(lines.filter { $0.hasPrefix("-") }).count == 1)
    let rows = lines[2...3].map { $0.split(separator: " ").map(String.init) }.sorted { $0[0] < $1[0] }
    #expect(rows[0][0] == "MatMul" && rows[0][1] == "1" && rows[0].suffix(2) == ["3.0", "KiB"])
    #expect(rows[1][0] == "Relu" && rows[1].suffix(2) == ["2.0", "KiB"])
    #expect(lines[5].hasPrefix("in kernels") && lines[5].hasSuffix("5.0 KiB"))
    #expect(Set(lines.filter { !$0.hasPrefix("in all") }.map(\.count)).count == 1)
}

@Test func aTraceIsJSONWithOneEventAPrimitive() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString).json").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let weight = try Tensor.ones([3, 4]).requiringGradient(named: "net.head.weight")
    let profile = try profile { try Tensor.ones([2, 4]).affine(weight, bias: nil).relu() }.profile
    try profile.writeTrace(to: path)
    let trace = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as? [String: Any])
    let events = try #require(trace["traceEvents"] as? [[String: Any]])
    #expect(events.map { $0["name"] as? String } == profile.events.map(\.name))
    #expect(events.allSatisfy { $0["ph"] as? String == "X" && $0["ts"] is Double && $0["dur"] is Double })
    let arguments = try #require(events.first { $0["name"] as? String == "Affine" }?["args"] as? [String: Any])
    #expect(arguments["layer"] as? String == "net.head")
    #expect(arguments["shapes"] as? String == "float32[2, 4], float32[3, 4] → float32[2, 3]")
    #expect(throws: TensorError.self) { try profile.writeTrace(to: "/nowhere/at/all.json") }
}

@Test func aBodyThatThrowsEndsItsProfile() throws {
    struct Fault: Error {}
    #expect(throws: Fault.self) { try profile { throw Fault() } }
    let outer = try profile {
        _ = try Tensor.ones([2]).relu()
        #expect(try profile { try Tensor.ones([2]).sigmoid() }.profile.events.map(\.name) == ["Sigmoid"])
        _ = try Tensor.ones([2]).relu()
    }.profile
    #expect(outer.events.map(\.name) == ["Relu", "Relu"])
}
