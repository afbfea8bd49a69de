/// What was made before, by what it depends on: at most `limit` of it. What was used longest ago goes first.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    package let limit: Int
    private var entries: [Key: (value: Value, lastUse: UInt64)] = [:]
    private var uses: UInt64 = 0

    /// - Precondition: `limit` is 1 at least.
    package init(limit: Int) {
        precondition(limit >= 1, "a cache has room for one value at least")
        self.limit = limit
    }

    package var count: Int { entries.count }

    package mutating func value(for key: Key) -> Value? {
        guard let place = entries.index(forKey: key) else { return nil }
        uses += 1
        entries.values[place].lastUse = uses
        return entries.values[place].value
    }

    /// Keeps `made`, unless another thread was first.
    ///
    /// - Returns: what is kept.
    package mutating func keep(_ made: Value, for key: Key) -> Value {
        if let first = value(for: key) { return first }
        // Making a value takes far longer than looking through all of them.
        if entries.count >= limit, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) { entries[oldest.key] = nil }
        uses += 1
        entries[key] = (made, uses)
        return made
    }
}
