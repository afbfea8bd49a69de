internal import CCrypto

/// SHA-256 of content: what names a blob, and what decides the side of an item in a split.
struct Digest: Hashable, Sendable {
    private let bytes: [UInt8]

    init(of content: some Collection<UInt8>) {
        let content = Array(content)
        bytes = [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { buffer, count in
            var length: UInt32 = 0
            let done = EVP_Digest(content, content.count, buffer.baseAddress, &length, EVP_sha256(), nil)
            precondition(done == 1 && length == 32, "libcrypto has SHA-256")
            count = Int(length)
        }
    }

    var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The first eight bytes, big-endian.
    var splitHash: Int64 { Int64(bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } >> 1) }
}
