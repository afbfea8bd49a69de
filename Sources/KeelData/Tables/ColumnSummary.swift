/// What one pass over a column's fields shows, in bounded memory.
public struct ColumnSummary: Sendable {
    /// Rows, and those whose field stands for a missing value.
    public private(set) var rows = 0, missing = 0
    /// Fields that are no finite number: infinite ones, and the line of the first.
    public private(set) var infinite = 0
    public private(set) var firstInfiniteLine: Int?
    public private(set) var numbers = Range()
    public private(set) var dates = Range()

    private var booleans = 0, integers = 0, oddNumbers = 0
    private var words = 0, bytes = 0
    private var distinctValues: DistinctCounter
    private var frequent: FrequentValues

    /// Count, extremes and mean of the fields that are values of one kind.
    public struct Range: Sendable {
        public private(set) var count = 0
        public private(set) var minimum = Double.infinity, maximum = -Double.infinity, mean = 0.0

        mutating func add(_ value: Double) {
            count += 1
            minimum = min(minimum, value)
            maximum = max(maximum, value)
            mean += (value - mean) / Double(count)
        }
    }

    /// - Parameter columns: of the whole table, which share the memory. In tables of up to 60 columns 65,536 different
    ///   values are told apart exactly; beyond that their number is an estimate.
    public init(columns: Int = 1) {
        distinctValues = DistinctCounter(capacity: min(65_536, max(1024, 4_000_000 / columns)))
        frequent = FrequentValues(capacity: min(1024, max(64, 400_000 / columns)))
    }

    /// Adds a row's field. Returns whether it stands for a missing value.
    @discardableResult
    public mutating func add(_ record: TableRecord, field: Int) -> Bool {
        rows += 1
        let isMissing = record.withField(field) { add(TableValue.trimmed($0), line: record.line) }
        if isMissing { missing += 1 }
        return isMissing
    }

    private mutating func add(_ field: TableValue.Bytes, line: Int) -> Bool {
        if TableValue.isMissing(field) { return true }
        switch TableValue.number(field) {
        case .finite(let value):
            numbers.add(value)
            if value == value.rounded(), abs(value) < 1e15 { integers += 1 }
        case .infinite:
            infinite += 1
            firstInfiniteLine = firstInfiniteLine ?? line
        case .none:
            if let date = TableValue.date(field) { dates.add(date) }
            if Self.isOddNumber(field) { oddNumbers += 1 }
        }
        if TableValue.boolean(field) != nil { booleans += 1 }
        bytes += field.count
        words += 1 + field.count { $0 == 0x20 }
        let hash = stableHash(field)
        distinctValues.add(hash)
        frequent.add(hash, field)
        return false
    }

    /// A number in a notation that isn't read: `1.234,5`, `1,234`, `12 %`, `$5`.
    private static func isOddNumber(_ field: TableValue.Bytes) -> Bool {
        var digits = 0
        for byte in field {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digits += 1
            case UInt8(ascii: ","), UInt8(ascii: "."), UInt8(ascii: "%"), UInt8(ascii: "$"), UInt8(ascii: "-"), 0x20: break
            default: return false
            }
        }
        return digits > 0
    }

    /// Rows whose field is there.
    public var present: Int { rows - missing }

    public var distinct: Int { min(distinctValues.estimate, present) }

    /// The most frequent values, most frequent first and equal ones in order, as they stood without surrounding spaces.
    public func top(_ count: Int) -> [(value: String, count: Int)] { frequent.top(count) }

    /// What the column holds: numbers or dates when 98 of 100 fields are (the others count as missing then), else
    /// booleans when all are, else text when its values are long and differ, else categories.
    public var kind: ColumnKind {
        let most = Double(present) * 0.98
        if present == 0 { return .category }
        if Double(numbers.count + infinite) >= most { return .number }
        if booleans == present { return .boolean }
        if Double(dates.count) >= most { return .date }
        let isLong = words >= 4 * present || bytes >= 64 * present
        return isLong && distinct > present / 4 ? .text : .category
    }

    /// Fields that are there but aren't values of `kind`, so they count as missing.
    public func unreadable(as kind: ColumnKind) -> Int {
        switch kind {
        case .number: present - numbers.count
        case .boolean: present - booleans
        case .date: present - dates.count
        case .category, .text: 0
        }
    }

    /// Whether most fields look like numbers in a notation that isn't read as one.
    public var hasOddNumbers: Bool { kind != .number && Double(oddNumbers) >= 0.9 * Double(max(present, 1)) }

    /// Whether the column names its rows and says nothing else of them: nearly all values differ, and they are short
    /// words, or whole numbers that count up.
    public func isIdentifier(named name: String) -> Bool {
        guard present >= 20, Double(distinct) >= 0.95 * Double(present) else { return false }
        switch kind {
        case .category: return true
        case .number:
            guard integers == present else { return false }
            let word = name.lowercased()
            let isNamed =
                ["id", "index", "row", "no", "nr", "key"].contains(word)
                || ["id", "_no", "number", "编号", "序号"].contains { word.hasSuffix($0) }
            return isNamed || numbers.maximum - numbers.minimum < 1.05 * Double(present)
        case .boolean, .date, .text: return false
        }
    }
}

/// The same 64 bits for the same bytes in every process (Swift's own hashes differ from run to run).
///
/// - Source: FNV-1a, and the finaliser of MurmurHash3.
func stableHash(_ bytes: TableValue.Bytes) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
    hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return hash ^ hash >> 33
}

/// Counts different hashes: exactly up to its capacity, then by keeping a known share of them.
///
/// - Source: Flajolet, *On adaptive sampling*, 1990.
public struct DistinctCounter: Sendable {
    private let capacity: Int
    private var kept: Set<UInt64> = []
    private var level: UInt64 = 0

    public init(capacity: Int) {
        self.capacity = capacity
    }

    /// Whether a hash was already there; always false for those that are no longer kept.
    @discardableResult
    public mutating func add(_ hash: UInt64) -> Bool {
        guard hash & ((1 << level) - 1) == 0 else { return false }
        guard kept.insert(hash).inserted else { return true }
        while kept.count > capacity {
            level += 1
            kept = kept.filter { $0 & ((1 << level) - 1) == 0 }
        }
        return false
    }

    /// How many hashes one that is kept stands for.
    public var share: Int { 1 << level }
    public var estimate: Int { kept.count << level }
}

/// The values that occur most, with their counts; rare ones are forgotten when there are too many.
///
/// - Source: Manku and Motwani, *Approximate Frequency Counts over Data Streams*, 2002 (lossy counting).
private struct FrequentValues: Sendable {
    let capacity: Int
    private var counts: [UInt64: (count: Int, value: String)] = [:]
    private var forgotten = 0

    init(capacity: Int) { self.capacity = capacity }

    mutating func add(_ hash: UInt64, _ field: TableValue.Bytes) {
        if let index = counts.index(forKey: hash) {
            counts.values[index].count += 1
            return
        }
        if counts.count >= capacity {
            forgotten += 1
            let least = forgotten
            counts = counts.filter { $0.value.count > least }
            if counts.count >= capacity { return }
        }
        counts[hash] = (1, String(decoding: field.prefix(128), as: UTF8.self))
    }

    func top(_ count: Int) -> [(value: String, count: Int)] {
        counts.values.sorted { ($1.count, $0.value) < ($0.count, $1.value) }.prefix(count).map { ($0.value, $0.count) }
    }
}
