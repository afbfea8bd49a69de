internal import CArchive
internal import Foundation

/// An open archive, read by position. Reading changes nothing, so threads may share it.
package final class ArchiveFile: Sendable {
    private let descriptor: Int32
    let count: Int

    init(path: String) throws(ArchiveError) {
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw .unreadable(reason: String(cString: strerror(errno))) }
        var status = stat()
        guard fstat(opened, &status) == 0 else {
            close(opened)
            throw .unreadable(reason: "its size is unknown")
        }
        descriptor = opened
        count = Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// Exactly `length` bytes from `offset` on.
    ///
    /// - Errors: `ArchiveError.corrupt` when the file ends before.
    func read(_ offset: Int, _ length: Int) throws(ArchiveError) -> [UInt8] {
        var failure: ArchiveError?
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
            while initialized < length {
                let rest = UnsafeMutableRawBufferPointer(buffer)[initialized...]
                let got = pread(descriptor, UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress, rest.count, offset + initialized)
                if got < 0 && errno == EINTR { continue }
                guard got > 0 else {
                    failure =
                        got == 0
                        ? .corrupt(entry: nil, reason: "it ends early") : .unreadable(reason: String(cString: strerror(errno)))
                    return
                }
                initialized += got
            }
        }
        if let failure { throw failure }
        return bytes
    }
}

extension ZipArchive {
    /// Inflates an entry, piece by piece.
    ///
    /// libarchive is handed a local header written here from the checked directory, then the entry's data: so it can
    /// believe nothing else, and it compares sizes and CRC-32 for us. More bytes than the directory declares end it.
    /// - Errors: `ArchiveError.corrupt`; what `body` throws.
    package func read(_ entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let feed = EntryFeed(file: file, entry: entry)
        guard let reader = archive_read_new() else { throw ArchiveError.unreadable(reason: "not enough memory") }
        defer { archive_read_free(reader) }
        func check(_ result: Int32) throws {
            guard result != ARCHIVE_OK else { return }
            if let failure = feed.failure { throw failure }
            throw ArchiveError.corrupt(
                entry: entry.name, reason: archive_error_string(reader).map { String(cString: $0) } ?? "it can't be read")
        }
        try check(archive_read_support_format_zip_streamable(reader))
        try withExtendedLifetime(feed) {
            let opened = archive_read_open(
                reader, Unmanaged.passUnretained(feed).toOpaque(), nil,
                { _, context, place in
                    guard let context else { return -1 }
                    return Unmanaged<EntryFeed>.fromOpaque(context).takeUnretainedValue().next(place)
                }, nil)
            try check(opened)
            var header: OpaquePointer?
            try check(archive_read_next_header(reader, &header))
            var total = 0
            var piece = [UInt8](repeating: 0, count: min(1 << 18, max(entry.size, 1)))
            while true {
                let got = archive_read_data(reader, &piece, piece.count)
                if got < 0 { try check(Int32(got)) }
                if got == 0 { break }
                total += got
                guard total <= entry.size else {
                    throw ArchiveError.corrupt(entry: entry.name, reason: "it unpacks to more than the \(entry.size) bytes it declares")
                }
                try piece.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<got])) }
            }
            guard total == entry.size else {
                throw ArchiveError.corrupt(
                    entry: entry.name, reason: "it unpacks to \(total) bytes instead of the \(entry.size) it declares")
            }
        }
    }

    /// All bytes of an entry; at most as many as the archive may have in all.
    package func contents(of entry: Entry) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(entry.size)
        try read(entry) { bytes.append(contentsOf: $0) }
        return bytes
    }
}

/// What libarchive reads of one entry: the header that we write, then its data. Used by the one call that made it.
private final class EntryFeed {
    private let file: ArchiveFile
    private var offset, left: Int
    private var piece: [UInt8]
    private var isHeaderDue = true
    private(set) var failure: ArchiveError?
    private let buffer: UnsafeMutableRawBufferPointer

    init(file: ArchiveFile, entry: ZipArchive.Entry) {
        self.file = file
        (offset, left) = (entry.dataOffset, entry.compressedSize)
        piece = localHeader(entry)
        buffer = .allocate(byteCount: 1 << 16, alignment: 16)
    }

    deinit { buffer.deallocate() }

    /// Points `place` at the next bytes and says how many there are.
    func next(_ place: UnsafeMutablePointer<UnsafeRawPointer?>?) -> Int {
        if !isHeaderDue {
            do throws(ArchiveError) {
                piece = try file.read(offset, min(left, buffer.count))
            } catch {
                failure = error
                return -1
            }
            offset += piece.count
            left -= piece.count
        }
        isHeaderDue = false
        buffer.copyBytes(from: piece)
        place?.pointee = UnsafeRawPointer(buffer.baseAddress)
        return piece.count
    }
}

private func localHeader(_ entry: ZipArchive.Entry) -> [UInt8] {
    func bytes(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
    let name = Array("entry".utf8)
    return bytes(UInt32(0x0403_4B50)) + bytes(UInt16(20)) + bytes(UInt16(0)) + bytes(entry.method) + bytes(UInt32(0))
        + bytes(entry.checksum) + bytes(UInt32(truncatingIfNeeded: entry.compressedSize))
        + bytes(UInt32(truncatingIfNeeded: entry.size)) + bytes(UInt16(name.count)) + bytes(UInt16(0)) + name
}
