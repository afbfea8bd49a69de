import Keel
import KeelModels
import Testing

/// Writes what `torch.save` writes in its older form: as little of it as a tensor needs.
private struct Pickle {
    var bytes: [UInt8] = [0x80, 2]

    func int(_ value: Int) -> [UInt8] { [UInt8(ascii: "J")] + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    func text(_ text: String) -> [UInt8] { [UInt8(ascii: "X")] + (0..<4).map { UInt8(truncatingIfNeeded: text.utf8.count >> (8 * $0)) } + Array(text.utf8) }
    func name(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
    func tuple(_ parts: [[UInt8]]) -> [UInt8] { [UInt8(ascii: "(")] + parts.joined() + [UInt8(ascii: "t")] }
    var end: [UInt8] { [UInt8(ascii: ".")] }
}

private func file(
    storage: [Float], declared: Int? = nil, offset: Int = 0, sizes: [Int], strides: [Int], call: (module: String, name: String) = ("torch._utils", "_rebuild_tensor_v2")
) -> [UInt8] {
    let p = Pickle()
    let magic: [UInt8] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19] + p.end
    let protocolNumber = p.bytes + p.int(1001) + p.end
    let system = p.bytes + [UInt8(ascii: "}")] + p.text("little_endian") + [0x88, UInt8(ascii: "s")] + p.end
    let stored = p.tuple([p.text("storage"), p.name("torch", "FloatStorage"), p.text("7"), p.text("cpu"), p.int(declared ?? storage.count), [UInt8(ascii: "N")]]) + [UInt8(ascii: "Q")]
    let arguments = p.tuple([stored, p.int(offset), p.tuple(sizes.map(p.int)), p.tuple(strides.map(p.int)), [0x89], p.name("collections", "OrderedDict") + [UInt8(ascii: ")"), UInt8(ascii: "R")]])
    let tensor = p.name(call.module, call.name) + arguments + [UInt8(ascii: "R")]
    let state = p.bytes + p.name("collections", "OrderedDict") + [UInt8(ascii: ")"), UInt8(ascii: "R"), UInt8(ascii: "(")] + p.text("w") + tensor + [UInt8(ascii: "u")] + p.end
    let keys = p.bytes + [UInt8(ascii: "]"), UInt8(ascii: "(")] + p.text("7") + [UInt8(ascii: "e")] + p.end
    let length = (0..<8).map { UInt8(truncatingIfNeeded: (declared ?? storage.count) >> (8 * $0)) }
    return [magic, protocolNumber, system, state, keys, length, storage.withUnsafeBytes { Array($0) }].flatMap { $0 }
}

@Test func aTorchFileGivesItsTensorsInRowMajorOrder() throws {
    let numbers = (0..<12).map(Float.init)
    let plain = try TorchFile(file(storage: numbers, sizes: [3, 4], strides: [4, 1]), path: "a.pth")
    #expect(plain.names == ["w"])
    #expect(try plain.tensor(named: "w")?.elements() == numbers)
    #expect(try plain.tensor(named: "v") == nil)
    let turned = try TorchFile(file(storage: numbers, offset: 1, sizes: [2, 2, 2], strides: [1, 2, 4]), path: "a.pth")
    #expect(try turned.tensor(named: "w")?.elements() == [1, 5, 3, 7, 2, 6, 4, 8])
    #expect(try TorchFile(file(storage: [5], sizes: [], strides: []), path: "a.pth").tensor(named: "w")?.item() == 5)
}

@Test func aTorchFileThatWouldRunSomethingIsRefused() throws {
    let error = #expect(throws: TensorError.self) { try TorchFile(file(storage: [1], sizes: [1], strides: [1], call: ("os", "system")), path: "a.pth") }
    #expect("\(try #require(error))".contains("os.system"))
    // `REDUCE` of something that isn't a name, and an instruction that a tensor doesn't need.
    let whole = file(storage: [1], sizes: [1], strides: [1])
    for code in [UInt8(ascii: "i"), UInt8(ascii: "o"), 0x81, 0x93, UInt8(ascii: "P")] {
        var damaged = whole
        damaged[24] = code
        #expect(throws: TensorError.self) { try TorchFile(damaged, path: "a.pth") }
    }
}

@Test func aTorchFileThatDoesNotFitItselfIsRefused() {
    let numbers = [Float](repeating: 1, count: 6)
    for (sizes, strides, offset) in [
        ([2, 3], [3, 1], 1), ([7], [1], 0), ([2, 3], [3], 0), ([6], [2], 0), ([1 << 30, 1 << 30], [1, 1], 0), ([100], [0], 0), ([2], [Int(Int32.max)], 0),
    ] {
        #expect(throws: TensorError.self, "\(sizes) \(strides) \(offset)") {
            try TorchFile(file(storage: numbers, offset: offset, sizes: sizes, strides: strides), path: "a.pth")
        }
    }
    #expect(throws: TensorError.self) { try TorchFile(file(storage: numbers, declared: 7, sizes: [2], strides: [1]), path: "a.pth") }
    #expect(throws: TensorError.self) { try TorchFile(file(storage: numbers, declared: 1 << 30, sizes: [2], strides: [1]), path: "a.pth") }
}

@Test func aDamagedTorchFileIsRefusedOrRead() throws {
    let whole = file(storage: [1, 2, 3, 4], sizes: [2, 2], strides: [2, 1])
    for count in 0..<whole.count { #expect(throws: TensorError.self) { try TorchFile(Array(whole[..<count]), path: "a.pth") } }
    #expect(throws: TensorError.self) { try TorchFile(whole + [0], path: "a.pth") }
    var generator = Philox(seed: 1)
    for _ in 0..<3000 {
        var damaged = whole
        for _ in 0..<Int.random(in: 1...3, using: &generator) { damaged[Int.random(in: 0..<whole.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator) }
        if let read = try? TorchFile(damaged, path: "a.pth") { for name in read.names { _ = try? read.tensor(named: name) } }
    }
}
