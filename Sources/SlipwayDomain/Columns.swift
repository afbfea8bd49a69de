/// What a table's column holds, inferred over all its rows at import.
package enum ColumnType: String, Codable, Sendable, CaseIterable {
    case number, category, boolean, date, text
}

/// A column with what import saw in it. The training version's columns decide how fields are parsed, in training and
/// in serving alike.
package struct ColumnProfile: Codable, Hashable, Sendable {
    package struct Value: Codable, Hashable, Sendable {
        package var value: String
        package var count: Int
        package init(value: String, count: Int) {
            self.value = value
            self.count = count
        }
    }

    package var name: String
    package var type: ColumnType
    package var missing: Int
    package var distinct: Int
    /// Of number columns; of date columns in seconds since 1970.
    package var minimum: Double?
    package var maximum: Double?
    package var mean: Double?
    /// The most frequent values, at most 20, most frequent first.
    package var top: [Value]
    /// Nearly every value differs and says nothing of others: a number or name of the row. Templates leave it out.
    package var isIdentifier: Bool

    package init(
        name: String, type: ColumnType, missing: Int, distinct: Int, minimum: Double? = nil, maximum: Double? = nil,
        mean: Double? = nil, top: [Value] = [], isIdentifier: Bool = false
    ) {
        self.name = name
        self.type = type
        self.missing = missing
        self.distinct = distinct
        self.minimum = minimum
        self.maximum = maximum
        self.mean = mean
        self.top = top
        self.isIdentifier = isIdentifier
    }

    enum CodingKeys: String, CodingKey {
        case name, type, missing, distinct, minimum, maximum, mean, top
        case isIdentifier = "is_identifier"
    }
}

package struct ClassCount: Codable, Hashable, Sendable {
    package var name: String
    package var count: Int
    package init(name: String, count: Int) {
        self.name = name
        self.count = count
    }
}

/// What the chooser and the pre-flight checks know of a data set version, without reading an item.
package struct DatasetProfile: Codable, Hashable, Sendable {
    package var items: Int
    package var unlabelled: Int
    /// Of the labelled items, by label, in the model's class order: sorted by Unicode scalars.
    package var classes: [ClassCount]
    /// Of tables.
    package var columns: [ColumnProfile]?
    package var target: String?
    package var duplicateRows: Int?
    /// Of pictures: medians over the items, and the share with colour.
    package var medianWidth: Int?
    package var medianHeight: Int?
    package var colourShare: Double?

    package init(
        items: Int, unlabelled: Int, classes: [ClassCount], columns: [ColumnProfile]? = nil, target: String? = nil,
        duplicateRows: Int? = nil, medianWidth: Int? = nil, medianHeight: Int? = nil, colourShare: Double? = nil
    ) {
        self.items = items
        self.unlabelled = unlabelled
        self.classes = classes
        self.columns = columns
        self.target = target
        self.duplicateRows = duplicateRows
        self.medianWidth = medianWidth
        self.medianHeight = medianHeight
        self.colourShare = colourShare
    }

    enum CodingKeys: String, CodingKey {
        case items, unlabelled, classes, columns, target
        case duplicateRows = "duplicate_rows"
        case medianWidth = "median_width"
        case medianHeight = "median_height"
        case colourShare = "colour_share"
    }
}
