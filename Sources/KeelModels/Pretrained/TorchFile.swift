package import Keel

/// The tensors of a file that `torch.save` wrote in its older form: pickles that say what lies where, then the storages' bytes.
///
/// A pickle is a program. Of its instructions only those are known here that a dictionary of tensors needs; they build values and call nothing.
/// Any other instruction, and the name of anything else than a tensor's own parts, is refused. Work and memory are bounded by the file's size.
package struct TorchFile {
    private struct Entry {
        let storage: String
        let offset: Int
        let sizes, strides: [Int]
    }

    private let path: String
    private let bytes: [UInt8]
    private var entries: [String: Entry] = [:]
    /// The tensors' names, in the order of the file.
    package private(set) var names: [String] = []
    private var storages: [String: (dtype: DType, bytes: Range<Int>)] = [:]

    /// - Parameter path: what errors call the file.
    /// - Throws: `TensorError.malformedFile`; `TensorError.unsafeFormat` for a pickle that does anything else than hold tensors;
    ///   `TensorError.tooManyTensors`.
    package init(_ bytes: [UInt8], path: String) throws(TensorError) {
        (self.bytes, self.path) = (bytes, path)
        var reader = PickleReader(bytes, path: path)
        guard case .text("6c fc 9c 46 f9 20 6a a8 50 19") = try reader.value() else { throw reader.malformed("it doesn't begin as torch's older files do") }
        guard case .number(1001) = try reader.value() else { throw reader.malformed("its protocol isn't 1001") }
        guard case .dictionary(let system) = try reader.value(), case .truth(true) = system["little_endian"] else {
            throw reader.malformed("its numbers aren't little-endian")
        }
        guard case .dictionary(let state) = try reader.value() else { throw reader.malformed("it holds no dictionary of tensors") }
        guard case .list(let keys) = try reader.value() else { throw reader.malformed("it doesn't list its storages") }
        guard state.pairs.count <= Safetensors.maximumTensors else {
            throw TensorError(.tooManyTensors(path: path, count: state.pairs.count, limit: Safetensors.maximumTensors))
        }
        var kinds: [String: (dtype: DType, count: Int)] = [:]
        for (name, value) in state.pairs {
            guard case .tensor(let tensor) = value else { throw reader.malformed("'\(name)' is no tensor") }
            guard entries[name] == nil else { throw reader.malformed("'\(name)' comes twice") }
            if let known = kinds[tensor.storage.key], known != (tensor.storage.dtype, tensor.storage.count) {
                throw reader.malformed("storage \(tensor.storage.key) is described in two ways")
            }
            kinds[tensor.storage.key] = (tensor.storage.dtype, tensor.storage.count)
            entries[name] = Entry(storage: tensor.storage.key, offset: tensor.offset, sizes: tensor.sizes, strides: tensor.strides)
            names.append(name)
        }
        var at = reader.at
        for key in keys.names {
            guard let (dtype, count) = kinds[key], storages[key] == nil else {
                throw reader.malformed("a storage that no tensor has, or one that comes twice")
            }
            guard bytes.count - at >= 8 else { throw reader.malformed("it ends before storage \(key)") }
            var stored: Int64 = 0
            for place in 0..<8 { stored |= Int64(bytes[at + place]) << (8 * place) }
            let (length, overflow) = count.multipliedReportingOverflow(by: dtype.width)
            guard Int(stored) == count, !overflow, length <= bytes.count - at - 8 else { throw reader.malformed("storage \(key) doesn't fit its length") }
            storages[key] = (dtype, at + 8..<at + 8 + length)
            at += 8 + length
        }
        guard at == bytes.count else { throw reader.malformed("it goes on after its last storage") }
        for name in names { try check(name) }
    }

    /// - Throws: `TensorError.malformedFile` for a tensor that isn't within its storage, or is larger than it.
    private func check(_ name: String) throws(TensorError) {
        guard let entry = entries[name], let storage = storages[entry.storage], entry.sizes.count == entry.strides.count,
            let shape = try? Shape(checking: entry.sizes), let count = try? shape.elementCount()
        else { throw TensorError(.malformedFile(path: path, "'\(name)' has no storage or no shape")) }
        let available = (storage.bytes.upperBound - storage.bytes.lowerBound) / storage.dtype.width
        var last = entry.offset
        for (size, stride) in zip(entry.sizes, entry.strides) where count > 0 {
            let (reach, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
            let (sum, carried) = last.addingReportingOverflow(reach)
            guard stride >= 0, !overflow, !carried else { throw TensorError(.malformedFile(path: path, "'\(name)' has impossible strides")) }
            last = sum
        }
        guard entry.offset >= 0, count <= available, count == 0 || last < available else {
            throw TensorError(.malformedFile(path: path, "'\(name)' reaches beyond its storage"))
        }
    }

    /// A tensor, its numbers in row-major order; nil where there is none of that name.
    package func tensor(named name: String) throws(TensorError) -> Tensor? {
        guard let entry = entries[name], let (dtype, place) = storages[entry.storage] else { return nil }
        let width = dtype.width, start = place.lowerBound
        if dtype == .bool, bytes[place].contains(where: { $0 > 1 }) {
            throw TensorError(.malformedFile(path: path, "'\(name)' holds bools that are neither 0 nor 1"))
        }
        return try Tensor(Shape(entry.sizes), dtype) { (target) throws(TensorError) in
            bytes.withUnsafeBytes { source in
                guard let to = target.baseAddress, let from = source.baseAddress else { return }
                let rowLength = entry.sizes.last ?? 1, rowStride = entry.strides.last ?? 1
                var place = [Int](repeating: 0, count: entry.sizes.count), written = 0
                while written < target.count {
                    var element = entry.offset
                    for axis in place.indices { element += place[axis] * entry.strides[axis] }
                    for column in 0..<rowLength {
                        (to + written).copyMemory(from: from + start + (element + column * rowStride) * width, byteCount: width)
                        written += width
                    }
                    var axis = place.count - 2
                    while axis >= 0 {
                        place[axis] += 1
                        if place[axis] < entry.sizes[axis] { break }
                        place[axis] = 0
                        axis -= 1
                    }
                }
            }
        }
    }
}

/// The values that a pickle of tensors is made of.
private enum PickleValue {
    case none
    case truth(Bool)
    case number(Int)
    case text(String)
    case tuple([PickleValue], depth: Int)
    case list(PickleList)
    case dictionary(PickleDictionary)
    case name(PickleName)
    case storage(TorchStorage)
    case tensor(TorchTensor)
    case mark
}

/// A list of names.
private final class PickleList {
    var names: [String] = []
}

/// A dictionary with text for keys; it may be filled after it was referred to. Its values hold no others, so that nothing is deeper than tuples are.
private final class PickleDictionary {
    var pairs: [(name: String, value: PickleValue)] = []
    subscript(_ name: String) -> PickleValue? { pairs.first { $0.name == name }?.value }
}

/// All that may be named.
private enum PickleName: Equatable {
    case orderedDictionary, rebuildTensor
    case storage(DType)

    init?(_ module: String, _ name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
        case ("torch", "FloatStorage"): self = .storage(.float32)
        case ("torch", "DoubleStorage"): self = .storage(.float64)
        case ("torch", "HalfStorage"): self = .storage(.float16)
        case ("torch", "BFloat16Storage"): self = .storage(.bfloat16)
        case ("torch", "LongStorage"): self = .storage(.int64)
        case ("torch", "IntStorage"): self = .storage(.int32)
        case ("torch", "ByteStorage"): self = .storage(.uint8)
        case ("torch", "BoolStorage"): self = .storage(.bool)
        default: return nil
        }
    }
}

