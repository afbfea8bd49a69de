internal import CCrypto
internal import Foundation

/// SHA-256, a piece at a time, by libcrypto (which uses the processor's instructions).
///
/// `@unchecked`: the context is this value's alone, and a value that can't be copied is used by one thread at a time.
package struct SHA256: ~Copyable, @unchecked Sendable {
    private let context: OpaquePointer

    package init() {
        guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            preconditionFailure("libcrypto has no SHA-256")
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let updated = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(updated == 1, "libcrypto failed to hash")
    }

    package consuming func finalize() -> Digest {
        var bytes = [UInt8](repeating: 0, count: Digest.byteCount)
        let finished = EVP_DigestFinal_ex(context, &bytes, nil)
        precondition(finished == 1, "libcrypto failed to hash")
        return Digest(bytes: bytes)
    }

    /// Of a file's bytes, mapped into memory.
    package static func digest(ofFile path: String) throws -> Digest {
        digest(of: try Data(contentsOf: URL(filePath: path), options: .alwaysMapped))
    }

    package static func digest(of bytes: some Sequence<UInt8>) -> Digest {
        var hash = SHA256()
        let hashed: Void? = bytes.withContiguousStorageIfAvailable { hash.update(UnsafeRawBufferPointer($0)) }
        if hashed == nil { Array(bytes).withUnsafeBytes { hash.update($0) } }
        return hash.finalize()
    }
}
