public import Keel

/// What an ONNX graph computes with: a tensor with its kind, strings, or a sequence of these.
public indirect enum ONNXValue: Sendable {
    case tensor(Tensor, ElementKind)
    case strings([String], Shape)
    case sequence([ONNXValue])
    /// Rows of names, or whole numbers as text, and scores: what `ZipMap` makes.
    case maps([[(key: String, value: Float)]])
    /// An optional value that isn't there.
    case none
    /// Sizes, while a model is traced.
    case sizes(SizeExpressions)

    public init(_ tensor: Tensor) { self = .tensor(tensor, ElementKind(tensor.dtype)) }

    /// The numbers as that kind's: floats rounded to it, whole ones around the end.
    public init(_ tensor: Tensor, as kind: ElementKind) throws { self = .tensor(try kind.settled(tensor), kind) }

    public var kind: ElementKind? {
        switch self {
        case .tensor(_, let kind): kind
        case .strings: .string
        case .sizes(let sizes): sizes.kind
        default: nil
        }
    }

    public var shape: Shape? {
        switch self {
        case .tensor(let tensor, _): tensor.shape
        case .strings(_, let shape): shape
        case .sizes(let sizes): sizes.shape
        default: nil
        }
    }

    /// Bytes that it takes; of a symbolic shape, that is known when the program runs.
    var bytes: Int {
        switch self {
        case .tensor(let tensor, _): tensor.shape.sizes.map { $0.contains(0) ? 0 : $0.reduce(tensor.dtype.width, *) } ?? 0
        case .sizes(let sizes): sizes.numbers.count * 16
        case .strings(let texts, _): texts.reduce(0) { $0 + 16 + $1.utf8.count }
        case .sequence(let parts): parts.reduce(0) { $0 + $1.bytes + MemoryLayout<ONNXValue>.stride }
        case .maps(let rows): rows.reduce(0) { $0 + $1.count * 24 }
        case .none: 0
        }
    }
}

extension Shape {
    /// Elements that there are, or would be if no axis were empty: what operators compute of sizes is as large. `Int.max` where that overflows.
    var breadth: Int {
        (sizes ?? []).reduce(1) { product, size in
            let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
            return overflow ? .max : next
        }
    }

    /// False of a tensor that holds nothing and is as wide as if it held more than a value may.
    var isOfBoundedBreadth: Bool { !(sizes ?? []).contains(0) || breadth <= ONNXLimits.emptyElements }
}

extension ONNX.TensorData {
    /// Bytes that it takes as a value; 0 where its facts are no tensor's, which reading it says.
    var valueBytes: Int {
        if kind == ElementKind.string.rawValue { return strings.reduce(0) { $0 + 16 + $1.count } }
        return Self.valueBytes(of: kind, dims)
    }

    static func valueBytes(of kind: Int64, _ dims: [Int64]) -> Int {
        guard let kind = ElementKind(rawValue: kind), let count = try? Shape(checking: dims.map(Int.init)).elementCount() else { return 0 }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: kind.carrier.width)
        return overflow ? .max : bytes
    }
}

extension ONNX.SparseTensor {
    /// As `TensorData.valueBytes`, with what it is made of.
    var valueBytes: Int {
        [values.valueBytes, indices.valueBytes, ONNX.TensorData.valueBytes(of: values.kind, dims)].reduce(0) { sum, bytes in
            let (next, overflow) = sum.addingReportingOverflow(bytes)
            return overflow ? .max : next
        }
    }
}

