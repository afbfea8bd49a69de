/// What the fields of a column are.
public enum ColumnKind: String, Sendable, CaseIterable {
    case number, category, boolean, date, text
}

/// How a field's text becomes a value. Import, training and serving all read fields through these functions.
///
/// Spaces around a value never count.
public enum TableValue {
    /// Whether the text stands for a value that isn't there, as spreadsheets, R and Python write it.
    public static func isMissing(_ text: String) -> Bool { withTrimmed(text, isMissing) }

    /// A finite decimal number such as `-12`, `.5` or `1e-3`; nil for anything else, `inf` and overflow included.
    public static func number(_ text: String) -> Double? {
        withTrimmed(text) { if case .finite(let value) = number($0) { value } else { nil } }
    }

    /// `true`/`false`, `yes`/`no`, `on`/`off`, `t`/`f`, `y`/`n`, `1`/`0`, 是/否, 真/假, in any case.
    public static func boolean(_ text: String) -> Bool? { withTrimmed(text, boolean) }

    /// Seconds since 1970 of a date, with or without a time; without a zone it counts as UTC.
    ///
    /// `2024-01-31`, `2024/1/31`, `2024.01.31`, `2024年1月31日`, `31.01.2024`, `1/31/2024` (month first), each with
    /// ` 13:45`, ` 13:45:06.5` or ISO 8601's `T13:45:06Z` or `+08:00`.
    public static func date(_ text: String) -> Double? { withTrimmed(text, date) }

    /// The text as a class or category.
    public static func category(_ text: String) -> String {
        withTrimmed(text) { String(decoding: $0, as: UTF8.self) }
    }

    typealias Bytes = UnsafeBufferPointer<UInt8>

    private static func withTrimmed<Result>(_ text: String, _ body: (Bytes) -> Result) -> Result {
        var text = text
        return text.withUTF8 { body(trimmed($0)) }
    }

    static func trimmed(_ bytes: Bytes) -> Bytes {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        var start = 0
        var end = bytes.count
        while start < end, isSpace(bytes[start]) { start += 1 }
        while end > start, isSpace(bytes[end - 1]) { end -= 1 }
        return Bytes(rebasing: bytes[start..<end])
    }

    private static let missingWords: Set<[UInt8]> = Set(
        ["", "na", "n/a", "nan", "null", "none", "nil", "nat", "?", "-", "--", "#n/a", "#na", "<na>", "-nan", "\\n"].map {
            Array($0.utf8)
        })

