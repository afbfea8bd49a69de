internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// How a table's rows become numbers: fitted on training rows, stored with the model, and used by training,
/// evaluation and serving alike. Nothing else in the platform turns a field into a feature.
struct TableEncoder: Codable, Sendable, Hashable {
    /// What is known of one column. A column that tells nothing (constant, identifier, the target) has no encoding.
    enum Feature: Codable, Sendable, Hashable {
        /// Centred at the median and scaled by the quartiles.
        case number(centre: Double, scale: Double, hasMissing: Bool)
        case boolean(hasMissing: Bool)
        /// The known values, most frequent first.
        case category([String])
        /// As a number, and with year, month, day and weekday.
        case date(centre: Double, scale: Double)
        /// Counted n-grams, hashed into so many slots.
        case text(slots: Int)
        /// As a model from elsewhere takes it: less `centre`, by `scale`, and nothing drawn in. True is 1, false is 0; what is missing counts as `missing`.
        case measure(centre: Double, scale: Double, missing: Double)
    }

    struct Column: Codable, Sendable, Hashable {
        var name: String
        /// Its place in the rows of the training version.
        var index: Int
        var feature: Feature
    }

    /// A column made for trees: some number columns added up, others taken away.
    struct Sum: Codable, Sendable, Hashable {
        /// Places among `columns`.
        var plus: [Int]
        var minus: [Int]
    }

    var columns: [Column]
    private(set) var sums: [Sum] = []

    private enum CodingKeys: String, CodingKey { case columns, sums }

