internal import Foundation
package import SlipwayDomain

/// A zip archive whose central directory was checked whole: names, types, sizes, ratios, duplicates and overlaps.
///
/// Nothing is inflated here; `contents(of:)` does that, entry by entry, and trusts no size either.
/// - Source: PKWARE, *APPNOTE.TXT*, 6.3.10; Fifield, *A better zip bomb*, 2019 (overlapping entries).
package struct ZipArchive: Sendable {
    package struct Entry: Sendable, Equatable {
        /// Relative, `/` between folders, in Unicode's composed form; a label for people, never a path on this machine.
        package let name: String
        package let size: Int
        let compressedSize: Int
        let checksum: UInt32
        let method: UInt16
        let dataOffset: Int
    }

    /// The files, in the order of the directory. Folders and what systems leave behind (`__MACOSX`, `.DS_Store`,
    /// `Thumbs.db`, `desktop.ini`, hidden files) are left out; `skipped` counts the latter.
    package let entries: [Entry]
    package let skipped: Int
    let file: ArchiveFile

    /// - Errors: `ArchiveError` for the first fault.
    package init(path: String, limits: ImportLimits) throws(ArchiveError) {
        let file = try ArchiveFile(path: path)
        let directory = try Self.directory(of: file, limits: limits)
        let names = try ZipNames.decode(directory.map(\.rawName))
        var entries: [Entry] = []
        var skipped = 0
        var seen: [String: (name: String, isFolder: Bool)] = [:]
        var total = 0
        let limit = max(limits.archiveBytes, 4 * file.count)
        for (record, decoded) in zip(directory, names) {
            let isFolder = decoded.hasSuffix("/")
            let name = try checkedName(decoded)
            try record.checkKind(name)
            let folded = name.folding(options: .caseInsensitive, locale: nil).precomposedStringWithCanonicalMapping
            if let other = seen.updateValue((name, isFolder), forKey: folded), !(isFolder && other.isFolder) {
                throw .duplicate(entry: name, other: other.name)
            }
            total += record.size
            // An entry of 4 GiB or more is refused whatever the limit: its sizes don't fit the header that `read` writes.
            guard total <= limit, max(record.size, record.compressedSize) < Int(UInt32.max) else {
                throw .tooLarge(bytes: total, limit: limit)
            }
            // Small files of one colour shrink a lot and harm nobody.
            if record.size > 1 << 20, record.size / max(record.compressedSize, 1) > limits.archiveRatio {
                throw .ratio(entry: name, limit: limits.archiveRatio)
            }
            if isFolder { continue }
            if isSystemFile(name) {
                skipped += 1
                continue
            }
            if isArchiveName(name) { throw .nested(entry: name) }
            entries.append(
                Entry(
                    name: name, size: record.size, compressedSize: record.compressedSize, checksum: record.checksum,
                    method: record.method, dataOffset: record.dataOffset))
        }
        guard !entries.isEmpty else { throw .empty }
        self.entries = entries
        self.skipped = skipped
        self.file = file
    }
}

/// A name as it may be shown and used as a label. Looks at bytes and scalars: a combining mark hides no separator.
private func checkedName(_ raw: String) throws(ArchiveError) -> String {
    // Controls are shown escaped, never as they are.
    var shown = ""
    for scalar in raw.unicodeScalars.prefix(4096) {
        shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
    }
    guard raw.utf8.count <= 4096 else { throw .badName(entry: String(shown.prefix(200)) + "…", reason: "it is too long") }
    guard shown == raw else { throw .badName(entry: shown, reason: "it holds control characters") }
    let bytes = Array(raw.utf8)
    let isDrive = bytes.count >= 2 && bytes[1] == UInt8(ascii: ":") && (0x41...0x5A).contains(bytes[0] & 0xDF)
    let parts = bytes.split(separator: UInt8(ascii: "/"))
    guard bytes.first != UInt8(ascii: "/"), !bytes.contains(UInt8(ascii: "\\")), !isDrive,
        !parts.contains(where: { $0.elementsEqual("..".utf8) })
    else { throw .pathEscape(entry: raw) }
    let name = parts.filter { !$0.elementsEqual(".".utf8) }.map { String(decoding: $0, as: UTF8.self) }
        .joined(separator: "/")
    guard !name.isEmpty else { throw .badName(entry: raw, reason: "it is empty") }
    return name
}

