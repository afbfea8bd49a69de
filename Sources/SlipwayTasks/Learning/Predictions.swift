/// What a model says of some items: a probability a class, or one value, an item after the other.
struct Predictions: Sendable, Hashable {
    let width: Int
    var values: [Float]

    init(width: Int, values: [Float]) {
        precondition(width > 0 && values.count % width == 0, "every item has as many predictions")
        self.width = width
        self.values = values
    }

    var count: Int { values.count / width }

    subscript(item: Int) -> ArraySlice<Float> { values[item * width..<(item + 1) * width] }

    /// The likeliest class of an item, the first of equals.
    func top(_ item: Int) -> Int {
        var best = item * width
        for at in item * width..<(item + 1) * width where values[at] > values[best] { best = at }
        return best - item * width
    }

    /// The weighted mean of several models' predictions; the weights sum to 1.
    static func mean(_ parts: [(predictions: Predictions, weight: Double)]) -> Predictions {
        guard let first = parts.first?.predictions else { return Predictions(width: 1, values: []) }
        var sum = [Float](repeating: 0, count: first.values.count)
        for (predictions, weight) in parts {
            let weight = Float(weight)
            for at in sum.indices { sum[at] += weight * predictions.values[at] }
        }
        return Predictions(width: first.width, values: sum)
    }
}
