import Keel
import Testing

private func ramp(_ y: Tensor) throws -> Tensor {
    try Tensor((0..<y.count).map { Double(($0 * 37 + 11) % 17) / 8 - 1 }, y.shape).cast(to: y.dtype)
}

private func typed(_ function: @escaping @Sendable ([Tensor]) throws -> Tensor) -> ([Tensor]) throws(TensorError) -> [Tensor] {
    { inputs throws(TensorError) in
        do { return [try function(inputs)] } catch let error as TensorError { throw error } catch { throw TensorError(.custom("\(error)")) }
    }
}

/// In float64 with a step of 1e-5 a central difference is right to about 1e-9. Every primitive that has a gradient has a tangent.
@Test(arguments: primitiveCases.filter { $0.isDifferentiable && $0.isTwiceDifferentiable })
func tangentsMatchCentralDifferences(_ row: PrimitiveCase) throws {
    for (i, shapes) in row.shapes.enumerated() where shapes.allSatisfy({ ($0.sizes ?? []).reduce(1, *) < 2000 }) {
        let inputs = try row.sample(shapes, seed: UInt64(i) + 50).map { try $0.cast(to: .float64) }
        var generator = Philox(seed: 99)
        let directions = try shapes.map { try Tensor.uniform($0, in: -1...1, using: &generator).cast(to: .float64) }
        func along(_ by: Double) throws -> Tensor {
            let y = try row.function(zip(inputs, directions).map { try $0 + $1 * by })
            return try (y * ramp(y)).sum()
        }
        let (y, tangents) = try jvp(typed(row.function), at: inputs, along: directions)
        let found = try (tangents[0] * ramp(y[0])).sum().cast(to: .float64).item(Double.self)
        let difference = try (along(1e-5) - along(-1e-5)).cast(to: .float64).item(Double.self) / 2e-5
        #expect(abs(found - difference) <= 1e-6 * max(1, abs(difference)), "\(shapes): \(found), by differences \(difference)")
    }
}

@Test func aTangentOfAGradientIsAHessianTimesAVector() throws {
    let x = try Tensor([0.3, -1.2, 2.0]), v = try Tensor([1.0, 0.5, -2.0])
    let (_, found) = try jvp(
        { x throws(TensorError) in try (x[0] * x[0] * x[0]).sum().gradients(of: x, createsGraph: true) }, at: [x], along: [v])
    let expected = try (x * v * 6).elements(Double.self)
    #expect(zip(try found[0].elements(Double.self), expected).allSatisfy { abs($0 - $1) < 1e-12 })
}

@Test func aTangentCanBeDifferentiatedByWhatItsInputsComeFrom() throws {
    let x = try Tensor([0.3, -1.2]).requiringGradient(), v = try Tensor([1.0, 0.5])
    let (_, tangents) = try jvp({ x throws(TensorError) in [try x[0].exp() * x[0]] }, at: [x], along: [v])
    // The tangent is e^x (1 + x) v, so its sum's gradient is e^x (2 + x) v.
    let found = try tangents[0].sum().gradients(of: [x])[0].elements(Double.self)
    let expected = try (x.detached().exp() * (x.detached() + 2) * v).elements(Double.self)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 })
}

@Test func aTangentGoesThroughHooksAndCheckpoints() throws {
    let x = try Tensor([0.3, -1.2]), v = try Tensor([1.0, 0.5]), factor = try Tensor(2.0).requiringGradient()
    let (_, tangents) = try jvp(
        { x throws(TensorError) in
            try checkpointed([x[0].withGradientHook { $0 }]) { x throws(TensorError) in [try (x[0] * factor).tanh()] }
        }, at: [x], along: [v])
    let y = try (x * 2).tanh()
    let expected = try ((1 - y * y) * v * 2).elements(Double.self)
    #expect(zip(try tangents[0].elements(Double.self), expected).allSatisfy { abs($0 - $1) < 1e-12 })
}

@Test func tangentsOfWhatDoesNotDependAreZerosAndWrongOnesAreRefused() throws {
    let x = try Tensor([Float(1), 2])
    #expect(try jvp({ x throws(TensorError) in [try Tensor([Float(3)])] }, at: [x], along: [x]).tangents[0].elements() == [0])
    #expect(throws: TensorError.self) { try jvp({ $0 }, at: [x], along: [Tensor([Float(1)])]) }
    #expect(throws: TensorError.self) { try jvp({ $0 }, at: [x], along: []) }
}