private func isSystemFile(_ name: String) -> Bool {
    let parts = name.split(separator: "/")
    return parts.contains { $0.utf8.first == UInt8(ascii: ".") || $0 == "__MACOSX" }
        || ["thumbs.db", "ehthumbs.db", "desktop.ini"].contains(parts.last?.lowercased())
}

private func isArchiveName(_ name: String) -> Bool {
    let lower = name.lowercased()
    return [".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst"].contains { lower.hasSuffix($0) }
}

// MARK: - Central directory

/// One record of the central directory, with the place of its data.
private struct DirectoryRecord {
    /// The name's bytes as the local header repeats them, and those that say the name best.
    var storedName: [UInt8]
    var rawName: ZipNames.Raw
    var flags, method: UInt16
    var checksum: UInt32
    var size, compressedSize, headerOffset: Int
    var externalAttributes: UInt32
    var dataOffset = 0

    /// Refuses what isn't a plain file or folder that can be read.
    func checkKind(_ name: String) throws(ArchiveError) {
        // Unix's type bits, whatever system the record claims to be from.
        switch externalAttributes >> 28 {
        case 0, 0o04, 0o10: break
        case 0o12: throw .link(entry: name)
        default: throw .special(entry: name)
        }
        let encrypted: UInt16 = 1 << 0 | 1 << 6 | 1 << 13
        guard flags & encrypted == 0 else { throw .encrypted(entry: name) }
        guard method == 0 || method == 8 else { throw .unsupportedMethod(entry: name, method: Int(method)) }
        guard method == 8 || size == compressedSize, size == 0 || compressedSize > 0 else {
            throw .corrupt(entry: name, reason: "its two sizes contradict each other")
        }
    }
}

extension ZipArchive {
    private static let maximumDirectoryBytes = 64 << 20

    private static func directory(
        of file: ArchiveFile, limits: ImportLimits
    ) throws(ArchiveError) -> [DirectoryRecord] {
        let (start, bytes, count) = try place(of: file, limits: limits)
        guard count <= limits.archiveEntries else { throw .tooManyEntries(count: count, limit: limits.archiveEntries) }
        guard bytes <= maximumDirectoryBytes else { throw .corrupt(entry: nil, reason: "its directory is too large") }
        let directory = LittleEndian(try file.read(start, bytes))
        var records: [DirectoryRecord] = []
        var position = 0
        while position < bytes {
            guard directory.long(position) == 0x0201_4B50, let record = DirectoryRecord(directory, at: &position) else {
                throw .corrupt(entry: nil, reason: "its directory isn't whole")
            }
            records.append(record)
            guard records.count <= count else { break }
        }
        guard records.count == count else {
            throw .corrupt(entry: nil, reason: "its directory doesn't have the \(count) entries that it declares")
        }
        // Data lies between headers, before the directory, and belongs to one entry only.
        var end = start
        for index in records.indices.sorted(by: { records[$0].headerOffset > records[$1].headerOffset }) {
            let name = ZipNames.printable(records[index].rawName.bytes)
            records[index].dataOffset = try checkedDataOffset(records[index], name, in: file)
            let (dataEnd, overflow) = records[index].dataOffset.addingReportingOverflow(records[index].compressedSize)
            guard !overflow, dataEnd <= end else {
                throw .corrupt(entry: name, reason: "its data overlaps what follows")
            }
            end = records[index].headerOffset
        }
        return records
    }

