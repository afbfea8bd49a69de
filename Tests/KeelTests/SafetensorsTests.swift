import Foundation
import Keel
import Testing

private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

private func file(_ header: String, _ bytes: Int, length: UInt64? = nil) -> [UInt8] {
    withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Array($0) } + Array(header.utf8) + [UInt8](repeating: 0, count: bytes)
}

@Test func whatWasWrittenIsRead() throws {
    try withFolder { folder in
        let path = folder + "/a.safetensors"
        let tensors: [(name: String, tensor: Tensor)] = [
            ("b", try Tensor([Float(1), 2, 3, 4, 5, 6], [2, 3]).transposed()), ("ö\"\\\n", try Tensor([Int64(7)])), ("empty", try Tensor.zeros([0, 3])),
            ("scalar", try Tensor(2.5)), ("flags", try Tensor([true, false])),
        ]
        try Safetensors.write(tensors, metadata: ["k": "v \u{1}"], to: path)
        let read = try Safetensors(reading: path)
        #expect(read.metadata == ["k": "v \u{1}"])
        #expect(Set(read.entries.map(\.name)) == Set(tensors.map(\.name)))
        #expect(try read.tensor(named: "b")?.elements() == [1, 4, 2, 5, 3, 6])
        #expect(try read.tensor(named: "ö\"\\\n")?.elements(Int64.self) == [7])
        #expect(try read.tensor(named: "scalar")?.item(Double.self) == 2.5)
        #expect(try read.tensor(named: "flags")?.elements(Bool.self) == [true, false])
        #expect(try read.tensor(named: "none") == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.safetensors"])
    }
}

@Test func halfFloatsAreWrittenAndReadToTheBit() throws {
    try withFolder { folder in
        let path = folder + "/a.safetensors", patterns = (0...0xffff).map { UInt16($0) }
        func bits(_ dtype: DType) throws -> Tensor {
            try Tensor([256, 256], dtype) { (target) throws(TensorError) in patterns.withUnsafeBytes { target.copyMemory(from: $0) } }
        }
        try Safetensors.write([("a", bits(.bfloat16)), ("b", bits(.float16).transposed()), ("c", Tensor(Float16(0.1)))], to: path)
        let text = try String(decoding: Data(contentsOf: URL(fileURLWithPath: path)).prefix(250), as: UTF8.self)
        #expect(text.contains(#""a":{"dtype":"BF16","shape":[256,256],"data_offsets":[0,131072]}"#))
        #expect(text.contains(#""b":{"dtype":"F16","shape":[256,256],"data_offsets":[131072,262144]}"#))
        let read = try Safetensors(reading: path)
        func bits(of tensor: Tensor?) throws -> [UInt16] {
            try #require(tensor).withBytes { bytes in Array(bytes.bindMemory(to: UInt16.self)) }
        }
        #expect(read["a"]?.dtype == .bfloat16 && read["b"]?.dtype == .float16)
        #expect(try bits(of: read.tensor(named: "a")) == patterns)
        #expect(try bits(of: read.tensor(named: "b")?.transposed()) == patterns)
        #expect(try read.tensor(named: "c")?.item(Float16.self) == 0.1)
    }
}

private let one = #"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#
private let hostile: [(String, [UInt8])] = [
    ("empty file", []), ("pickle", [0x80, 4, 0x95] + [UInt8](repeating: 0, count: 40)), ("length past the end", file("{}", 90, length: 10 << 20)),
    ("length of 2^63 - 1", file("{}", 90, length: UInt64(Int64.max))), ("length of 2^64 - 1", file("{}", 90, length: .max)),
    ("tensors that share bytes", file(#"{"a":\#(one),"b":\#(one)}"#, 4)),
    ("offsets past the end", file(#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4)),
    ("a product that wraps", file(#"{"a":{"dtype":"F32","shape":[4194305,4194305,211106198978564],"data_offsets":[0,16]}}"#, 16)),
    ("one name twice", file(#"{"a":\#(one),"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8)),
    ("a hole", file(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8)), ("bytes at the end", file(#"{"a":\#(one)}"#, 8)),
    ("a wrong size", file(#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}}"#, 4)), ("a negative size", file(#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4)),
    ("half floats of a wrong size", file(#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,8]}}"#, 8)),
    ("an unknown kind", file(#"{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}}"#, 4)), ("no JSON", file("hello", 4)),
    ("deep nesting", file(String(repeating: #"{"a":"#, count: 10_000), 0)), ("text that doesn't end", file(#"{"a"#, 0)),
    ("half a surrogate", file(#"{"\ud800":\#(one)}"#, 4)), ("nine axes", file(#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, 4)),
    (
        "too many tensors",
        file("{" + (0..<60_000).map { #""t\#($0)":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"# }.joined(separator: ",") + "}", 0)
    ),
]

@Test func hostileFilesAreRefused() throws {
    try withFolder { folder in
        for (name, bytes) in hostile {
            let path = folder + "/x.safetensors"
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(throws: TensorError.self, "\(name)") { try Safetensors(reading: path) }
            // Every prefix too, of the shorter ones, but for the one that is sound.
            for length in 0..<min(bytes.count, 80) where name != "bytes at the end" {
                try Data(bytes[..<length]).write(to: URL(fileURLWithPath: path))
                #expect(throws: TensorError.self, "\(name), cut to \(length)") { try Safetensors(reading: path) }
            }
        }
        #expect(throws: TensorError.self) { try Safetensors(reading: folder + "/none") }
        #expect(throws: TensorError.self) { try Safetensors(reading: folder) }
    }
}

@Test func anUnwritableFolderIsAnErrorAndLeavesNothing() throws {
    #expect(throws: TensorError.self) { try Safetensors.write([], to: "/nonexistent-folder/x.safetensors") }
}
