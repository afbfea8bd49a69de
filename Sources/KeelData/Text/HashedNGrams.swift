/// A row of numbers of which few aren't 0.
public struct SparseRow: Sendable, Hashable {
    /// Ascending, each once.
    public let columns: [Int]
    public internal(set) var values: [Float]
}

/// Counts of character or word n-grams, each in the column that its hash says, so that no vocabulary is kept.
///
/// - The column of an n-gram is `|h| mod columns`, `h` the MurmurHash3 (32 bits, seed 0) of its UTF-8 as a signed
///   number; where `isSigned`, it counts −1 for a negative `h`, so that collisions cancel instead of adding up.
/// - Source: Weinberger and others, *Feature hashing for large scale multitask learning*, 2009.
public struct HashedNGrams: Sendable, Hashable, Codable {
    public enum Unit: String, Sendable, Hashable, Codable {
        /// Over the whole text, where a run of white space is one blank.
        case characters
        /// Runs of letters, marks, digits and underscores, joined by blanks.
        case words
    }

    public let unit: Unit
    public let lengths: ClosedRange<Int>
    public let columns: Int
    public let isSigned: Bool

    /// - Precondition: n-grams have at least one unit, and there is at least one column.
    public init(of unit: Unit, lengths: ClosedRange<Int>, columns: Int = 1 << 18, isSigned: Bool = true) {
        precondition(lengths.lowerBound > 0 && columns > 0, "n-grams have a unit, and there is a column")
        self.unit = unit
        self.lengths = lengths
        self.columns = columns
        self.isSigned = isSigned
    }

    /// The counts of a text, which is put in lower case.
    public func callAsFunction(_ text: String) -> SparseRow {
        var counts: [Int: Float] = [:]
        let (bytes, units) = unitsOf(text)
        for length in lengths where length <= units.count {
            for first in 0...units.count - length {
                let end = units[first + length - 1].upperBound
                let hash = Int32(bitPattern: murmurHash3(bytes[units[first].lowerBound..<end]))
                counts[Int(hash.magnitude) % columns, default: 0] += isSigned && hash < 0 ? -1 : 1
            }
        }
        let found = counts.filter { $0.value != 0 }.sorted { $0.key < $1.key }
        return SparseRow(columns: found.map(\.key), values: found.map(\.value))
    }

    /// The text that n-grams are parts of, and where in it each unit is.
    private func unitsOf(_ text: String) -> (bytes: [UInt8], units: [Range<Int>]) {
        var bytes: [UInt8] = []
        var units: [Range<Int>] = []
        var isWithin = false  // a word, or a run of white space
        for scalar in text.lowercased().unicodeScalars {
            let start = bytes.count
            switch unit {
            case .characters:
                defer { isWithin = scalar.isBlank }
                if scalar.isBlank, isWithin { continue }
                bytes += scalar.isBlank ? [UInt8(ascii: " ")] : Array(scalar.utf8)
                units.append(start..<bytes.count)
            case .words:
                defer { isWithin = scalar.isOfWord }
                guard scalar.isOfWord else { continue }
                if isWithin {
                    bytes += scalar.utf8
                    units[units.count - 1] = units[units.count - 1].lowerBound..<bytes.count
                } else {
                    if !units.isEmpty { bytes.append(UInt8(ascii: " ")) }
                    let start = bytes.count
                    bytes += scalar.utf8
                    units.append(start..<bytes.count)
                }
            }
        }
        return (bytes, units)
    }
}

extension Unicode.Scalar {
    fileprivate var isOfWord: Bool {
        self == "_" || isLetter || isNumber || properties.generalCategory == .nonspacingMark
    }
}

/// MurmurHash3, x86, 32 bits, seed 0.
///
/// - Source: Appleby, *SMHasher*, 2011.
func murmurHash3(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    func scrambled(_ block: UInt32) -> UInt32 {
        let k = block &* 0xCC9E_2D51
        return (k << 15 | k >> 17) &* 0x1B87_3593
    }
    var hash: UInt32 = 0
    var block: UInt32 = 0
    for (index, byte) in bytes.enumerated() {
        block |= UInt32(byte) << UInt32(index % 4 * 8)
        guard index % 4 == 3 else { continue }
        hash ^= scrambled(block)
        hash = (hash << 13 | hash >> 19) &* 5 &+ 0xE654_6B64
        block = 0
    }
    hash ^= scrambled(block)  // nothing for a whole number of blocks
    hash ^= UInt32(truncatingIfNeeded: bytes.count)
    hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
    hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
    return hash ^ hash >> 16
}