private struct TorchStorage {
    let key: String
    let dtype: DType
    let count: Int
}

private struct TorchTensor {
    let storage: TorchStorage
    let offset: Int
    let sizes, strides: [Int]
}

/// Runs one pickle after the other, on a stack of values.
private struct PickleReader {
    private let bytes: [UInt8]
    private let path: String
    private(set) var at = 0
    private var stack: [PickleValue] = []
    private var memo: [Int: PickleValue] = [:]
    /// Tuples in tuples: more is no tensor's.
    private let deepest = 8
    private let most = 1_000_000

    init(_ bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    func malformed(_ what: String) -> TensorError { TensorError(.malformedFile(path: path, "\(what) (byte \(at))")) }
    private func unsafe(_ what: String) -> TensorError { TensorError(.unsafeFormat(path: path, what)) }

    private mutating func byte() throws(TensorError) -> UInt8 {
        guard at < bytes.count else { throw malformed("a pickle that doesn't end") }
        at += 1
        return bytes[at - 1]
    }

    private mutating func whole(_ width: Int) throws(TensorError) -> Int {
        var value = 0
        for place in 0..<width { value |= Int(try byte()) << (8 * place) }
        return value
    }

    private mutating func text(_ count: Int) throws(TensorError) -> String {
        guard count <= bytes.count - at else { throw malformed("text that doesn't end") }
        defer { at += count }
        guard let text = String(validating: bytes[at..<at + count], as: UTF8.self) else { throw malformed("text that isn't UTF-8") }
        return text
    }

    private mutating func line() throws(TensorError) -> String {
        guard let end = bytes[at...].prefix(256).firstIndex(of: UInt8(ascii: "\n")) else { throw malformed("a name that doesn't end") }
        defer { at = end + 1 }
        return try text(end - at)
    }

    private mutating func pop() throws(TensorError) -> PickleValue {
        guard let value = stack.popLast() else { throw malformed("a pickle that takes what it doesn't have") }
        if case .mark = value { throw malformed("a pickle that takes what it doesn't have") }
        return value
    }

    private mutating func popToMark() throws(TensorError) -> [PickleValue] {
        var values: [PickleValue] = []
        while let value = stack.popLast() {
            if case .mark = value { return values.reversed() }
            values.append(value)
        }
        throw malformed("a pickle that goes back to a mark which isn't there")
    }

    private func tuple(_ values: [PickleValue]) throws(TensorError) -> PickleValue {
        var depth = 1
        for value in values { if case .tuple(_, let inner) = value { depth = max(depth, inner + 1) } }
        guard depth <= deepest else { throw malformed("tuples deeper than \(deepest)") }
        return .tuple(values, depth: depth)
    }

    private func pairs(_ values: [PickleValue]) throws(TensorError) -> [(name: String, value: PickleValue)] {
        guard values.count % 2 == 0 else { throw malformed("a name without a value") }
        var pairs: [(name: String, value: PickleValue)] = []
        for place in stride(from: 0, to: values.count, by: 2) {
            guard case .text(let name) = values[place] else { throw malformed("a name that isn't text") }
            switch values[place + 1] {
            case .tensor, .truth, .number, .text: pairs.append((name, values[place + 1]))
            default: pairs.append((name, .none))  // what modules note of themselves
            }
        }
        return pairs
    }

    /// The value of the next pickle.
    mutating func value() throws(TensorError) -> PickleValue {
        (stack, memo) = ([], [:])
        guard try byte() == 0x80, try byte() == 2 else { throw malformed("a pickle of another protocol than 2") }
        while true {
            guard stack.count < most, memo.count < most else { throw malformed("a pickle of more than \(most) values at once") }
            let code = try byte()
            switch code {
            case UInt8(ascii: "."): return try pop()
            case UInt8(ascii: "("): stack.append(.mark)
            case UInt8(ascii: "N"): stack.append(.none)
            case 0x88: stack.append(.truth(true))
            case 0x89: stack.append(.truth(false))
            case UInt8(ascii: "K"): stack.append(.number(try whole(1)))
            case UInt8(ascii: "M"): stack.append(.number(try whole(2)))
            case UInt8(ascii: "J"): stack.append(.number(Int(Int32(truncatingIfNeeded: try whole(4)))))
            case 0x8a: stack.append(try long())
            case UInt8(ascii: "X"): stack.append(.text(try text(try whole(4))))
            case UInt8(ascii: "}"): stack.append(.dictionary(PickleDictionary()))
            case UInt8(ascii: "]"): stack.append(.list(PickleList()))
            case UInt8(ascii: ")"): stack.append(try tuple([]))
            case 0x85: stack.append(try tuple([pop()]))
            case 0x86:
                let last = try pop()
                stack.append(try tuple([pop(), last]))
            case 0x87:
                let last = try pop(), middle = try pop()
                stack.append(try tuple([pop(), middle, last]))
            case UInt8(ascii: "t"): stack.append(try tuple(popToMark()))
            case UInt8(ascii: "q"): try remember(at: whole(1))
            case UInt8(ascii: "r"): try remember(at: whole(4))
            case UInt8(ascii: "h"): try recall(whole(1))
            case UInt8(ascii: "j"): try recall(whole(4))
            case UInt8(ascii: "e"):
                let values = try popToMark()
                guard case .list(let list)? = stack.last else { throw malformed("members of something else than a list") }
                for value in values {
                    guard case .text(let name) = value else { throw malformed("a list of something else than names") }
                    list.names.append(name)
                }
            case UInt8(ascii: "s"):
                let value = try pop(), name = try pop()
                try fill([name, value])
            case UInt8(ascii: "u"): try fill(popToMark())
            case UInt8(ascii: "c"):
                let (module, name) = (try line(), try line())
                guard let known = PickleName(module, name) else { throw unsafe("its pickle names \(module).\(name), which is no part of a tensor") }
                stack.append(.name(known))
            case UInt8(ascii: "R"): try call()
            case UInt8(ascii: "Q"): stack.append(.storage(try storage()))
            case UInt8(ascii: "b"):
                // What a state dictionary notes of itself beside its tensors.
                guard case .dictionary = try pop(), case .dictionary? = stack.last else { throw unsafe("its pickle sets the state of something else than a dictionary") }
            default: throw unsafe("its pickle has instruction 0x\(String(code, radix: 16)), which a dictionary of tensors doesn't need")
            }
        }
    }

    /// A number of up to ten bytes; one that is longer than an `Int` is its bytes as text.
    private mutating func long() throws(TensorError) -> PickleValue {
        let count = try whole(1)
        guard count <= 16 else { throw malformed("a number of \(count) bytes") }
        var digits: [UInt8] = []
        for _ in 0..<count { digits.append(try byte()) }
        guard count > 8 else {
            var value = digits.last.map { $0 >= 0x80 } ?? false ? -1 : 0
            for digit in digits.reversed() { value = value << 8 | Int(digit) }
            return .number(value)
        }
        return .text(digits.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " "))
    }

