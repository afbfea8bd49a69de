import Keel
import KeelNN
import Testing

private func sample(_ rows: Int, _ classes: Int) throws -> (marks: [[Float]], labels: [Int]) {
    var generator = Philox(seed: 6)
    // Whole tenths, so that there are ties.
    let marks = (0..<rows).map { _ in (0..<classes).map { _ in Float(generator.next() % 10) / 10 } }
    return (marks, (0..<rows).map { _ in Int(generator.next() % UInt64(classes)) })
}

/// In three batches of unlike sizes.
private func value(_ metric: some Metric, _ marks: [[Float]], _ labels: [Int]) throws -> Double {
    var metric = metric
    for range in [0..<1, 1..<20, 20..<marks.count] {
        let part = marks[range]
        try metric.update(Tensor(part.flatMap { $0 }, [range.count, part[range.lowerBound].count]), Tensor(labels[range].map { Int64($0) }))
    }
    return metric.value
}

@Test func metricsAreWhatTheirDefinitionsCount() throws {
    let (marks, labels) = try sample(60, 4)
    func best(_ row: [Float]) -> Int { row.firstIndex(of: row.max() ?? 0) ?? 0 }
    let chosen = marks.map(best)
    let hits = zip(chosen, labels).count { $0 == $1 }
    #expect(try value(Accuracy(), marks, labels) == Double(hits) / 60)
    let second = zip(marks, labels).count { row, label in
        row.enumerated().count { $1 > row[label] || $1 == row[label] && $0 < label } < 2
    }
    #expect(try value(Accuracy(k: 2), marks, labels) == Double(second) / 60)
    let scores = (0..<4).map { label -> Double in
        let both = zip(chosen, labels).count { $0 == label && $1 == label }
        let precision = Double(both) / Double(chosen.count { $0 == label }), recall = Double(both) / Double(labels.count { $0 == label })
        return both == 0 ? 0 : 2 * precision * recall / (precision + recall)
    }
    // Sums of four numbers in another form.
    #expect(try abs(value(F1Score(classes: 4), marks, labels) - scores.reduce(0, +) / 4) <= 1e-12)
    #expect(try abs(value(F1Score(classes: 4, .single(class: 2)), marks, labels) - scores[2]) <= 1e-12)
    #expect(try abs(value(F1Score(classes: 4, .micro), marks, labels) - Double(hits) / 60) <= 1e-12)
}

@Test func theAreaUnderTheCurveCountsPairs() throws {
    let marks = try sample(60, 1).marks, labels = try sample(60, 2).labels
    var wins = 0.0, pairs = 0.0
    for i in 0..<60 where labels[i] == 1 {
        for j in 0..<60 where labels[j] == 0 {
            pairs += 1
            wins += marks[i][0] > marks[j][0] ? 1 : marks[i][0] == marks[j][0] ? 0.5 : 0
        }
    }
    #expect(try abs(value(AreaUnderCurve(), marks, labels) - wins / pairs) <= 1e-12)
    #expect(AreaUnderCurve().value.isNaN)
}

@Test func deviationsAndPerplexity() throws {
    var root = Deviation(.rootMeanSquare), mean = Deviation(.meanAbsolute)
    for (x, y) in [([Float(1), 2], [Float(4), 2]), ([0], [-4])] {
        try root.update(Tensor(x), Tensor(y))
        try mean.update(Tensor(x), Tensor(y))
    }
    #expect(abs(root.value - (25.0 / 3).squareRoot()) <= 1e-12 && abs(mean.value - 7.0 / 3) <= 1e-12)
    #expect(throws: TensorError.self) { try root.update(.zeros([2]), .zeros([3])) }
    var perplexity = Perplexity()
    try perplexity.update(.zeros([2, 3, 5]), Tensor([Int64(0), 4, -1, 2, -1, 3], [2, 3]))
    // Five classes alike; padding doesn't count.
    #expect(abs(perplexity.value - 5) <= 1e-12)
    #expect(Accuracy().value.isNaN)
    var score = F1Score(classes: 2)
    #expect(throws: TensorError(.labelOutOfRange(row: 0, label: 2, classes: 2))) { try score.update(.zeros([1, 2]), Tensor([Int64(2)])) }
}

@Test func aConfusionMatrixCountsWhatWasTakenForWhat() throws {
    // Class 3 is neither there nor predicted.
    let marks = try Tensor([3, 1, 0, 0, 0, 2, 1, 0, 0, 4, 2, 0, 1, 0, 5, 0, 9, 0, 0, 0].map { Float($0) }, [5, 4])
    var matrix = ConfusionMatrix(classes: 4, ignoring: 255)
    #expect(matrix.value.isNaN && matrix.meanRecall.isNaN)
    try matrix.update(marks.sliced(0, to: 2), Tensor([Int64(0), 2]))
    try matrix.update(marks.sliced(0, from: 2), Tensor([Int32(1), 2, 255]))
    #expect(matrix.counts == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    #expect(matrix.value == 0.75)
    #expect(matrix.precision(of: 1) == 0.5 && matrix.recall(of: 2) == 0.5 && matrix.overlap(of: 1) == 0.5)
    #expect(matrix.precision(of: 3).isNaN && matrix.recall(of: 3).isNaN && matrix.overlap(of: 3).isNaN)
    #expect(abs(matrix.meanRecall - 2.5 / 3) < 1e-12 && abs(matrix.meanOverlap - 2.0 / 3) < 1e-12)
}

@Test func pixelsAreCountedLikeRows() throws {
    var generator = Philox(seed: 3)
    let maps = try Tensor.normal([2, 3, 4, 5], using: &generator), classes = try Tensor.integers([2, 4, 5], in: 0..<3, using: &generator)
    var pixels = ConfusionMatrix(classes: 3), rows = pixels
    try pixels.update(maps, classes)
    try rows.update(maps.permuted([0, 2, 3, 1]).reshaped([40, 3]), classes.flattened())
    #expect(pixels.counts == rows.counts && pixels.counts.joined().reduce(0, +) == 40)
    #expect(throws: TensorError(.labelOutOfRange(row: 1, label: 3, classes: 3))) { try rows.update(.zeros([2, 3]), Tensor([Int64(0), 3])) }
    #expect(throws: TensorError.self) { try rows.update(.zeros([2, 4]), Tensor([Int64(0), 1])) }
    #expect(throws: TensorError.self) { try rows.update(.zeros([2, 3]), Tensor([Int64(0)])) }
}
