package import SlipwayDomain

extension DatasetProfile {
    /// The profile of a version that has this upload's items beside those of its base. Counts of items and classes are
    /// taken from the rows afterwards; what is known of columns is put together here: exact for missing values, ranges and
    /// means, an upper bound for distinct values, and for the most frequent values exact among those that both lists name.
    package func merged(after base: DatasetProfile?) -> DatasetProfile {
        guard let base else { return self }
        var result = self
        result.target = base.target ?? target
        if let share = colourShare, let baseShare = base.colourShare, items + base.items > 0 {
            result.colourShare = (share * Double(items) + baseShare * Double(base.items)) / Double(items + base.items)
        } else {
            result.colourShare = colourShare ?? base.colourShare
        }
        result.medianWidth = medianWidth ?? base.medianWidth
        result.medianHeight = medianHeight ?? base.medianHeight
        if let first = base.duplicateRows, let second = duplicateRows { result.duplicateRows = first + second }
        guard let first = base.columns, let second = columns else {
            result.columns = base.columns ?? columns
            return result
        }
        let added = Dictionary(second.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        result.columns = first.map { column in
            added[column.name].map { column.merged(with: $0, rows: base.items, items) } ?? column
        }
        return result
    }
}

extension ColumnProfile {
    func merged(with other: ColumnProfile, rows: Int, _ otherRows: Int) -> ColumnProfile {
        let known = rows - missing, otherKnown = otherRows - other.missing
        var counts: [String: Int] = [:]
        for value in top + other.top { counts[value.value, default: 0] += value.count }
        let type = known == 0 ? other.type : otherKnown == 0 ? type : self.type.widened(with: other.type)
        let isNumeric = type == .number || type == .date
        var mean: Double?
        if isNumeric, let first = self.mean, let second = other.mean, known + otherKnown > 0 {
            // Shares first: the sums of the very largest numbers overflow.
            let share = Double(known) / Double(known + otherKnown)
            mean = first * share + second * (1 - share)
        } else if isNumeric {
            mean = self.mean ?? other.mean
        }
        let fresh = Set(other.top.map(\.value)).subtracting(top.map(\.value)).count
        let isListed = other.distinct <= other.top.count && distinct <= top.count
        return ColumnProfile(
            name: name, type: type, missing: missing + other.missing,
            distinct: isListed
                ? counts.count : max(distinct, min(distinct + other.distinct, distinct + fresh + other.distinct - other.top.count)),
            minimum: isNumeric ? [minimum, other.minimum].compactMap(\.self).min() : nil,
            maximum: isNumeric ? [maximum, other.maximum].compactMap(\.self).max() : nil, mean: mean,
            top: counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(20).map { Value(value: $0.key, count: $0.value) },
            isIdentifier: isIdentifier && other.isIdentifier)
    }
}

extension ColumnType {
    /// The narrowest type that holds the values of both.
    func widened(with other: ColumnType) -> ColumnType {
        if self == other { return self }
        if self == .text || other == .text { return .text }
        return .category
    }
}
