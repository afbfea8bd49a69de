import Foundation
import KeelData

/// Writes zip archives, right and wrong ones, byte by byte. Entries are stored, not deflated.
struct SampleZip {
    struct Entry {
        var name: [UInt8]
        var data: [UInt8]
        var flags: UInt16 = 0
        var method: UInt16 = 0
        /// Unix type and permissions.
        var mode: UInt16 = 0o100644
        var extra: [UInt8] = []
        /// What the headers say, where it isn't the truth.
        var declaredSize: UInt32?
        var declaredChecksum: UInt32?
        var localName: [UInt8]?
        var headerOffset: UInt32?
    }

    var entries: [Entry] = []
    var declaredCount: UInt16?

    init(_ files: [(String, [UInt8])] = []) {
        for (name, data) in files { add(name, data) }
    }

    /// Adds an entry; a name that isn't ASCII is marked as UTF-8.
    mutating func add(_ name: String, _ data: [UInt8], change: (inout Entry) -> Void = { _ in }) {
        var entry = Entry(name: Array(name.utf8), data: data)
        if name.utf8.contains(where: { $0 >= 0x80 }) { entry.flags = 1 << 11 }
        change(&entry)
        entries.append(entry)
    }

    var bytes: [UInt8] {
        var file: [UInt8] = []
        var directory: [UInt8] = []
        for entry in entries {
            let offset = entry.headerOffset ?? UInt32(file.count)
            let checksum = entry.declaredChecksum ?? crc32(entry.data)
            let size = entry.declaredSize ?? UInt32(entry.data.count)
            let common =
                little(entry.flags) + little(entry.method) + little(UInt32(0)) + little(checksum)
                + little(entry.method == 0 ? size : UInt32(entry.data.count)) + little(size)
                + little(UInt16(entry.name.count)) + little(UInt16(entry.extra.count))
            file += [0x50, 0x4B, 3, 4] + little(UInt16(20)) + common + (entry.localName ?? entry.name) + entry.extra + entry.data
            directory += [0x50, 0x4B, 1, 2] + little(UInt16(0x0314)) + little(UInt16(20)) + common + little(UInt16(0))
            directory += little(UInt16(0)) + little(UInt16(0)) + little(UInt32(entry.mode) << 16) + little(offset)
            directory += entry.name + entry.extra
        }
        let count = declaredCount ?? UInt16(entries.count)
        return file + directory + [0x50, 0x4B, 5, 6] + little(UInt32(0)) + little(count) + little(count)
            + little(UInt32(directory.count)) + little(UInt32(file.count)) + little(UInt16(0))
    }
}

func little(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }

func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
        (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 0 ? 0 : 0xEDB8_8320) }
    }
}

/// A small picture that differs with the seed.
func samplePicture(_ seed: Int, width: Int = 12, height: Int = 8) -> Picture {
    Picture(
        width: width, height: height,
        pixels: (0..<3 * width * height).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed &* 31) })
}

func samplePNG(_ seed: Int) throws -> [UInt8] { try samplePicture(seed).png() }
