/// Builds zip archives of stored entries, also such as no well-meaning program writes.
struct ZipArchive {
    private var body: [UInt8] = []
    private var directory: [UInt8] = []
    private var count = 0

    /// Whether names are marked as UTF-8. Older Windows programs don't, and write the machine's code page.
    static let utf8: UInt16 = 1 << 11

    /// - Parameters:
    ///   - mode: the Unix mode, file type included; 0 for an archive made on Windows.
    mutating func add(name: [UInt8], _ bytes: [UInt8], flags: UInt16 = utf8, mode: UInt32 = 0o100_644) {
        let offset = body.count
        var common: [UInt8] = []
        common.append(little: UInt16(20))  // version needed
        common.append(little: flags)
        common.append(little: UInt16(0))  // stored
        common.append(little: UInt32(0x5821_0000))  // 2024-01-01 00:00
        common.append(little: crc32(bytes))
        common.append(little: UInt32(bytes.count))
        common.append(little: UInt32(bytes.count))
        common.append(little: UInt16(name.count))
        common.append(little: UInt16(0))  // extra field

        body.append(little: UInt32(0x0403_4b50))
        body += common + name + bytes

        directory.append(little: UInt32(0x0201_4b50))
        directory.append(little: UInt16(mode == 0 ? 20 : 3 << 8 | 20))
        directory += common
        directory.append(little: UInt16(0))  // comment
        directory.append(little: UInt16(0))  // disk
        directory.append(little: UInt16(0))  // internal attributes
        directory.append(little: mode << 16)
        directory.append(little: UInt32(offset))
        directory += name
        count += 1
    }

    mutating func add(_ name: String, _ bytes: [UInt8]) { add(name: Array(name.utf8), bytes) }

    /// The whole archive.
    var bytes: [UInt8] {
        var end: [UInt8] = []
        end.append(little: UInt32(0x0605_4b50))
        end.append(little: UInt32(0))  // disks
        end.append(little: UInt16(count))
        end.append(little: UInt16(count))
        end.append(little: UInt32(directory.count))
        end.append(little: UInt32(body.count))
        end.append(little: UInt16(0))  // comment
        return body + directory + end
    }
}

extension [UInt8] {
    mutating func append(little value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    mutating func append(big value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}

/// CRC-32 as zip and PNG use it.
func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { crc, byte in crcTable[Int((crc ^ UInt32(byte)) & 0xff)] ^ crc >> 8 }
}

private let crcTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
}