    static func isMissing(_ bytes: Bytes) -> Bool {
        bytes.isEmpty || (bytes.count <= 4 && missingWords.contains(bytes.map(lowercased)))
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static let booleans: [[UInt8]: Bool] = {
        let words: [(String, Bool)] = [
            ("true", true), ("yes", true), ("on", true), ("t", true), ("y", true), ("1", true), ("是", true), ("真", true),
            ("false", false), ("no", false), ("off", false), ("f", false), ("n", false), ("0", false), ("否", false),
            ("假", false),
        ]
        return Dictionary(uniqueKeysWithValues: words.map { (Array($0.0.utf8), $0.1) })
    }()

    static func boolean(_ bytes: Bytes) -> Bool? {
        bytes.count <= 5 ? booleans[bytes.map(lowercased)] : nil
    }

    enum Number: Equatable {
        case finite(Double)
        /// Infinity, in words or because the number is too large.
        case infinite
        case none
    }

    private static let powers: [Double] = (0...22).map { exponent in (0..<exponent).reduce(1.0) { power, _ in power * 10 } }
    private static let infinities: Set<[UInt8]> = Set(["inf", "infinity"].map { Array($0.utf8) })

    /// - Source: Clinger, *How to Read Floating Point Numbers Accurately*, 1990: with at most 15 digits and a power of
    ///   ten up to 22, one multiplication or division is exact; the library reads the rest.
    static func number(_ bytes: Bytes) -> Number {
        let count = bytes.count
        var i = 0
        var isNegative = false
        if i < count, bytes[i] == UInt8(ascii: "-") || bytes[i] == UInt8(ascii: "+") {
            isNegative = bytes[i] == UInt8(ascii: "-")
            i += 1
        }
        if i < count, lowercased(bytes[i]) == UInt8(ascii: "i") {
            return infinities.contains(bytes[i...].map(lowercased)) ? .infinite : .none
        }
        var mantissa: UInt64 = 0
        var digits = 0, significant = 0, exponent = 0
        var seenPoint = false
        while i < count {
            let byte = bytes[i]
            if byte == UInt8(ascii: ".") {
                if seenPoint { return .none }
                seenPoint = true
            } else if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                digits += 1
                if significant > 0 || byte != UInt8(ascii: "0") { significant += 1 }
                if significant <= 15 {
                    mantissa = mantissa * 10 + UInt64(byte & 15)
                    if seenPoint { exponent -= 1 }
                }
            } else {
                break
            }
            i += 1
        }
        guard digits > 0 else { return .none }
        if i < count {
            guard lowercased(bytes[i]) == UInt8(ascii: "e") else { return .none }
            i += 1
            var isDown = false
            if i < count, bytes[i] == UInt8(ascii: "-") || bytes[i] == UInt8(ascii: "+") {
                isDown = bytes[i] == UInt8(ascii: "-")
                i += 1
            }
            guard i < count else { return .none }
            var power = 0
            while i < count {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[i]) else { return .none }
                power = min(power * 10 + Int(bytes[i] & 15), 100_000)
                i += 1
            }
            exponent += isDown ? -power : power
        }
        if significant <= 15, abs(exponent) <= 22 {
            let value = exponent < 0 ? Double(mantissa) / powers[-exponent] : Double(mantissa) * powers[exponent]
            return .finite(isNegative ? -value : value)
        }
        guard let value = Double(String(decoding: bytes, as: UTF8.self)) else { return .none }
        return value.isFinite ? .finite(value) : .infinite
    }

    static func date(_ bytes: Bytes) -> Double? {
        guard (6...40).contains(bytes.count) else { return nil }
        var scan = DateScan(bytes: bytes)
        guard let (year, month, day) = scan.day(), let seconds = scan.time() else { return nil }
        return daysSince1970(year, month, day).map { Double($0) * 86_400 + seconds }
    }

    /// - Source: Hinnant, *chrono-Compatible Low-Level Date Algorithms*: `days_from_civil`.
    private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...9999).contains(year), (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
        let y = month <= 2 ? year - 1 : year
        let era = y / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

private struct DateScan {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0

    private var isAtEnd: Bool { position == bytes.count }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func take(_ text: String) -> Bool {
        let bytes = self.bytes[position...]
        guard bytes.starts(with: text.utf8) else { return false }
        position += text.utf8.count
        return true
    }

    private mutating func digits(_ count: ClosedRange<Int>) -> Int? {
        var value = 0
        let start = position
        while position < bytes.count, position - start < count.upperBound, (0x30...0x39).contains(bytes[position]) {
            value = value * 10 + Int(bytes[position] & 15)
            position += 1
        }
        return position - start >= count.lowerBound ? value : nil
    }

    /// Year, month and day, in the order that the separator says.
    mutating func day() -> (Int, Int, Int)? {
        let start = position
        guard let first = digits(1...4) else { return nil }
        let isYear = position - start == 4
        guard isYear || position - start <= 2 else { return nil }
        if isYear, take("年") {
            guard let month = digits(1...2), take("月"), let day = digits(1...2), take("日") else { return nil }
            return (first, month, day)
        }
        guard position < bytes.count else { return nil }
        let separator = bytes[position]
        guard [UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: ".")].contains(separator), take(separator),
            let second = digits(1...2), take(separator)
        else { return nil }
        if isYear { return digits(1...2).map { (first, second, $0) } }
        guard let year = digits(4...4) else { return nil }
        switch separator {
        case UInt8(ascii: "."): return (year, second, first)
        case UInt8(ascii: "/"): return (year, first, second)
        default: return nil
        }
    }

    /// Seconds of the day that the rest says, 0 where there is no rest.
    mutating func time() -> Double? {
        if isAtEnd { return 0 }
        guard take(UInt8(ascii: "T")) || take(UInt8(ascii: " ")), let hour = digits(1...2), take(UInt8(ascii: ":")),
            let minute = digits(2...2), hour < 24, minute < 60
        else { return nil }
        var seconds = Double(hour * 3600 + minute * 60)
        if take(UInt8(ascii: ":")) {
            guard let second = digits(2...2), second <= 60 else { return nil }
            seconds += Double(second)
            if take(UInt8(ascii: ".")) {
                let start = position
                guard let fraction = digits(1...9) else { return nil }
                seconds += Double(fraction) / (0..<(position - start)).reduce(1.0) { power, _ in power * 10 }
            }
        }
        if isAtEnd || (take(UInt8(ascii: "Z")) && isAtEnd) { return seconds }
        let isEast = take(UInt8(ascii: "+"))
        guard isEast || take(UInt8(ascii: "-")), let hours = digits(2...2), hours <= 15 else { return nil }
        _ = take(UInt8(ascii: ":"))
        let minutes = isAtEnd ? 0 : digits(2...2)
        guard let minutes, isAtEnd else { return nil }
        let shift = Double(hours * 3600 + minutes * 60)
        return isEast ? seconds - shift : seconds + shift
    }
}
