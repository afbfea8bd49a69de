import Keel
import Testing

private func numbers(_ seed: UInt64, _ count: Int = 1000) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try Tensor.uniform([count], in: -1...1, using: &generator)
}

/// Three steps on each device; the fast kernels differ from the plain ones by roundings of float32.
@Test func optimiserStepsAgreeWithPlainLoops() throws {
    func run(_ device: any Device) throws -> [Float] {
        func fresh(_ seed: UInt64) throws -> Tensor {
            let copy = try Tensor.zeros([1000], on: device)
            try copy.assign(numbers(seed).moved(to: device))
            return copy
        }
        let value = try fresh(1), velocity = try fresh(2), other = try fresh(3)
        let first = try Tensor.zeros([1000], on: device), second = try Tensor.zeros([1000], on: device)
        let rate = try Tensor(Float(0.1)).moved(to: device)
        for step in 1...3 {
            let gradient = try fresh(UInt64(step) + 9)
            let number = try Tensor(Int64(step)).moved(to: device)
            try update(SGDStep(momentum: 0.9, decay: 0.01, rateFactor: 0.5, isNesterov: step == 2), [value, velocity, gradient, rate])
            let adam = AdamStep(beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, rateFactor: 1, isDecoupled: step != 2)
            try update(adam, [other, first, second, gradient, rate, number])
        }
        try other.scaleInPlace(by: rate)
        try velocity.updateRunning(towards: value, momentum: 0.25, samples: Dimension(3))
        return try [value, velocity, other, first, second].flatMap { try $0.moved(to: CPU.shared).elements() }
    }
    let (fast, plain) = (try run(CPU.shared), try run(Reference.shared))
    #expect(zip(fast, plain).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) })
}

/// As above; 40,000 numbers are three blocks of LAMB's sums.
@Test(arguments: [1000, 40_000])
func adaptiveStepsAgreeWithPlainLoops(_ count: Int) throws {
    func run(_ device: any Device) throws -> [Float] {
        func fresh(_ seed: UInt64) throws -> Tensor {
            let copy = try Tensor.zeros([count], on: device)
            try copy.assign(numbers(seed, count).moved(to: device))
            return copy
        }
        func zeros() throws -> Tensor { try .zeros([count], on: device) }
        let values = try (1...5).map { try fresh(UInt64($0)) }, state = try (0..<9).map { _ in try zeros() }
        let rate = try Tensor(Float(0.05)).moved(to: device)
        for step in 1...3 {
            let gradient = try fresh(UInt64(step) + 9), number = try Tensor(Int64(step)).moved(to: device)
            func rmsprop(_ momentum: Double, _ isCentred: Bool) -> RMSpropStep {
                RMSpropStep(smoothing: 0.9, momentum: momentum, epsilon: 1e-6, decay: 0.1, rateFactor: 1, isCentred: isCentred)
            }
            try update(AdagradStep(epsilon: 1e-8, decay: 0.1, rateFactor: 0.5), [values[0], state[0], gradient, rate])
            try update(rmsprop(0, false), [values[1], state[1], gradient, rate])
            try update(rmsprop(0.5, false), [values[2], state[2], state[3], gradient, rate])
            try update(rmsprop(0.5, true), [values[3], state[4], state[5], state[6], gradient, rate])
            try update(
                LAMBStep(beta1: 0.9, beta2: 0.99, epsilon: 1e-6, decay: 0.1, rateFactor: 1),
                [values[4], state[7], state[8], gradient, rate, number])
        }
        return try (values + state).flatMap { try $0.moved(to: CPU.shared).elements() }
    }
    let (fast, plain) = (try run(CPU.shared), try run(Reference.shared))
    // Where a mean gradient's square is nearly the mean square, their difference keeps few digits: so a tenth of a thousandth.
    #expect(zip(fast, plain).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, abs($1)) })
}

@Test func normsOfLAMBDontDependOnThreads() throws {
    func run(_ threads: Int) throws -> [Float] {
        let before = Threads.count
        defer { Threads.count = before }
        Threads.count = threads
        let value = try numbers(1, 50_001).contiguous(), first = try Tensor.zeros([50_001]), second = try Tensor.zeros([50_001])
        let step = LAMBStep(beta1: 0.9, beta2: 0.99, epsilon: 1e-6, decay: 0.1, rateFactor: 1)
        try update(step, [value, first, second, numbers(2, 50_001), Tensor(Float(0.1)), Tensor(Int64(1))])
        return try value.elements()
    }
    #expect(try run(1) == run(2))
}

@Test func assigningWritesTheSameStorage() throws {
    let x = try Tensor.zeros([2, 2])
    let row = try x.at(1)
    try x.assign(Tensor([Float(1), 2, 3, 4], [2, 2]))
    #expect(try row.elements() == [3, 4])
    try x.setInPlace(to: 7)
    #expect(try row.elements() == [7, 7])
}