    /// Where the central directory is, and how many entries it declares.
    private static func place(
        of file: ArchiveFile, limits: ImportLimits
    ) throws(ArchiveError) -> (start: Int, bytes: Int, count: Int) {
        let head = try file.read(0, min(file.count, 512))
        if file.count < 22 || !head.starts(with: [0x50, 0x4B]) {
            guard !head.isEmpty else { throw .empty }
            if isTar(head) { throw try refusal(ofTar: file, limits: limits) }
            if let other = foreignArchive(head) { throw .notZip(found: other) }
            guard head.starts(with: [0x50, 0x4B]) else { throw .notZip(found: "not an archive") }
            throw .corrupt(entry: nil, reason: "it ends within its first entry")
        }
        // The end record is 22 bytes and a comment of up to 65,535; the comment reaches exactly to the end.
        let tailStart = max(0, file.count - 22 - 65_535)
        let tail = LittleEndian(try file.read(tailStart, file.count - tailStart))
        guard
            let end = stride(from: tail.count - 22, through: 0, by: -1).first(where: {
                tail.long($0) == 0x0605_4B50 && tail.word($0 + 20).map { Int($0) } == tail.count - $0 - 22
            }), let disk = tail.word(end + 4), let count = tail.word(end + 10), let bytes = tail.long(end + 12),
            let start = tail.long(end + 16)
        else { throw .corrupt(entry: nil, reason: "it has no directory at its end, so the upload may have been cut") }
        var place = (start: Int(start), bytes: Int(bytes), count: Int(count))
        var limit = tailStart + end
        if count == .max || bytes == .max || start == .max {
            // Zip64: a locator of 20 bytes stands in front and points at the larger record.
            guard limit >= 20 else { throw .corrupt(entry: nil, reason: "its zip64 locator is missing") }
            let locator = LittleEndian(try file.read(limit - 20, 20))
            guard locator.long(0) == 0x0706_4B50, let at = locator.size(8), at <= limit - 20 - 56 else {
                throw .corrupt(entry: nil, reason: "its zip64 locator is missing")
            }
            let record = LittleEndian(try file.read(at, 56))
            guard record.long(0) == 0x0606_4B50, let count = record.size(32), let bytes = record.size(40),
                let start = record.size(48)
            else { throw .corrupt(entry: nil, reason: "its zip64 record is damaged") }
            place = (start, bytes, count)
            limit = at
        }
        guard disk == 0 || disk == .max else { throw .corrupt(entry: nil, reason: "it is one part of a split archive") }
        guard place.start <= limit, place.bytes <= limit - place.start else {
            throw .corrupt(entry: nil, reason: "its directory lies outside the file")
        }
        return place
    }

    /// The place of an entry's data, after its local header was compared with the directory.
    private static func checkedDataOffset(
        _ record: DirectoryRecord, _ name: String, in file: ArchiveFile
    ) throws(ArchiveError) -> Int {
        let damaged = ArchiveError.corrupt(entry: name, reason: "its header and the directory contradict each other")
        guard record.headerOffset <= file.count - 30 else { throw damaged }
        let header = LittleEndian(try file.read(record.headerOffset, 30))
        guard header.long(0) == 0x0403_4B50, let flags = header.word(6), let method = header.word(8),
            let checksum = header.long(14), let compressed = header.long(18), let size = header.long(22),
            let nameBytes = header.word(26), let extraBytes = header.word(28),
            flags & 1 == record.flags & 1, method == record.method, Int(nameBytes) == record.storedName.count
        else { throw damaged }
        let nameOffset = record.headerOffset + 30
        let dataOffset = nameOffset + Int(nameBytes) + Int(extraBytes)
        guard dataOffset <= file.count, try file.read(nameOffset, Int(nameBytes)) == record.storedName else { throw damaged }
        // Bit 3: the sizes follow the data, and the header has zeros. All ones: they are in a zip64 field.
        let followsData = flags & 8 != 0
        func agrees(_ local: UInt32, _ central: Int) -> Bool {
            (followsData && local == 0) || local == .max || Int(local) == central
        }
        guard (followsData && checksum == 0) || checksum == record.checksum, agrees(size, record.size),
            agrees(compressed, record.compressedSize)
        else { throw damaged }
        return dataOffset
    }

    private static func isTar(_ head: [UInt8]) -> Bool {
        head.count > 262 && head[257..<262].elementsEqual("ustar".utf8)
    }

    /// A tar isn't taken at all, but one with links or devices in it is called what it is.
    private static func refusal(ofTar file: ArchiveFile, limits: ImportLimits) throws(ArchiveError) -> ArchiveError {
        var position = 0
        for _ in 0..<limits.archiveEntries where position <= file.count - 512 {
            let header = try file.read(position, 512)
            guard isTar(header) else { break }
            let name = ZipNames.printable(Array(header[..<100].prefix { $0 != 0 }))
            switch header[156] {
            case UInt8(ascii: "1"), UInt8(ascii: "2"): return .link(entry: name)
            case UInt8(ascii: "3"), UInt8(ascii: "4"), UInt8(ascii: "6"): return .special(entry: name)
            default: break
            }
            let digits = String(decoding: header[124..<135].prefix { (0x30...0x37).contains($0) }, as: UTF8.self)
            position += 512 + ((Int(digits, radix: 8) ?? 0) + 511) / 512 * 512
        }
        return .notZip(found: "a tar archive")
    }