extension ONNXValue {
    /// A tensor of a file.
    ///
    /// - Throws: `ONNXError.tensor`, `ONNXError.externalData`.
    package init(_ data: ONNX.TensorData, in external: ExternalData) throws {
        func wrong(_ what: String) -> ONNXError { .tensor(name: data.label, what) }
        guard let kind = ElementKind(rawValue: data.kind) else { throw wrong("elements of kind \(data.kind) aren't supported") }
        guard !data.isSegment else { throw wrong("is a segment of a larger one, which isn't supported") }
        for size in data.dims where size < 0 || size > ONNXLimits.axis { throw wrong("has the size \(size)") }
        let shape: Shape
        do { shape = try Shape(checking: data.dims.map(Int.init)) } catch { throw wrong("\(error)") }
        let count = try shape.elementCount()
        guard count <= Int.max / 64 - 1 else { throw wrong("its shape \(shape) holds too many elements") }
        guard shape.isOfBoundedBreadth else { throw wrong("holds nothing, and its shape \(shape) is too large") }

        if kind == .string {
            guard data.strings.count == count else { throw wrong("has \(data.strings.count) strings, its shape \(shape) holds \(count)") }
            var texts: [String] = []
            for bytes in data.strings {
                guard let text = String(validating: bytes, as: UTF8.self) else { throw wrong("holds text that isn't UTF-8") }
                texts.append(text)
            }
            self = .strings(texts, shape)
            return
        }
        guard data.isExternal || data.raw != nil else {
            self = .tensor(try Self.typed(data, kind, shape, count), kind)
            return
        }
        var file = data.file, range = data.raw
        if data.isExternal { (file, range) = try external.bytes(of: data) }
        guard let file, let range else { throw wrong("has no data") }
        let expected = (count * kind.bits + 7) / 8
        guard range.count == expected else { throw wrong("has \(range.count) bytes, its shape \(shape) of \(kind) takes \(expected)") }
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[range])
        defer { withExtendedLifetime(file) {} }
        if kind.bits == kind.carrier.width * 8 {
            if kind == .bool, bytes.contains(where: { $0 > 1 }) { throw wrong("holds bools that are neither 0 nor 1") }
            // Where they may stay as they lie, they do.
            if let mapped = file.file, let tensor = try Tensor(in: mapped, at: range, TensorSpec(shape, kind.carrier)) {
                self = .tensor(tensor, kind)
                return
            }
            self = .tensor(try Tensor(shape, kind.carrier) { (target) throws(TensorError) in target.copyMemory(from: bytes) }, kind)
            return
        }
        func load<T: FixedWidthInteger>(_ i: Int, _: T.Type) -> Int64 {
            Int64(truncatingIfNeeded: T(littleEndian: bytes.loadUnaligned(fromByteOffset: i * MemoryLayout<T>.size, as: T.self)))
        }
        let numbers: [Int64] = (0..<count).map { i in
            switch kind {
            case .int8: load(i, Int8.self)
            case .int16: load(i, Int16.self)
            case .uint16, .float16, .bfloat16: load(i, UInt16.self)
            case .uint32: load(i, UInt32.self)
            case .uint4, .float4E2M1: Int64(bytes[i / 2] >> UInt8(i % 2 * 4) & 15)
            case .int4: Int64(Int8(bitPattern: bytes[i / 2] << UInt8(4 - i % 2 * 4)) >> 4)
            case .uint2: Int64(bytes[i / 4] >> UInt8(i % 4 * 2) & 3)
            case .int2: Int64(Int8(bitPattern: bytes[i / 4] << UInt8(6 - i % 4 * 2)) >> 6)
            default: Int64(bytes[i])
            }
        }
        self = .tensor(try Self.tensor(of: numbers, kind, shape), kind)
    }

    /// Of the bits of a small float, or of whole numbers.
    private static func tensor(of numbers: [Int64], _ kind: ElementKind, _ shape: Shape) throws -> Tensor {
        if let narrow = kind.narrow { return try Tensor(numbers.map { narrow.decoded(UInt16(truncatingIfNeeded: $0)) }, shape) }
        if kind == .float8E8M0 { return try Tensor(numbers.map { $0 == 255 ? .nan : Float(sign: .plus, exponent: Int($0) - 127, significand: 1) }, shape) }
        switch kind.carrier {
        case .int32: return try Tensor(numbers.map { Int32(truncatingIfNeeded: $0) }, shape)
        case .uint8: return try Tensor(numbers.map { UInt8(truncatingIfNeeded: $0) }, shape)
        case .bool: return try Tensor(numbers.map { $0 != 0 }, shape)
        default: return try Tensor(numbers, shape)
        }
    }

    /// Of bits, as a file has them.
    static func tensor(ofBits bits: [UInt64], _ kind: ElementKind, _ shape: Shape) throws -> Tensor {
        switch kind {
        case .float32: return try Tensor(bits.map { Float(bitPattern: UInt32(truncatingIfNeeded: $0)) }, shape)
        case .float64: return try Tensor(bits.map { Double(bitPattern: $0) }, shape)
        default:
            let unused = UInt64(64 - kind.bits)
            return try tensor(of: bits.map { kind.isInteger && kind.isSigned ? Int64(bitPattern: $0 << unused) >> Int64(unused) : Int64(bitPattern: $0) }, kind, shape)
        }
    }

    /// Of the fields that hold numbers one by one.
    private static func typed(_ data: ONNX.TensorData, _ kind: ElementKind, _ shape: Shape, _ count: Int) throws -> Tensor {
        func check(_ given: Int, _ expected: Int) throws {
            guard given == expected else { throw ONNXError.tensor(name: data.label, "has \(given) elements, its shape \(shape) takes \(expected)") }
        }
        switch kind {
        case .float32:
            try check(data.floats.count, count)
            return try Tensor(data.floats, shape)
        case .float64:
            try check(data.doubles.count, count)
            return try Tensor(data.doubles, shape)
        case .int64:
            try check(data.int64s.count, count)
            return try Tensor(data.int64s, shape)
        case .uint32, .uint64:
            try check(data.uint64s.count, count)
            return try Tensor(data.uint64s, shape)
        case .uint4, .int4, .float4E2M1, .uint2, .int2:
            // A byte holds several, as in raw data.
            let each = 8 / kind.bits
            try check(data.int32s.count, (count + each - 1) / each)
            let numbers: [Int64] = (0..<count).map { i in
                let bits = data.int32s[i / each] >> Int64(i % each * kind.bits) & (1 << Int64(kind.bits) - 1)
                return kind.isInteger && kind.isSigned && bits >> Int64(kind.bits - 1) == 1 ? bits - 1 << Int64(kind.bits) : bits
            }
            return try tensor(of: numbers, kind, shape)
        default:
            try check(data.int32s.count, count)
            return try tensor(of: data.int32s, kind, shape)
        }
    }
}

