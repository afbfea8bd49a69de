import Keel
import Testing

private func table(_ device: any Device = CPU.shared) throws -> Tensor {
    var generator = Philox(seed: 5)
    return try Tensor.normal([40, 6], using: &generator).moved(to: device)
}

/// Rows of a table that are looked up twice, from the end, and in two places.
private func loss(_ table: Tensor) throws -> Tensor {
    let once = try table.gathered(Tensor([Int64(3), 7, -1, 3], [2, 2])).sigmoid().sum()
    return try once + table.gathered(Tensor([Int32(7), 0])).squared().sum()
}

@Test func rowsOfATableAddUpToTheDenseGradient() throws {
    let sparse = try table().table(named: "words"), dense = try table().requiringGradient()
    try loss(sparse).backward()
    try loss(dense).backward()
    #expect(sparse.gradient == nil)
    #expect(sparse.rowGradients.map { $0.indices.count }.sorted() == [2, 4])
    var sum = [Float](repeating: 0, count: 240)
    for part in sparse.rowGradients {
        let rows = try part.indices.cast(to: .int64).elements(Int64.self), values = try part.values.elements()
        for (i, row) in rows.enumerated() {
            for f in 0..<6 { sum[Int(row < 0 ? row + 40 : row) * 6 + f] += values[i * 6 + f] }
        }
    }
    // The same numbers in another order of additions: rounding only.
    let expected = try #require(dense.gradient).elements()
    #expect(zip(sum, expected).allSatisfy { abs($0 - $1) <= 1e-6 })
    sparse.clearGradient()
    #expect(sparse.rowGradients.isEmpty)
}

@Test func gradientsOfATableThatAreAskedForAreDense() throws {
    let sparse = try table().table(), dense = try table().requiringGradient()
    let found = try loss(sparse).gradients(of: [sparse])[0], expected = try loss(dense).gradients(of: [dense])[0]
    #expect(try found.elements() == expected.elements())
    #expect(sparse.rowGradients.isEmpty)
}

/// Three steps with indices that come more than once; the fast kernel differs from the plain one by roundings of float32.
@Test(arguments: [1, 6, 16, 17, 70, 113])
func lazyAdamAgreesWithPlainLoops(_ features: Int) throws {
    func run(_ device: any Device) throws -> [Float] {
        var generator = Philox(seed: 3)
        let value = try Tensor.zeros([900, features], on: device)
        try value.assign(Tensor.normal([900, features], using: &generator).moved(to: device))
        let first = try Tensor.zeros([900, features], on: device), second = try Tensor.zeros([900, features], on: device)
        let marks = try Tensor.full(-1, [900], .int32, on: device), rate = try Tensor(Float(0.1)).moved(to: device)
        for step in 1...3 {
            let indices = try Tensor((0..<700).map { _ in Int64(generator.next() % 1000) - 100 }).moved(to: device)
            let rows = try Tensor.normal([700, features], using: &generator).moved(to: device)
            let number = try Tensor(Int64(step)).moved(to: device)
            try update(LazyAdamStep(beta1: 0.9, beta2: 0.99, epsilon: 1e-8, rateFactor: 0.5), [value, first, second, marks, indices, rows, rate, number])
        }
        #expect(try marks.moved(to: CPU.shared).elements(Int32.self).allSatisfy { $0 == -1 })
        return try [value, first, second].flatMap { try $0.moved(to: CPU.shared).elements() }
    }
    let (fast, plain) = (try run(CPU.shared), try run(Reference.shared))
    #expect(zip(fast, plain).allSatisfy { abs($0 - $1) <= 2e-5 * max(1, abs($1)) })
}

@Test func lazyAdamRefusesRowsThatAreNotThere() throws {
    let value = try Tensor.zeros([4, 2]), first = try Tensor.zeros([4, 2]), second = try Tensor.zeros([4, 2])
    let marks = try Tensor.full(-1, [4], .int32), one = try Tensor(Int64(1)), rate = try Tensor(Float(1))
    let step = LazyAdamStep(beta1: 0.9, beta2: 0.99, epsilon: 1e-8, rateFactor: 1)
    #expect(throws: TensorError(.indexOutOfRange(primitive: "LazyAdamStep", position: 1, index: 4, limit: 4))) {
        try update(step, [value, first, second, marks, Tensor([Int64(0), 4]), Tensor.ones([2, 2]), rate, one])
    }
    #expect(throws: TensorError(.shape(primitive: "LazyAdamStep", expected: "float32[2, 2]", [2, 3]))) {
        try update(step, [value, first, second, marks, Tensor([Int64(0), 1]), Tensor.ones([2, 3]), rate, one])
    }
}
