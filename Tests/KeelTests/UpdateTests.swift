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
            try update(AdamWStep(beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, rateFactor: 1), [other, first, second, gradient, rate, number])
        }
        try other.scaleInPlace(by: rate)
        try velocity.updateRunning(towards: value, momentum: 0.25, samples: Dimension(3))
        return try [value, velocity, other, first, second].flatMap { try $0.moved(to: CPU.shared).elements() }
    }
    let (fast, plain) = (try run(CPU.shared), try run(Reference.shared))
    #expect(zip(fast, plain).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) })
}

@Test func assigningWritesTheSameStorage() throws {
    let x = try Tensor.zeros([2, 2])
    let row = try x.at(1)
    try x.assign(Tensor([Float(1), 2, 3, 4], [2, 2]))
    #expect(try row.elements() == [3, 4])
    try x.setInPlace(to: 7)
    #expect(try row.elements() == [7, 7])
}
