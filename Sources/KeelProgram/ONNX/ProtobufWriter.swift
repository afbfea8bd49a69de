package import Keel

/// A protobuf message as it is written: pieces of bytes, and tensors whose bytes are copied when the file is.
///
/// - Source: https://protobuf.dev/programming-guides/encoding
package struct ProtobufWriter {
    enum Piece {
        case bytes([UInt8])
        case numbers(Tensor)
    }

    private(set) var pieces: [Piece] = []
    /// Bytes in all.
    package private(set) var count = 0

    package init() {}

    private mutating func append(_ bytes: some Sequence<UInt8>) {
        var own: [UInt8] = []
        if case .bytes(let last) = pieces.last {
            own = last
            pieces.removeLast()
        }
        let before = own.count
        own.append(contentsOf: bytes)
        count += own.count - before
        pieces.append(.bytes(own))
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value, bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(bytes + [UInt8(rest)])
    }

    private mutating func key(_ field: Int, _ type: ProtobufReader.WireType) { varint(UInt64(field << 3 | type.rawValue)) }

    package mutating func int(_ field: Int, _ value: Int64) {
        key(field, .varint)
        varint(UInt64(bitPattern: value))
    }

    package mutating func float(_ field: Int, _ value: Float) {
        key(field, .fixed32)
        append(withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) })
    }

    package mutating func bytes(_ field: Int, _ bytes: [UInt8]) {
        key(field, .bytes)
        varint(UInt64(bytes.count))
        append(bytes)
    }

    package mutating func text(_ field: Int, _ text: String) { bytes(field, Array(text.utf8)) }

    /// A tensor's elements as they lie in row-major order.
    package mutating func numbers(_ field: Int, _ tensor: Tensor) {
        let size = tensor.count * tensor.dtype.width
        key(field, .bytes)
        varint(UInt64(size))
        pieces.append(.numbers(tensor))
        count += size
    }

    /// Whole numbers, packed.
    package mutating func ints(_ field: Int, _ numbers: [Int64]) {
        var packed: [UInt8] = []
        packed.reserveCapacity(2 * numbers.count)
        for number in numbers {
            var rest = UInt64(bitPattern: number)
            while rest >= 0x80 {
                packed.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            packed.append(UInt8(rest))
        }
        bytes(field, packed)
    }

    package mutating func floats(_ field: Int, _ numbers: [Float]) {
        bytes(field, numbers.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } })
    }

    package mutating func message(_ field: Int, _ fill: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        fill(&inner)
        add(field, inner)
    }

    private mutating func add(_ field: Int, _ inner: ProtobufWriter) {
        key(field, .bytes)
        varint(UInt64(inner.count))
        for piece in inner.pieces {
            switch piece {
            case .bytes(let bytes): append(bytes)
            case .numbers(let tensor):
                pieces.append(piece)
                count += tensor.count * tensor.dtype.width
            }
        }
    }

    /// All bytes, in order.
    package func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        for piece in pieces {
            switch piece {
            case .bytes(let bytes): try bytes.withUnsafeBytes(body)
            case .numbers(let tensor):
                let done = try tensor.withBytes { (bytes) throws(TensorError) in Result { try body(bytes) } }
                try done.get()
            }
        }
    }

    package func allBytes() throws -> [UInt8] {
        var all: [UInt8] = []
        all.reserveCapacity(count)
        try forEachPiece { all.append(contentsOf: $0) }
        return all
    }
}
