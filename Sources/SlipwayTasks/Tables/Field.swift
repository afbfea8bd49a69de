internal import Foundation
internal import KeelData

/// What features and targets are made of, beyond what `TableValue` reads.
enum Field {
    /// The largest number that is learned from: so far from the end of Float that sums and differences stay finite.
    static let largest = 1e32

    /// A field as a number; what is larger than all that is learned from counts as the largest.
    static func number(_ text: String) -> Double? {
        TableValue.number(text).map { min(max($0, -largest), largest) }
    }

    /// A field as a number, true as 1 and false as 0.
    static func measure(_ text: String) -> Double? { number(text) ?? TableValue.boolean(text).map { $0 ? 1 : 0 } }

    /// Year, month 1...12, day 1...31 and weekday 0...6 (Monday is 0) of seconds since 1970.
    static func parts(ofDate seconds: Double) -> [Double] {
        let total = Int((seconds / 86_400).rounded(.down))
        // Source: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
        let shifted = total + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let weekday = ((total + 3) % 7 + 7) % 7
        return [Double(year), Double(month), Double(day), Double(weekday)]
    }

    /// Words, and pairs of characters where there are no spaces between words (Chinese), hashed into slots.
    static func countWords(_ text: String, slots: Int, _ count: (_ slot: Int, _ amount: Float) -> Void) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var length = 0
        var previous: UInt64 = 0
        func add(_ hash: UInt64) { count(Int(SeededGenerator.mixed(hash) % UInt64(slots)), 1) }
        for scalar in text.unicodeScalars.prefix(20_000) {
            let value = UInt64(scalar.properties.lowercaseMapping.unicodeScalars.first?.value ?? scalar.value)
            if value >= 0x2E80 {
                add(value)
                if previous != 0 { add(previous &* 0x100_0000_01B3 ^ value) }
                previous = value
            } else {
                previous = 0
            }
            if scalar.properties.isAlphabetic || scalar.properties.numericType != nil, value < 0x2E80 {
                hash = (hash ^ value) &* 0x100_0000_01B3
                length += 1
            } else if length > 0 {
                add(hash)
                hash = 0xCBF2_9CE4_8422_2325
                length = 0
            }
        }
        if length > 0 { add(hash) }
    }
}