    /// The kind of an archive that isn't a zip.
    private static func foreignArchive(_ head: [UInt8]) -> String? {
        let starts: [(String, [UInt8])] = [
            ("a gzip file", [0x1F, 0x8B]), ("a 7z archive", [0x37, 0x7A, 0xBC, 0xAF]), ("a RAR archive", Array("Rar!".utf8)),
            ("an xz file", [0xFD, 0x37, 0x7A, 0x58]), ("a bzip2 file", Array("BZh".utf8)),
            ("a PNG picture", [0x89, 0x50, 0x4E, 0x47]), ("a JPEG picture", [0xFF, 0xD8, 0xFF]),
            ("a PDF document", Array("%PDF".utf8)),
        ]
        return starts.first { head.starts(with: $0.1) }?.0
    }
}

extension DirectoryRecord {
    /// Reads the record at `position` and moves behind it; nil when it isn't whole.
    fileprivate init?(_ directory: LittleEndian, at position: inout Int) {
        guard let flags = directory.word(position + 8), let method = directory.word(position + 10),
            let checksum = directory.long(position + 16), let compressed = directory.long(position + 20),
            let size = directory.long(position + 24), let nameBytes = directory.word(position + 28),
            let extraBytes = directory.word(position + 30), let commentBytes = directory.word(position + 32),
            let attributes = directory.long(position + 38), let offset = directory.long(position + 42),
            let name = directory.bytes(position + 46, Int(nameBytes)),
            let extra = directory.bytes(position + 46 + Int(nameBytes), Int(extraBytes)),
            directory.count - position - 46 - Int(nameBytes) - Int(extraBytes) >= Int(commentBytes)
        else { return nil }
        position += 46 + Int(nameBytes) + Int(extraBytes) + Int(commentBytes)
        self.flags = flags
        self.method = method
        self.checksum = checksum
        externalAttributes = attributes
        storedName = name
        rawName = ZipNames.Raw(bytes: name, isMarkedUTF8: flags & 1 << 11 != 0)
        (self.size, compressedSize, headerOffset) = (Int(size), Int(compressed), Int(offset))
        let fields = LittleEndian(extra)
        var at = 0
        while let id = fields.word(at), let length = fields.word(at + 2), let body = fields.bytes(at + 4, Int(length)) {
            at += 4 + Int(length)
            let body = LittleEndian(body)
            switch id {
            case 0x0001:  // zip64: those of the three values that are all ones above, in this order
                var next = 0
                func large(_ value: inout Int) -> Bool {
                    guard value == Int(UInt32.max) else { return true }
                    guard let real = body.size(next) else { return false }
                    next += 8
                    value = real
                    return true
                }
                guard large(&self.size), large(&compressedSize), large(&headerOffset) else { return nil }
            case 0x7075:  // Info-ZIP's Unicode name, valid only for the name whose checksum it carries
                guard body.bytes(0, 1) == [1], body.long(1) == crc32(name), let unicode = body.bytes(5, body.count - 5)
                else { continue }
                rawName = ZipNames.Raw(bytes: unicode, isMarkedUTF8: true)
            default: break
            }
        }
    }
}

/// - Source: ISO 3309; short inputs only, so one bit at a time.
private func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
        (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 0 ? 0 : 0xEDB8_8320) }
    }
}

/// Little-endian numbers in bytes from outside; nil beyond the end.
private struct LittleEndian {
    private let storage: [UInt8]

    init(_ bytes: [UInt8]) { storage = bytes }

    var count: Int { storage.count }

    func bytes(_ position: Int, _ length: Int) -> [UInt8]? {
        guard position >= 0, length >= 0, position <= count - length else { return nil }
        return Array(storage[position..<position + length])
    }

    private func number<Number: FixedWidthInteger>(_ position: Int, as: Number.Type) -> Number? {
        let length = Number.bitWidth / 8
        guard position >= 0, position <= count - length else { return nil }
        return storage[position..<position + length].reversed().reduce(0) { $0 << 8 | Number($1) }
    }

    func word(_ position: Int) -> UInt16? { number(position, as: UInt16.self) }
    func long(_ position: Int) -> UInt32? { number(position, as: UInt32.self) }
    /// A 64-bit size; nil when it has no use as one.
    func size(_ position: Int) -> Int? { number(position, as: UInt64.self).flatMap { Int(exactly: $0) } }
}
