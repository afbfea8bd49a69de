internal import Foundation
internal import KeelData

/// How the names in one zip archive are written.
///
/// A name says that it is UTF-8 by a flag or an extra field of Info-ZIP's. Names that say nothing are, in practice,
/// UTF-8 (macOS) or the code page of a Chinese Windows, GB18030. All such names of an archive are judged together,
/// and an archive that fits neither surely is refused: a class must never be called by mojibake.
enum ZipNames {
    struct Raw {
        var bytes: [UInt8]
        var isMarkedUTF8: Bool
    }

    /// - Errors: `ArchiveError.badName` for the first name that can't be read.
    static func decode(_ names: [Raw]) throws(ArchiveError) -> [String] {
        let silent = try silentEncoding(names.filter { !$0.isMarkedUTF8 }.map(\.bytes))
        var decoded: [String] = []
        decoded.reserveCapacity(names.count)
        for name in names {
            let encoding = name.isMarkedUTF8 ? TextEncoding.utf8 : silent
            guard let text = encoding.decode(name.bytes) else {
                throw .badName(entry: printable(name.bytes), reason: "it isn't \(encoding.name)")
            }
            // One form of each letter, so that a class from macOS equals the same class from elsewhere.
            decoded.append(text.precomposedStringWithCanonicalMapping)
        }
        return decoded
    }

    /// Bytes as ASCII for a message; what isn't printable becomes `\xHH`.
    static func printable(_ bytes: [UInt8]) -> String {
        bytes.prefix(200).map { byte in
            (0x20..<0x7F).contains(byte)
                ? String(UnicodeScalar(byte)) : "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    private static func silentEncoding(_ names: [[UInt8]]) throws(ArchiveError) -> TextEncoding {
        let foreign = names.filter { $0.contains { $0 >= 0x80 } }
        guard let first = foreign.first else { return .utf8 }
        let isUTF8 = foreign.allSatisfy { TextEncoding.utf8.decode($0) != nil }
        let isChinese = looksLikeGB2312(foreign)
        // Sequences of three bytes are Chinese and the like in UTF-8, and no GB 2312 text is made of them alone.
        if isUTF8, !isChinese || foreign.contains(where: { $0.contains { $0 >= 0xE0 } }) { return .utf8 }
        guard isChinese, !isUTF8 else {
            throw .badName(
                entry: printable(first),
                reason: "its encoding isn't marked and can't be told; make the zip with UTF-8 names")
        }
        return .gb18030
    }

    /// Whether all the names surely are Chinese in GB 2312: nine in ten of their characters are in it and at least half
    /// in its first level (the 3,755 most used), and not all in the range that Korean's EUC-KR fills as well.
    private static func looksLikeGB2312(_ names: [[UInt8]]) -> Bool {
        var characters = 0, known = 0, common = 0
        var distinct: Set<UInt16> = []
        for name in names {
            guard TextEncoding.gb18030.decode(name) != nil else { return false }
            var i = 0
            while i < name.count {
                guard name[i] >= 0x80, i + 1 < name.count else {
                    i += 1
                    continue
                }
                characters += 1
                let (lead, trail) = (name[i], name[i + 1])
                if trail >= 0xA1, (0xB0...0xF7).contains(lead) || (0xA1...0xA3).contains(lead) {
                    known += 1
                    if lead <= 0xD7 { common += 1 }
                    distinct.insert(UInt16(lead) << 8 | UInt16(trail))
                }
                i += (0x30...0x39).contains(trail) ? 4 : 2
            }
        }
        let couldBeKorean = distinct.count >= 10 && distinct.allSatisfy { $0 < 0xC900 }
        return 10 * known >= 9 * characters && 2 * common >= characters && !couldBeKorean
    }
}
