internal import Foundation

/// How text is written in bytes.
public enum TextEncoding: String, Sendable, CaseIterable {
    case utf8 = "utf-8"
    case utf16LittleEndian = "utf-16le"
    case utf16BigEndian = "utf-16be"
    /// Covers GBK and GB2312.
    case gb18030
    case windows1252 = "windows-1252"

    /// The encoding that a request names, in any of its usual spellings.
    ///
    /// - Errors: `TableError.unknownEncoding`.
    public init(named name: String) throws(TableError) {
        switch name.lowercased().filter({ $0 != "_" && $0 != " " }) {
        case "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii": self = .utf8
        case "utf-16le", "utf16le", "utf-16", "utf16": self = .utf16LittleEndian
        case "utf-16be", "utf16be": self = .utf16BigEndian
        case "gb18030", "gbk", "gb2312", "cp936", "gb-18030": self = .gb18030
        case "windows-1252", "cp1252", "latin1", "latin-1", "iso-8859-1": self = .windows1252
        default: throw .unknownEncoding(name)
        }
    }

    /// As people write it.
    public var name: String {
        switch self {
        case .utf8: "UTF-8"
        case .utf16LittleEndian, .utf16BigEndian: "UTF-16"
        case .gb18030: "GB18030"
        case .windows1252: "Windows-1252"
        }
    }

    /// What iconv calls it.
    fileprivate var converter: String {
        switch self {
        case .utf8: "UTF-8"
        case .utf16LittleEndian: "UTF-16LE"
        case .utf16BigEndian: "UTF-16BE"
        case .gb18030: "GB18030"
        case .windows1252: "WINDOWS-1252"
        }
    }

    /// The whole of `bytes` as text, or nil where they aren't text of this encoding.
    public func decode(_ bytes: some Collection<UInt8>) -> String? {
        if self == .utf8 { return String(validating: bytes, as: UTF8.self) }
        guard var decoder = try? TextDecoder(self) else { return nil }
        var text: [UInt8] = []
        guard case .whole = decoder.decode(Array(bytes), into: &text) else { return nil }
        return String(validating: text, as: UTF8.self)
    }
}

/// Turns bytes of one encoding into UTF-8, piece by piece.
///
/// A piece may end within a character: what is left over is said, and comes again in front of the next piece.
struct TextDecoder: ~Copyable {
    enum Outcome: Equatable {
        case whole
        /// The last `count` bytes begin a character that isn't complete.
        case leftOver(count: Int)
        /// The byte at `offset` of the piece begins no character.
        case invalid(offset: Int)
    }

    let encoding: TextEncoding
    private let handle: iconv_t?

    /// - Errors: `TableError.unreadable` when this machine can't convert the encoding.
    init(_ encoding: TextEncoding) throws(TableError) {
        self.encoding = encoding
        if encoding == .utf8 {
            handle = nil
        } else {
            let opened = iconv_open("UTF-8", encoding.converter)
            guard opened != iconv_t(bitPattern: -1) else {
                throw .unreadable(reason: "this machine has no converter for \(encoding.name)")
            }
            handle = opened
        }
    }

    deinit {
        if let handle { iconv_close(handle) }
    }

    /// Appends to `text` what `bytes` say, up to the first incomplete or invalid character.
    mutating func decode(_ bytes: [UInt8], into text: inout [UInt8]) -> Outcome {
        guard let handle else {
            let valid = validUTF8Prefix(bytes)
            text.append(contentsOf: bytes[..<valid.count])
            return valid.outcome
        }
        var consumed = 0
        var buffer = [UInt8](repeating: 0, count: 32_768)
        while true {
            let (result, failure, written, left) = bytes.withUnsafeBufferPointer { input in
                buffer.withUnsafeMutableBytes { output in
                    var from = UnsafeMutablePointer(mutating: input.baseAddress?.advanced(by: consumed)).map {
                        UnsafeMutableRawPointer($0).assumingMemoryBound(to: CChar.self)
                    }
                    var fromLeft = bytes.count - consumed
                    var to = output.baseAddress?.assumingMemoryBound(to: CChar.self)
                    var toLeft = output.count
                    let result = iconv(handle, &from, &fromLeft, &to, &toLeft)
                    return (result, result == -1 ? errno : 0, output.count - toLeft, fromLeft)
                }
            }
            text.append(contentsOf: buffer[..<written])
            consumed = bytes.count - left
            if result != -1 { return .whole }
            switch failure {
            case E2BIG: continue
            case EINVAL: return .leftOver(count: left)
            default: return .invalid(offset: consumed)
            }
        }
    }
}

/// The length of the longest prefix that is whole, valid UTF-8, and what follows it.
///
/// - Source: Unicode standard, table 3-7 (well-formed byte sequences): no surrogates, no overlong forms.
func validUTF8Prefix(_ bytes: [UInt8]) -> (count: Int, outcome: TextDecoder.Outcome) {
    bytes.withUnsafeBytes { bytes in
        let count = bytes.count
        var i = 0
        while i < count {
            let lead = bytes[i]
            if lead < 0x80 {
                i += 1
                while i + 8 <= count,
                    bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                { i += 8 }
                continue
            }
            let length: Int
            let second: ClosedRange<UInt8>
            switch lead {
            case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: return (i, .invalid(offset: i))
            }
            for k in 1..<length {
                guard i + k < count else { return (i, .leftOver(count: count - i)) }
                let allowed = k == 1 ? second : 0x80...0xBF
                guard allowed.contains(bytes[i + k]) else { return (i, .invalid(offset: i)) }
            }
            i += length
        }
        return (count, .whole)
    }
}