    /// Encoders that were stored before there were sums have none.
    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        columns = try values.decode([Column].self, forKey: .columns)
        sums = try values.decodeIfPresent([Sum].self, forKey: .sums) ?? []
    }

    /// Values of one category column beyond these share one code.
    static let mostCategories = 256
    static let textSlots = 96

    /// - Parameter rows: fields in the order of `profiles`, of the items that are trained on only.
    init(profiles: [ColumnProfile], target: String, rows: [[String?]]) {
        columns = []
        for (index, profile) in profiles.enumerated() where profile.name != target && !profile.isIdentifier {
            let fields = rows.lazy.map { index < $0.count ? $0[index] : nil }
            guard let feature = Self.fit(profile.type, fields) else { continue }
            columns.append(Column(name: profile.name, index: index, feature: feature))
        }
    }

    /// Nothing but the numbers of some columns, each its own feature; a missing one counts as its column's median.
    ///
    /// - Parameters:
    ///   - names: of columns among the profiles, in the order that the features are to have.
    ///   - isStandardised: whether columns are moved to mean 0 and deviation 1.
    init(numbers names: [String], profiles: [ColumnProfile], rows: [[String?]], isStandardised: Bool) {
        let places = Dictionary(zip(profiles.map(\.name), 0...), uniquingKeysWith: { first, _ in first })
        columns = names.map { name in
            guard let index = places[name] else { preconditionFailure("the columns are among the profiles") }
            let values = rows.compactMap { row in index < row.count ? row[index].flatMap(Field.measure) : nil }.sorted()
            let median = values.isEmpty ? 0 : values[values.count / 2], moments = Moments(values)
            let feature = isStandardised
                ? Feature.measure(centre: moments.mean, scale: moments.deviation > 0 ? moments.deviation : 1, missing: median)
                : Feature.measure(centre: 0, scale: 1, missing: median)
            return Column(name: name, index: index, feature: feature)
        }
    }

    private static func fit(_ type: ColumnType, _ fields: some Sequence<String?>) -> Feature? {
        switch type {
        case .number, .date:
            var values: [Double] = []
            var missing = 0
            for field in fields {
                if let value = field.flatMap({ type == .number ? Field.number($0) : TableValue.date($0) }) {
                    values.append(value)
                } else {
                    missing += 1
                }
            }
            values.sort()
            guard let low = values.first, let high = values.last, low < high || missing > 0 else { return nil }
            func quantile(_ share: Double) -> Double { values[Int((share * Double(values.count - 1)).rounded())] }
            var scale = (quantile(0.75) - quantile(0.25)) / 1.35
            if scale <= 0 { scale = (high - low) / 2 }
            if !(scale > 0) { scale = 1 }
            return type == .number
                ? .number(centre: quantile(0.5), scale: scale, hasMissing: missing > 0)
                : .date(centre: quantile(0.5), scale: scale)
        case .boolean:
            var seen = Set<Bool?>()
            for field in fields { seen.insert(field.flatMap(TableValue.boolean)) }
            return seen.count > 1 ? .boolean(hasMissing: seen.contains(nil)) : nil
        case .category:
            var counts: [String: Int] = [:]
            var missing = 0
            for field in fields {
                if let field { counts[TableValue.category(field), default: 0] += 1 } else { missing += 1 }
            }
            guard counts.count + (missing > 0 ? 1 : 0) > 1 else { return nil }
            let values = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
            return .category(Array(values.prefix(mostCategories)))
        case .text:
            return .text(slots: textSlots)
        }
    }

    /// Whether a stranger's encoder stays within a table of so many columns, its sums within its own, and its measures with numbers.
    func isSound(columns count: Int) -> Bool {
        columns.allSatisfy { (0..<count).contains($0.index) && $0.feature.isSound }
            && sums.allSatisfy { sum in (sum.plus + sum.minus).allSatisfy(columns.indices.contains) }
    }

    /// `length + width − handle`.
    var sumsInWords: [String] {
        sums.map { sum in
            let plus = sum.plus.map { columns[$0].name }.joined(separator: " + ")
            return ([plus] + sum.minus.map { columns[$0].name }).joined(separator: " − ")
        }
    }

    // MARK: For trees

    mutating func addSums(_ new: [Sum]) { sums += new }

    /// One float a number or category (its code), more for dates and texts, then the sums; a missing value is NaN, and so
    /// is a sum with one.
    var treeWidth: Int { columns.reduce(0) { $0 + $1.feature.treeWidth } + sums.count }

    /// Where each column begins among the trees' features.
    var treeOffsets: [Int] {
        var next = 0
        return columns.map { column in
            defer { next += column.feature.treeWidth }
            return next
        }
    }

    /// Whether each of the trees' features is a category's code.
    var treeCategories: [Bool] {
        columns.flatMap { column in
            if case .category = column.feature { return [true] }
            return [Bool](repeating: false, count: column.feature.treeWidth)
        } + sums.map { _ in false }
    }

    func treeMatrix(_ rows: [[String?]]) -> [Float] {
        var matrix = [Float](repeating: .nan, count: rows.count * treeWidth)
        let lookups = columns.map(\.feature.lookup)
        let (width, offsets) = (treeWidth, treeOffsets)
        for (row, fields) in rows.enumerated() {
            var at = row * width
            for (column, lookup) in zip(columns, lookups) {
                let field = column.index < fields.count ? fields[column.index] : nil
                switch column.feature {
                case .number: matrix[at] = field.flatMap(Field.number).map { Float($0) } ?? .nan
                case .boolean: matrix[at] = field.flatMap(TableValue.boolean).map { $0 ? 1 : 0 } ?? .nan
                case .measure: matrix[at] = field.flatMap(Field.measure).map { Float($0) } ?? .nan
                case .category: matrix[at] = field.flatMap { lookup[TableValue.category($0)] }.map { Float($0) } ?? .nan
                case .date:
                    if let seconds = field.flatMap(TableValue.date) {
                        let parts = Field.parts(ofDate: seconds)
                        matrix[at] = Float(seconds / 86_400)
                        for (offset, part) in parts.enumerated() { matrix[at + 1 + offset] = Float(part) }
                    }
                case .text(let slots):
                    let start = at
                    for offset in 0...slots { matrix[start + offset] = 0 }
                    if let field {
                        matrix[start + slots] = Float(field.count)
                        Field.countWords(field, slots: slots) { slot, amount in matrix[start + slot] += amount }
                    }
                }
                at += column.feature.treeWidth
            }
            for sum in sums {
                var total = 0.0
                for column in sum.plus { total += Double(matrix[row * width + offsets[column]]) }
                for column in sum.minus { total -= Double(matrix[row * width + offsets[column]]) }
                matrix[at] = Float(total)
                at += 1
            }
        }
        return matrix
    }

    // MARK: For networks

    /// - Parameter waves: sines and cosines of rising frequency beside each number, which let a network see steps.
    func networkWidth(waves: Int) -> Int { columns.reduce(0) { $0 + $1.feature.networkWidth(waves: waves) } }

    /// Numbers about 0 to ±1 with outliers drawn in, one indicator a category; a missing number is 0 with an indicator. Measures are as their columns say.
    func networkMatrix(_ rows: [[String?]], waves: Int) -> [Float] {
        Batches(self, waves: waves).networkMatrix(rows)
    }

    /// An encoder for networks that is used again and again.
    struct Batches: Sendable {
        private let encoder: TableEncoder
        private let waves: Int
        /// The code of each known value, by column.
        private let lookups: [[String: Int]]

        init(_ encoder: TableEncoder, waves: Int) {
            self.encoder = encoder
            self.waves = waves
            lookups = encoder.columns.map(\.feature.lookup)
        }

        func networkMatrix(_ rows: [[String?]]) -> [Float] { encoder.networkMatrix(rows, waves: waves, lookups) }
    }

    private func networkMatrix(_ rows: [[String?]], waves: Int, _ lookups: [[String: Int]]) -> [Float] {
        let width = networkWidth(waves: waves)
        var matrix = [Float](repeating: 0, count: rows.count * width)
        for (row, fields) in rows.enumerated() {
            var at = row * width
            for (column, lookup) in zip(columns, lookups) {
                let field = column.index < fields.count ? fields[column.index] : nil
                switch column.feature {
                case .number(let centre, let scale, let hasMissing):
                    if let value = field.flatMap(Field.number) {
                        let squashed = Self.squashed((value - centre) / scale)
                        matrix[at] = squashed
                        let waving = at + (hasMissing ? 2 : 1)
                        for wave in 0..<waves {
                            // From one turn over the whole range upwards, half an octave each.
                            let angle = squashed * Float.pi / 3 * powf(2, Float(wave) / 2)
                            matrix[waving + 2 * wave] = sinf(angle)
                            matrix[waving + 2 * wave + 1] = cosf(angle)
                        }
                    } else if hasMissing {
                        matrix[at + 1] = 1
                    }
                case .boolean(let hasMissing):
                    if let value = field.flatMap(TableValue.boolean) {
                        matrix[at] = value ? 1 : -1
                    } else if hasMissing {
                        matrix[at + 1] = 1
                    }
                case .category(let values):
                    // The last slot is for missing and unknown values.
                    matrix[at + (field.flatMap { lookup[TableValue.category($0)] } ?? values.count)] = 1
                case .date(let centre, let scale):
                    if let seconds = field.flatMap(TableValue.date) {
                        matrix[at] = Self.squashed((seconds - centre) / scale)
                        let parts = Field.parts(ofDate: seconds)
                        let turns = [parts[1] / 12, parts[2] / 31, parts[3] / 7]
                        for (offset, turn) in turns.enumerated() {
                            matrix[at + 1 + 2 * offset] = Float(sin(2 * .pi * turn))
                            matrix[at + 2 + 2 * offset] = Float(cos(2 * .pi * turn))
                        }
                    } else {
                        matrix[at + 7] = 1
                    }
                case .text(let slots):
                    if let field {
                        let start = at
                        var norm: Float = 0
                        Field.countWords(field, slots: slots) { slot, amount in matrix[start + slot] += amount }
                        for slot in 0..<slots { norm += matrix[start + slot] * matrix[start + slot] }
                        if norm > 0 {
                            let factor = 3 / norm.squareRoot()
                            for slot in 0..<slots { matrix[start + slot] *= factor }
                        }
                    }
                case .measure(let centre, let scale, let missing):
                    let distance = ((field.flatMap(Field.measure) ?? missing) - centre) / scale
                    matrix[at] = Float(min(max(distance, -Field.largest), Field.largest))
                }
                at += column.feature.networkWidth(waves: waves)
            }
        }
        return matrix
    }

    /// Linear about 0, drawn in towards ±3. (Beyond the bound nothing changes any more, and squares would overflow.)
    private static func squashed(_ value: Double) -> Float {
        let value = min(max(value, -1e12), 1e12)
        return Float(value / (1 + (value / 3) * (value / 3)).squareRoot())
    }
}

extension TableEncoder.Feature {
    fileprivate var isSound: Bool {
        guard case .measure(let centre, let scale, let missing) = self else { return true }
        return centre.isFinite && scale.isFinite && scale > 0 && missing.isFinite
    }

    fileprivate var treeWidth: Int {
        switch self {
        case .number, .boolean, .category, .measure: 1
        case .date: 5
        case .text(let slots): slots + 1
        }
    }

    fileprivate func networkWidth(waves: Int) -> Int {
        switch self {
        case .number(_, _, let hasMissing): (hasMissing ? 2 : 1) + 2 * waves
        case .boolean(let hasMissing): hasMissing ? 2 : 1
        case .measure: 1
        case .category(let values): values.count + 1
        case .date: 8
        case .text(let slots): slots
        }
    }

    fileprivate var lookup: [String: Int] {
        guard case .category(let values) = self else { return [:] }
        return Dictionary(uniqueKeysWithValues: zip(values, 0...))
    }
}
