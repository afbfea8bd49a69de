internal import CCrypto
package import Keel

extension MappedFile {
    /// The SHA-256 of its bytes, in hexadecimal digits.
    package var sha256: String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE)), length: UInt32 = 0
        let isDone = EVP_Digest(bytes.baseAddress, bytes.count, &digest, &length, EVP_sha256(), nil)
        precondition(isDone == 1 && length == 32, "libcrypto failed to hash")
        return digest[..<32].map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