extension ONNXValue {
    /// A sparse tensor of a file, dense.
    package init(_ sparse: ONNX.SparseTensor, in external: ExternalData) throws {
        let name = sparse.values.label
        guard case .tensor(let values, let kind) = try ONNXValue(sparse.values, in: external),
            case .tensor(var indices, .int64) = try ONNXValue(sparse.indices, in: external)
        else { throw ONNXError.tensor(name: name, "sparse values are numbers, and their indices int64") }
        for size in sparse.dims where size < 0 || size > ONNXLimits.axis { throw ONNXError.tensor(name: name, "has the size \(size)") }
        let shape = try Shape(checking: sparse.dims.map(Int.init)), sizes = sparse.dims.map(Int.init), count = try shape.elementCount()
        guard shape.isOfBoundedBreadth else { throw ONNXError.tensor(name: name, "holds nothing, and its shape \(shape) is too large") }
        guard count <= ONNXLimits.sparseElements else { throw ONNXError.limit(place: "tensor '\(name)'", "a sparse tensor of \(count) elements") }
        if indices.rank == 2 {
            guard try indices.shape.size(1) == sizes.count else { throw ONNXError.tensor(name: name, "has indices \(indices.shape) into \(shape)") }
            var steps = [Int64](repeating: 1, count: sizes.count)
            for axis in stride(from: sizes.count - 2, through: 0, by: -1) { steps[axis] = steps[axis + 1] * sparse.dims[axis + 1] }
            indices = try (indices * Tensor(steps)).sum([1])
        }
        guard indices.shape == values.shape, values.rank == 1 else { throw ONNXError.tensor(name: name, "has indices \(indices.shape) for values \(values.shape)") }
        let nothing = try Tensor.zeros([count], values.dtype)
        self = .tensor(try nothing.scattered(values, along: 0, at: indices).reshaped(shape), kind)
    }
}
