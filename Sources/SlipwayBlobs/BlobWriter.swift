import Glibc
import SlipwayDomain
import SlipwaySystem
import Synchronization

/// Bytes on their way to the store: hashed and written a mebibyte at a time by the store's threads, so that memory stays
/// constant and the caller feels a slow disk.
package actor BlobWriter {
    private static let pieceBytes = 1 << 20

    private let file: File
    private let staged: StagedFile
    private let store: BlobStore
    private var piece: [UInt8] = []
    private var hash: Hash

    package private(set) var bytes = 0

    init(_ file: File, _ staged: StagedFile, in store: BlobStore) {
        self.file = file
        self.staged = staged
        self.store = store
        hash = Hash()
    }

    /// - Errors: `BlobError.diskFull`; `SystemError`. After an error the writer is good for nothing.
    package func append(_ bytes: some Collection<UInt8> & Sendable) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            if piece.isEmpty { piece.reserveCapacity(Self.pieceBytes) }
            let part = rest.prefix(Self.pieceBytes - piece.count)
            piece.append(contentsOf: part)
            rest = rest.dropFirst(part.count)
            if piece.count == Self.pieceBytes { try await flush() }
        }
    }

    /// Syncs the file. What is staged is removed again unless it is placed.
    package func finish() async throws -> StagedBlob {
        try await flush()
        let (file, hash) = (file, hash)
        let digest = try await store.threads.run {
            try file.synchronise()
            return hash.finish()
        }
        return StagedBlob(digest: digest, bytes: bytes, file: staged)
    }

    private func flush() async throws {
        let (file, hash, store, full) = (file, hash, store, piece)
        bytes += full.count
        piece.removeAll(keepingCapacity: false)
        try await store.threads.run {
            try store.checkFreeSpace()
            try full.withUnsafeBytes { bytes in
                hash.update(bytes)
                do throws(SystemError) {
                    try file.write(bytes)
                } catch {
                    guard error.code == ENOSPC || error.code == EDQUOT else { throw error }
                    let (free, total) = try store.space()
                    throw BlobError.diskFull(freeBytes: free, totalBytes: total)
                }
            }
        }
    }
}

/// The hash of a writer, which one thread after the other works on.
private final class Hash: Sendable {
    private let state = Mutex<State>(State(hash: SHA256()))

    private struct State: ~Copyable {
        var hash: SHA256?
    }

    func update(_ bytes: UnsafeRawBufferPointer) {
        state.withLock { $0.hash?.update(bytes) }
    }

    func finish() -> Digest {
        state.withLock { state in
            guard let hash = state.hash.take() else { preconditionFailure("a blob is finished once") }
            return hash.finalize()
        }
    }
}

/// A complete and synced file that has no name in the store yet. It is removed when the last one who holds it lets go,
/// unless it was placed.
package final class StagedBlob: Sendable {
    package let digest: Digest
    package let bytes: Int
    let file: StagedFile
    var path: String { file.path }

    init(digest: Digest, bytes: Int, file: StagedFile) {
        self.digest = digest
        self.bytes = bytes
        self.file = file
    }
}

/// A file that disappears with this object, while it owns it.
final class StagedFile: Sendable {
    let path: String
    private let owned: Mutex<Bool>

    init(path: String, isOwned: Bool = true) {
        self.path = path
        owned = Mutex(isOwned)
    }

    var isOwned: Bool { owned.withLock { $0 } }
    func own() { owned.withLock { $0 = true } }
    /// From now on the file lives under another name.
    func disown() { owned.withLock { $0 = false } }

    deinit {
        // A failure leaves a file in a folder that is swept anyway.
        if isOwned { unlink(path) }
    }
}
