/// A file of named tensors: eight bytes that give the header's length, the header in JSON, then all tensors' bytes without gaps.
///
/// Files come from anywhere, so a reader trusts nothing: every length, offset, shape and name is checked against the file before
/// any of its bytes is used, sizes are multiplied with overflow in mind, and how many tensors there may be is limited.
///
/// - Source: https://github.com/huggingface/safetensors
public final class Safetensors: Sendable {
    public static let maximumTensors = 50_000
    public static let maximumHeaderBytes = 64 << 20

    public struct Entry: Sendable, Hashable {
        public let name: String
        public let dtype: DType
        public let shape: Shape
        let bytes: Range<Int>
    }

    public let path: String
    /// In the order of their bytes.
    public let entries: [Entry]
    public let metadata: [String: String]
    private let places: [String: Int]
    private let file: MappedFile
    private let start: Int

    /// Opens a file and checks its header. Tensors' bytes are read when they are asked for.
    ///
    /// - Throws: `TensorError.file`, `TensorError.malformedFile`, `TensorError.unsafeFormat` for pickles,
    ///   `TensorError.tooManyTensors`.
    public convenience init(reading path: String) throws(TensorError) { try self.init(MappedFile(path), at: path) }

    /// Of a file that is mapped already.
    package init(_ file: MappedFile, at path: String) throws(TensorError) {
        (self.path, self.file) = (path, file)
        (entries, metadata, start) = try Self.header(of: file.bytes, path)
        var places: [String: Int] = [:]
        for (place, entry) in entries.enumerated() { places[entry.name] = place }
        self.places = places
    }

    public subscript(_ name: String) -> Entry? { places[name].map { entries[$0] } }

    /// Where a tensor's bytes lie in the file.
    package func range(of entry: Entry) -> Range<Int> { start + entry.bytes.lowerBound..<start + entry.bytes.upperBound }

    /// A tensor of the file, copied into memory of its own; nil where the file has none of that name.
    public func tensor(named name: String) throws(TensorError) -> Tensor? {
        guard let entry = self[name] else { return nil }
        let source = UnsafeRawBufferPointer(rebasing: file.bytes[range(of: entry)])
        if entry.dtype == .bool, source.contains(where: { $0 > 1 }) {
            throw TensorError(.malformedFile(path: path, "'\(name)' holds bools that are neither 0 nor 1"))
        }
        return try Tensor(entry.shape, entry.dtype) { (target) throws(TensorError) in target.copyMemory(from: source) }
    }

    private static func header(of bytes: UnsafeRawBufferPointer, _ path: String) throws(TensorError) -> ([Entry], [String: String], Int) {
        func malformed(_ what: String) -> TensorError { TensorError(.malformedFile(path: path, what)) }
        if bytes.count >= 4, bytes[0] == 0x50, bytes[1] == 0x4b, bytes[2] == 3, bytes[3] == 4 {
            throw TensorError(.unsafeFormat(path: path, "a zip, as torch saves it, may hold code"))
        }
        guard bytes.count >= 8 else { throw malformed("\(bytes.count) bytes are less than a header's length takes") }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        if length > UInt64(bytes.count - 8) {
            // A pickle begins with 0x80 and its protocol; only a file that isn't sound as safetensors is called one.
            if bytes[0] == 0x80, (2...5).contains(bytes[1]), !path.hasSuffix(".safetensors") {
                throw TensorError(.unsafeFormat(path: path, "a pickle may hold code"))
            }
            throw malformed("the header would be \(length) bytes long, the file has \(bytes.count)")
        }
        guard length >= 2, length <= UInt64(maximumHeaderBytes) else { throw malformed("a header of \(length) bytes; allowed are 2 to \(maximumHeaderBytes)") }
        let start = 8 + Int(length)
        var reader = HeaderReader(UnsafeRawBufferPointer(rebasing: bytes[8..<start]))
        var found: [Entry] = [], metadata: [String: String] = [:]
        do throws(HeaderReader.Fault) {
            try reader.read(limit: maximumTensors, into: &found, &metadata)
        } catch {
            switch error {
            case .malformed(let what): throw malformed(what)
            case .tooMany(let count): throw TensorError(.tooManyTensors(path: path, count: count, limit: maximumTensors))
            }
        }
        found.sort { ($0.bytes.lowerBound, $0.bytes.upperBound) < ($1.bytes.lowerBound, $1.bytes.upperBound) }
        var end = 0
        for entry in found {
            guard entry.bytes.lowerBound == end else {
                throw malformed("'\(entry.name)' begins at byte \(entry.bytes.lowerBound), the tensor before it ends at \(end)")
            }
            end = entry.bytes.upperBound
        }
        guard end == bytes.count - start else { throw malformed("the tensors end at byte \(end) of \(bytes.count - start)") }
        return (found, metadata, start)
    }

