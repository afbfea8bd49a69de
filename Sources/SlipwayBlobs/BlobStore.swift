import Glibc
import SlipwayDomain
import SlipwaySystem

/// Bytes by their SHA-256 in a local directory.
///
/// ```
/// <directory>/ab/cd/<64 hex digits>   published: complete, synced, never changed
/// <directory>/staging/<random>        being written, or waiting to be published
/// ```
///
/// A staged file is published by `place`, inside the transaction that writes the reference to it, and removed by `remove`,
/// inside the one that deletes its row: `SlipwayStore`'s `publish` and `collect` hold the row's lock around both.
package final class BlobStore: Sendable {
    package let directory: String
    /// Below this share of free space nothing is written any more.
    package let minimumFreeShare: Double
    let threads = BlockingThreads(count: 8, name: "blobs")

    /// Files and folders that one `place` syncs by themselves before one sync of the whole file system is cheaper.
    private static let singleSyncs = 16

    /// Makes the directory where it is missing.
    package init(directory: String, minimumFreeShare: Double = 0.05) throws(SystemError) {
        self.directory = directory
        self.minimumFreeShare = minimumFreeShare
        try File.makeFolder(directory)
        try File.makeFolder(directory + "/staging")
    }

    /// Where the bytes of a published blob lie. They may be read and mapped, never written.
    package func path(of digest: Digest) -> String {
        let name = digest.description
        return "\(directory)/\(name.prefix(2))/\(name.dropFirst(2).prefix(2))/\(name)"
    }

    // MARK: Staging

    /// A file to write bytes to, in constant memory. Dropping it unfinished removes it.
    ///
    /// - Errors: `BlobError.diskFull`.
    package func stage() async throws -> BlobWriter {
        try await threads.run { [self] in
            try checkFreeSpace()
            let path = stagingPath()
            return BlobWriter(try File(path, O_WRONLY | O_CREAT | O_EXCL), StagedFile(path: path), in: self)
        }
    }

    /// Stages bytes that are already in memory.
    package func stage(_ bytes: some Collection<UInt8> & Sendable) async throws -> StagedBlob {
        let writer = try await stage()
        try await writer.append(bytes)
        return try await writer.finish()
    }

    /// Takes over files that someone else has written, such as a trainer in its job directory: each is hashed, so a producer
    /// can't smuggle other bytes under a digest, and synced. The files are moved when they are placed; one on
    /// another file system is copied to `staging/`.
    ///
    /// - Errors: `BlobError.unexpected`, and `SystemError` for what is no regular file (a link isn't followed).
    package func adopt(_ files: [(path: String, digest: Digest?)]) async throws -> [StagedBlob] {
        try await threads.run { [self] in
            try checkFreeSpace()
            let staged = try files.map { try adopt($0.path, expecting: $0.digest) }
            if staged.count > Self.singleSyncs {
                try File.synchroniseFileSystem(of: directory)
            } else {
                for blob in staged { try File(blob.path, O_RDONLY).synchronise() }
            }
            return staged
        }
    }

    package func adopt(_ path: String, digest: Digest? = nil) async throws -> StagedBlob {
        try await adopt([(path, digest)])[0]
    }

    private func adopt(_ path: String, expecting digest: Digest?) throws -> StagedBlob {
        let source = try File(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        var status = stat(), home = stat()
        guard fstat(source.descriptor, &status) == 0 else { throw SystemError("examining \(path)") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError("adopting \(path)", code: EINVAL) }
        guard stat(directory, &home) == 0 else { throw SystemError("examining \(directory)") }

        let copyPath = status.st_dev == home.st_dev ? nil : stagingPath()
        let copy = try copyPath.map { try File($0, O_WRONLY | O_CREAT | O_EXCL) }
        let staged = StagedFile(path: copyPath ?? path, isOwned: copyPath != nil)
        var hash = SHA256()
        let bytes = try Self.forEachPiece(of: source) { piece in
            hash.update(piece)
            try copy?.write(piece)
        }
        let found = hash.finalize()
        if let digest, digest != found { throw BlobError.unexpected(path: path, expected: digest, found: found) }
        if copy != nil { try File.remove(path) }
        // From here on the file is ours to remove, wherever it lies.
        staged.own()
        return StagedBlob(digest: found, bytes: bytes, file: staged)
    }

    /// Removes what an earlier life of the platform left half-written. Only for who holds the data directory's lock.
    package func clearStaging() throws {
        try removeStaged { _ in true }
    }

    private func stagingPath() -> String {
        let random = (0..<2).map { _ in UInt64.random(in: 0...UInt64.max) }
        return "\(directory)/staging/\(random.map { String($0, radix: 36) }.joined(separator: "-"))"
    }

    // MARK: Publishing and removing

    /// Gives staged files their final names, synced. Blocks; call it inside the transaction that refers to them, after
    /// the blobs' rows are locked. Placing again what is there already is harmless: equal names, equal bytes.
    package func place(_ blobs: [StagedBlob]) throws {
        var folders: Set<String> = []
        for blob in blobs {
            let target = path(of: blob.digest)
            let folder = String(target.dropLast(2 * Digest.byteCount + 1))
            if access(folder, F_OK) != 0 {
                let parent = String(folder.dropLast(3))
                if try File.makeFolder(parent) { folders.insert(directory) }
                if try File.makeFolder(folder) { folders.insert(parent) }
            }
            // A transaction that is tried again places again what it placed before.
            if !blob.file.isOwned, access(target, F_OK) == 0 { continue }
            guard chmod(blob.path, 0o440) == 0, rename(blob.path, target) == 0 else {
                throw SystemError("publishing \(blob.path) as \(target)")
            }
            blob.file.disown()
            folders.insert(folder)
        }
        if folders.count > Self.singleSyncs {
            try File.synchroniseFileSystem(of: directory)
        } else {
            for folder in folders { try File.synchroniseFolder(folder) }
        }
    }

    /// Removes published files; a missing one is as good as removed. Blocks; call it inside the transaction that deletes
    /// the blobs' rows. A crash may bring a file back, without its row: the sweep removes it again.
    package func remove(_ digests: [Digest]) throws(SystemError) {
        for digest in digests { try File.remove(path(of: digest)) }
    }

    // MARK: Reading

    /// - Errors: `BlobError.missing`.
    package func open(_ digest: Digest) async throws -> BlobReader {
        try await threads.run { [self] in BlobReader(try file(of: digest), in: self) }
    }

    /// Whether the bytes are still the ones that were stored.
    ///
    /// - Errors: `BlobError.missing`, `BlobError.corrupt`.
    package func verify(_ digest: Digest) async throws {
        try await threads.run { [self] in
            var hash = SHA256()
            _ = try Self.forEachPiece(of: try file(of: digest)) { hash.update($0) }
            let found = hash.finalize()
            if found != digest { throw BlobError.corrupt(digest, found: found) }
        }
    }

    /// All bytes of a blob, verified.
    package func contents(of digest: Digest) async throws -> [UInt8] {
        try await threads.run { [self] in
            let file = try file(of: digest)
            let bytes = try file.bytes(in: 0..<(try file.size()))
            let found = SHA256.digest(of: bytes)
            if found != digest { throw BlobError.corrupt(digest, found: found) }
            return bytes
        }
    }

    private func file(of digest: Digest) throws -> File {
        do throws(SystemError) {
            return try File(path(of: digest), O_RDONLY)
        } catch {
            throw error.code == ENOENT ? BlobError.missing(digest) : error
        }
    }

    // MARK: Space and leftovers

    /// Free bytes (for who isn't root) and all bytes of the file system.
    package func space() throws(SystemError) -> (freeBytes: Int, totalBytes: Int) {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { throw SystemError("examining the file system of \(directory)") }
        return (Int(status.f_bavail) * Int(status.f_frsize), Int(status.f_blocks) * Int(status.f_frsize))
    }

    /// - Errors: `BlobError.diskFull` when less than the minimum is free.
    package func checkFreeSpace() throws {
        let (free, total) = try space()
        guard Double(free) >= minimumFreeShare * Double(total) else {
            throw BlobError.diskFull(freeBytes: free, totalBytes: total)
        }
    }

    /// Published files that were placed at least `age` ago, a few hundred at a time, in no order. Blocks.
    package func forEachPublished(olderThan age: Duration, _ body: ([Digest]) throws -> Void) throws {
        let limit = time(nil) - Int(age.components.seconds)
        for first in 0..<256 {
            for second in try Self.names(in: directory + "/" + Self.hex(first)) {
                let folder = "\(directory)/\(Self.hex(first))/\(second)"
                let digests = try Self.names(in: folder).compactMap { name -> Digest? in
                    guard let digest = Digest(name), try Self.changeTime(of: "\(folder)/\(name)") ?? limit < limit else {
                        return nil
                    }
                    return digest
                }
                if !digests.isEmpty { try body(digests) }
            }
        }
    }

    /// Removes staged files that nobody has written to for `age`: those of a process that was killed. Blocks.
    package func removeStaged(olderThan age: Duration) throws {
        let limit = time(nil) - Int(age.components.seconds)
        try removeStaged { path in try Self.changeTime(of: path) ?? limit < limit }
    }

    private func removeStaged(where condition: (String) throws -> Bool) throws {
        for name in try Self.names(in: directory + "/staging") {
            let path = "\(directory)/staging/\(name)"
            if try condition(path) { try File.remove(path) }
        }
    }

    private static func hex(_ byte: Int) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    /// Renaming changes it too, so it tells when a file was published. Nil when the file is gone.
    private static func changeTime(of path: String) throws(SystemError) -> Int? {
        var status = stat()
        if lstat(path, &status) == 0 { return status.st_ctim.tv_sec }
        guard errno == ENOENT else { throw SystemError("examining \(path)") }
        return nil
    }

    /// Empty for a folder that doesn't exist.
    private static func names(in folder: String) throws(SystemError) -> [String] {
        guard let stream = opendir(folder) else {
            guard errno == ENOENT else { throw SystemError("listing \(folder)") }
            return []
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Reads a file from its beginning to its end; returns its size.
    private static func forEachPiece(
        of file: File, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
        defer { buffer.deallocate() }
        var offset = 0
        while true {
            let count = try file.read(into: buffer, at: offset)
            if count > 0 { try body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            offset += count
            if count < buffer.count { return offset }
        }
    }
}
