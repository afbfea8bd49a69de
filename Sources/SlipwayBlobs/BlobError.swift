import SlipwayDomain

package enum BlobError: Error, Hashable, CustomStringConvertible {
    /// The store holds no such bytes.
    case missing(Digest)
    /// The bytes under this name aren't the ones that were stored.
    case corrupt(Digest, found: Digest)
    /// A file that was to be adopted isn't what its producer said.
    case unexpected(path: String, expected: Digest, found: Digest)
    /// Writing would fill the file system: HTTP's 507.
    case diskFull(freeBytes: Int, totalBytes: Int)

    package var description: String {
        switch self {
        case .missing(let digest): "blob \(digest) is missing"
        case .corrupt(let digest, let found): "blob \(digest) is corrupt: its bytes have the digest \(found)"
        case .unexpected(let path, let expected, let found): "\(path) should have the digest \(expected), but has \(found)"
        case .diskFull(let free, let total): "the object store has \(free) of \(total) bytes free"
        }
    }
}