    /// Writes tensors to a file: to one beside it first, which is flushed to disk and then takes its name, so that at no moment is
    /// there half a file under that name.
    ///
    /// - Throws: `TensorError.file`; `TensorError.argument` for a name that comes twice, or is `__metadata__`.
    public static func write(_ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String) throws(TensorError) {
        var header = "{", offset = 0, names: Set<String> = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
            header += "\"__metadata__\":{\(pairs.joined(separator: ","))}"
        }
        for (name, tensor) in tensors {
            guard name != "__metadata__", names.insert(name).inserted else {
                throw .argument(primitive: "safetensors", name: "tensor name", given: name, allowed: "each name once, and not __metadata__")
            }
            let bytes = tensor.count * tensor.dtype.width
            let sizes = (tensor.shape.sizes ?? []).map(String.init).joined(separator: ",")
            header += header.count > 1 ? "," : ""
            header += "\(quoted(name)):{\"dtype\":\"\(code(tensor.dtype))\",\"shape\":[\(sizes)],\"data_offsets\":[\(offset),\(offset + bytes)]}"
            offset += bytes
        }
        header += "}"
        while header.utf8.count % 8 != 0 { header += " " }
        let file = try NewFile(path)
        try file.write(withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) })
        try file.write(Array(header.utf8))
        for (_, tensor) in tensors { try tensor.withBytes { (bytes) throws(TensorError) in try file.write(bytes) } }
        try file.publish()
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    static func code(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "F32"
        case .float64: "F64"
        case .int32: "I32"
        case .int64: "I64"
        case .uint8: "U8"
        case .bool: "BOOL"
        case .bfloat16: "BF16"
        case .float16: "F16"
        }
    }
}

/// The header's own small part of JSON, read strictly: no name twice, no nesting but the format's own, whole numbers only.
///
/// It reads memory that its caller keeps mapped.
private struct HeaderReader {
    enum Fault: Error {
        case malformed(String)
        case tooMany(Int)
    }

    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func read(limit: Int, into entries: inout [Safetensors.Entry], _ metadata: inout [String: String]) throws(Fault) {
        guard bytes[0] == UInt8(ascii: "{") else { throw .malformed("the header doesn't begin with '{'") }
        var names: Set<String> = []
        try object { reader, name throws(Fault) in
            guard names.insert(name).inserted else { throw .malformed("the name '\(name)' comes twice") }
            if name == "__metadata__" {
                var found: [String: String] = [:]
                try reader.object { reader, key throws(Fault) in
                    guard found[key] == nil else { throw .malformed("the metadata name '\(key)' comes twice") }
                    found[key] = try reader.string()
                }
                metadata = found
                return
            }
            guard entries.count < limit else { throw .tooMany(entries.count + 1) }
            entries.append(try reader.entry(name))
        }
        skipSpace()
        guard at == bytes.count else { throw .malformed("the header goes on after its end") }
    }

