package import Keel

/// A program of 10 to 40 primitives drawn from a seed: each step takes earlier matrices and makes one of the same shape. All steps keep numbers
/// of about 1 there, and none divides by what may be near 0, so that roundings stay roundings.
package struct RandomProgram: Sendable, CustomStringConvertible {
    package let seed: UInt64
    package let rows, columns: Int

    package init(seed: UInt64, rows: Int, columns: Int) {
        self.seed = seed
        self.rows = rows
        self.columns = columns
    }

    package var description: String { "seed \(seed), [\(rows), \(columns)]" }

    private typealias Step = @Sendable (_ x: Tensor, _ y: Tensor, _ draw: Int) throws -> Tensor

    /// The matrices that it begins with.
    package func variables(on device: any Device) throws -> [Tensor] {
        var generator = Philox(seed: seed)
        return try variables(&generator).map { try $0.moved(to: device) }
    }

    private func variables(_ generator: inout Philox) throws -> [Tensor] {
        try (0..<3).map { _ in try Tensor.uniform([rows, columns], in: -1.5...1.5, using: &generator) }
    }

    /// The last three matrices, and the gradients of a scalar of them all by the variables.
    package func run(_ variables: [Tensor]) throws -> [Tensor] {
        var generator = Philox(seed: seed)
        _ = try self.variables(&generator)  // The steps are drawn after them.
        let device = variables[0].device, variables = variables.map { $0.requiringGradient() }
        var made = variables
        for _ in 0..<(10 + Int(generator.next() % 31)) {
            let step = Self.steps[Int(generator.next() % UInt32(Self.steps.count))]
            let x = made[Int(generator.next() % UInt32(made.count))], y = made[Int(generator.next() % UInt32(made.count))]
            made.append(try step(x, y, Int(generator.next() % 1000)))
        }
        let last = Array(made.suffix(3))
        let weights = try Tensor((0..<rows * columns).map { Float(($0 * 37 + 11) % 17) / 8 - 1 }, [rows, columns]).moved(to: device)
        var sum = try Tensor(Float(0)).moved(to: device)
        for matrix in last { sum = try sum + (matrix * weights).sum() }
        return last.map { $0.detached() } + (sum.requiresGradient ? try sum.gradients(of: variables) : [])
    }

    private static let steps: [Step] = [
        { x, y, _ in try (x + y) * 0.5 },
        { x, y, _ in try x - y * 0.5 },
        { x, y, _ in try x * y.tanh() },
        { x, y, _ in try x / (y * y + 1) },
        { x, y, _ in try (x.sigmoid() + 0.5).power(y.tanh()) },
        { x, y, _ in try x.maximum(y) },
        { x, y, _ in try x.minimum(y) },
        { x, _, _ in try x.tanh().exp() * 0.5 },
        { x, _, _ in try (x * x + 1).log() },
        { x, _, _ in try (x * x + 1).squareRoot() },
        { x, _, _ in try x.magnitude() - 0.5 },
        { x, _, _ in try x.erf() },
        { x, _, _ in try x.negated().relu() },
        { x, _, _ in try x.leakyRelu(slope: 0.1) },
        { x, _, _ in try x.clipped(from: -1, to: 1) },
        { x, _, _ in try x.silu() },
        { x, _, _ in try x.gelu() },
        { x, _, _ in try x.sigmoid() },
        { x, _, _ in try (x.magnitude() + 1).reciprocal() },
        { x, y, _ in try x.isLess(than: y).select(x, y) },
        { x, _, _ in try x.transposed().contiguous().transposed() },
        { x, _, _ in try x.reshaped([x.shape.size(1), x.shape.size(0)]).transposed() },
        { x, y, draw in
            let n = try draw % x.shape.size(1) + 1
            return try .concatenated([x.sliced(1, from: n - 1), y.sliced(1, to: n - 1)], axis: 1)
        },
        { x, _, draw in try x.rolled(by: draw, axis: draw % 2) },
        { x, _, _ in try x.flipped([0, 1]) },
        { x, _, _ in try x.padded([(1, 0), (0, 2)], .reflect).sliced(0, to: x.shape.size(0)).sliced(1, from: 2) },
        { x, _, _ in try x - x.mean([1], keepingAxes: true) },
        { x, y, _ in try x + y.sum([0], keepingAxes: true) * (1 / Double(y.shape.size(0))) },
        { x, y, _ in try x * 0.5 - y.max([0], keepingAxes: true) * 0.5 },
        { x, y, _ in try x * 0.5 + y.min([1], keepingAxes: true) * 0.5 },
        { x, y, _ in try (x.matmul(y.transposed().matmul(y)) * (2 / Double(x.count))).tanh() },
        { x, _, _ in try x.softmax() * 2 },
        { x, _, _ in try x.logSoftmax(0) * 0.2 },
        { x, y, _ in try x.layerNormalised(scale: y.at(0), bias: y.at(-1), epsilon: 0.5) },
        { x, y, _ in try x.batchNormalised(scale: y.at(0), bias: y.at(-1), epsilon: 0.5).y },
        { x, _, draw in
            let n = try x.shape.size(0)
            return try x.gathered(Tensor((0..<n).map { Int64(($0 * 7 + draw) % n) }).moved(to: x.device))
        },
        { x, y, draw in
            let n = try x.shape.size(0)
            return try (x.scattered(parts: y, at: Tensor((0..<n).map { Int64(($0 * 3 + draw) % n) }).moved(to: x.device), .add)) * 0.5
        },
        { x, _, _ in try x.cumulativeSum(1) * (1 / Double(x.shape.size(1))) },
        { x, _, _ in try x.topK(x.shape.size(1)).values },
        { x, y, _ in
            let picture = try x.reshaped(Shape([1, 1]) + x.shape), kernel = try y.sliced(0, to: 3).sliced(1, to: 3).reshaped([1, 1, 3, 3])
            return try picture.conv2D(kernel, sliding: Sliding(padding: 1)).reshaped(x.shape) * 0.3
        },
        { x, _, _ in try x.reshaped(Shape([1, 1]) + x.shape).maxPool2D(3, stride: 1, padding: 1).reshaped(x.shape) },
        { x, _, _ in try x.reshaped(Shape([1, 1]) + x.shape).averagePool2D(3, stride: 1, padding: 1).reshaped(x.shape) },
        { x, _, draw in try x.dropout(0.3, random: Tensor([Int64(5), Int64(draw)]).moved(to: x.device), draw: 1) },
        { x, _, _ in try x.cast(to: .float64).tanh().cast(to: .float32) },
        { x, y, _ in try x / (y.norm() + 1) * 2 },
    ]
}

private func + (a: Shape, b: Shape) -> Shape { Shape((a.sizes ?? []) + (b.sizes ?? [])) }
