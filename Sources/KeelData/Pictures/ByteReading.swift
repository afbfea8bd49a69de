/// Reads numbers out of bytes from outside. Every access is checked, because an unsafe buffer's own subscript isn't
/// in an optimised build; what lies beyond the end is nil.
struct ByteReading {
    let bytes: UnsafeRawBufferPointer

    var count: Int { bytes.count }

    func byte(_ position: Int) -> UInt8? {
        position >= 0 && position < bytes.count ? bytes[position] : nil
    }

    func word(_ position: Int, bigEndian: Bool = true) -> Int? {
        guard let first = byte(position), let second = byte(position + 1) else { return nil }
        return bigEndian ? Int(first) << 8 | Int(second) : Int(second) << 8 | Int(first)
    }

    func long(_ position: Int, bigEndian: Bool = true) -> Int? {
        guard let first = word(position, bigEndian: bigEndian), let second = word(position + 2, bigEndian: bigEndian)
        else { return nil }
        return bigEndian ? first << 16 | second : second << 16 | first
    }

    func part(_ range: Range<Int>) -> ByteReading? {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else { return nil }
        return ByteReading(bytes: UnsafeRawBufferPointer(rebasing: bytes[range]))
    }

    func starts(with prefix: some Collection<UInt8>) -> Bool {
        bytes.count >= prefix.count && bytes.starts(with: prefix)
    }

    /// The first place at or after `position` that holds `value`.
    func position(of value: UInt8, from position: Int) -> Int? {
        guard position >= 0, position < bytes.count else { return nil }
        return bytes[position...].firstIndex(of: value)
    }
}