    private mutating func entry(_ name: String) throws(Fault) -> Safetensors.Entry {
        var dtype: DType?, sizes: [Int]?, offsets: [Int]?
        try object { reader, key throws(Fault) in
            switch key {
            case "dtype" where dtype == nil:
                let code = try reader.string()
                dtype = DType.allCases.first { Safetensors.code($0) == code }
                guard dtype != nil else { throw .malformed("'\(name)' holds numbers of the unknown kind '\(code)'") }
            case "shape" where sizes == nil: sizes = try reader.numbers(atMost: Shape.maximumRank)
            case "data_offsets" where offsets == nil: offsets = try reader.numbers(atMost: 2)
            default: throw .malformed("'\(name)' has an unknown or repeated member '\(key)'")
            }
        }
        guard let dtype, let sizes, let offsets, offsets.count == 2 else { throw .malformed("'\(name)' lacks dtype, shape or two data_offsets") }
        guard offsets[0] <= offsets[1] else { throw .malformed("'\(name)' ends before it begins") }
        guard let count = try? Shape(checking: sizes).elementCount(), count * dtype.width == offsets[1] - offsets[0] else {
            throw .malformed("'\(name)' of \(dtype)\(sizes) doesn't fill bytes \(offsets[0])..<\(offsets[1])")
        }
        return Safetensors.Entry(name: name, dtype: dtype, shape: Shape(sizes), bytes: offsets[0]..<offsets[1])
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0a || bytes[at] == 0x0d || bytes[at] == 0x09 { at += 1 }
    }

    private mutating func take(_ character: UInt8) -> Bool {
        skipSpace()
        guard at < bytes.count, bytes[at] == character else { return false }
        at += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(Fault) {
        guard take(UInt8(ascii: character)) else { throw .malformed("byte \(at) of the header should be '\(character)'") }
    }

    private mutating func object(_ member: (inout HeaderReader, String) throws(Fault) -> Void) throws(Fault) {
        try expect("{")
        if take(UInt8(ascii: "}")) { return }
        repeat {
            let name = try string()
            try expect(":")
            try member(&self, name)
        } while take(UInt8(ascii: ","))
        try expect("}")
    }

    private mutating func numbers(atMost limit: Int) throws(Fault) -> [Int] {
        try expect("[")
        if take(UInt8(ascii: "]")) { return [] }
        var result: [Int] = []
        repeat {
            guard result.count < limit else { throw .malformed("a list at byte \(at) is longer than \(limit)") }
            result.append(try number())
        } while take(UInt8(ascii: ","))
        try expect("]")
        return result
    }

    private mutating func number() throws(Fault) -> Int {
        skipSpace()
        let start = at
        var value = 0
        while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, carried) = tens.addingReportingOverflow(Int(bytes[at]) - 0x30)
            guard !overflow, !carried else { throw .malformed("the number at byte \(start) is too large") }
            value = next
            at += 1
        }
        guard at > start else { throw .malformed("byte \(at) of the header should be a whole number from 0 up") }
        return value
    }

    private mutating func string() throws(Fault) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else { throw .malformed("text before byte \(at) isn't UTF-8") }
                return result
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw .malformed("a control character at byte \(at) of the header")
            default: text.append(byte)
            }
        }
        throw .malformed("text that doesn't end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(Fault) {
        guard at < bytes.count else { throw .malformed("text that doesn't end") }
        let byte = bytes[at]
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"):
            var code = try unit()
            if (0xd800..<0xdc00).contains(code) {
                guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                    throw .malformed("half a surrogate pair at byte \(at)")
                }
                at += 2
                let low = try unit()
                guard (0xdc00..<0xe000).contains(low) else { throw .malformed("half a surrogate pair at byte \(at)") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw .malformed("half a surrogate pair at byte \(at)") }
            text.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw .malformed("an unknown escape at byte \(at)")
        }
    }

    private mutating func unit() throws(Fault) -> UInt32 {
        guard at + 4 <= bytes.count else { throw .malformed("text that doesn't end") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue else { throw .malformed("a bad \\u escape at byte \(at)") }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
