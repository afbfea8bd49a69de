import SlipwayDomain
import SlipwaySystem

/// An open blob. It stays readable when the blob is collected meanwhile.
package struct BlobReader: Sendable {
    private let file: File
    private let store: BlobStore

    init(_ file: File, in store: BlobStore) {
        self.file = file
        self.store = store
    }

    package func size() async throws -> Int {
        try await store.threads.run { [file] in try file.size() }
    }

    /// The bytes of a range, cut at the end of the blob.
    package func read(_ range: Range<Int>) async throws -> [UInt8] {
        try await store.threads.run { [file] in try file.bytes(in: range) }
    }

    /// The bytes of a range (all, by default) in pieces, read as they are asked for.
    package func stream(_ range: Range<Int>? = nil, pieceBytes: Int = 1 << 18) -> BlobStream {
        BlobStream(reader: self, offset: range?.lowerBound ?? 0, end: range?.upperBound ?? .max, pieceBytes: pieceBytes)
    }
}

package struct BlobStream: AsyncSequence, Sendable {
    let reader: BlobReader
    let offset: Int
    let end: Int
    let pieceBytes: Int

    package struct AsyncIterator: AsyncIteratorProtocol {
        let stream: BlobStream
        var offset: Int

        package mutating func next() async throws -> [UInt8]? {
            guard offset < stream.end else { return nil }
            let piece = try await stream.reader.read(offset..<(offset + Swift.min(stream.pieceBytes, stream.end - offset)))
            offset += piece.count
            return piece.isEmpty ? nil : piece
        }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self, offset: offset) }
}

extension File {
    func bytes(in range: Range<Int>) throws -> [UInt8] {
        let count = Swift.max(0, Swift.min(range.upperBound, try size()) - range.lowerBound)
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
            initialised = try read(into: UnsafeMutableRawBufferPointer(buffer), at: range.lowerBound)
        }
    }
}