    private mutating func remember(at place: Int) throws(TensorError) {
        guard let value = stack.last else { throw malformed("a pickle that keeps what it doesn't have") }
        memo[place] = value
    }

    private mutating func recall(_ place: Int) throws(TensorError) {
        guard let value = memo[place] else { throw malformed("a pickle that refers to what it doesn't have") }
        stack.append(value)
    }

    private mutating func fill(_ values: [PickleValue]) throws(TensorError) {
        guard case .dictionary(let dictionary)? = stack.last else { throw malformed("members of something else than a dictionary") }
        dictionary.pairs += try pairs(values)
    }

    private mutating func call() throws(TensorError) {
        guard case .tuple(let arguments, _) = try pop(), case .name(let name) = try pop() else { throw unsafe("its pickle calls something else than a tensor's own parts") }
        switch name {
        case .orderedDictionary where arguments.isEmpty: stack.append(.dictionary(PickleDictionary()))
        case .rebuildTensor:
            guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .number(let offset) = arguments[1],
                case .tuple(let sizes, _) = arguments[2], case .tuple(let strides, _) = arguments[3]
            else { throw malformed("a tensor that isn't described as torch does") }
            stack.append(.tensor(TorchTensor(storage: storage, offset: offset, sizes: try numbers(sizes), strides: try numbers(strides))))
        default: throw malformed("a call that torch doesn't make")
        }
    }

    private func numbers(_ values: [PickleValue]) throws(TensorError) -> [Int] {
        var numbers: [Int] = []
        for value in values {
            guard case .number(let number) = value, number >= 0 else { throw malformed("a size that isn't a number from 0 up") }
            numbers.append(number)
        }
        guard numbers.count <= Shape.maximumRank else { throw malformed("a tensor of more than \(Shape.maximumRank) axes") }
        return numbers
    }

    /// `('storage', kind, key, location, count, view)`
    private mutating func storage() throws(TensorError) -> TorchStorage {
        guard case .tuple(let parts, _) = try pop(), parts.count >= 5, case .text("storage") = parts[0], case .name(.storage(let dtype)) = parts[1],
            case .text(let key) = parts[2], case .number(let count) = parts[4], count >= 0
        else { throw malformed("a storage that isn't described as torch does") }
        return TorchStorage(key: key, dtype: dtype, count: count)
    }
}
