public import Keel

#if canImport(Glibc)
import Glibc
#endif

/// Adds to each step sines and cosines of its position, of wavelengths from 2π to 10000·2π.
///
/// - Shapes: `x [batch, time, features]` → the same; features even.
/// - Source: Vaswani et al., 2017, section 3.5: sines at even features, cosines at odd ones.
public struct SinusoidalEncoding: Layer {
    public init() {}

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let features = try x.shape.size(2)
        guard features % 2 == 0 else {
            throw TensorError(.argument(primitive: "SinusoidalEncoding", name: "features", given: "\(features)", allowed: "an even number"))
        }
        guard let time = x.shape[1].number else {
            // How many steps there are is known only when a program runs, which calculates the table.
            let turns = try Tensor(angles(1..<2, pairs: features / 2, base: 10_000)).cast(to: .float64)
            let all = try Tensor.positions(x.shape[1]).cast(to: .float64).withAxis(-1) * turns
            let table = try Tensor.concatenated([all.sine().withAxis(-1), all.cosine().withAxis(-1)], axis: -1).flattened(from: 1)
            return try x + table.cast(to: x.dtype).moved(to: x.device)
        }
        var table: [Double] = []
        for angle in angles(0..<time, pairs: features / 2, base: 10_000) { table += [sin(angle), cos(angle)] }
        return try x + Tensor(table, [time, features]).cast(to: x.dtype).moved(to: x.device)
    }

    public mutating func forEachState(_ body: StateVisitor) {}
}

/// Adds to each step a vector of its position, which is learned.
///
/// - Shapes: `x [batch, time, features]` → the same; `weight [positions, features]`, at least as many as steps.
/// - Initial values: normal with deviation 0.02.
public struct LearnedEncoding: Layer {
    public var weight: Tensor

    public init(_ positions: Int, _ features: Int, using generator: inout Philox) throws(TensorError) {
        weight = try .normal([positions, features], deviation: 0.02, using: &generator)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let positions = try weight.shape.size(0)
        guard let time = x.shape[1].number else { return try x + weight.gathered(.positions(x.shape[1])) }
        guard time <= positions else {
            throw TensorError(.argument(primitive: "LearnedEncoding", name: "steps", given: "\(time)", allowed: "at most \(positions)"))
        }
        return try x + weight.sliced(0, to: time)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try body("weight", .parameter, &weight) }
}

/// Turns each pair of neighbouring features by an angle that grows with the position: what two steps' products see of it is their distance.
///
/// - Shapes: `x [batch, time, heads * width]` → the same; width even.
/// - Source: Su et al., *RoFormer*, 2021, equation 34.
public struct RotaryEncoding: Sendable {
    /// Pair `i` of `n` turns by `base^(-i / n)` a step.
    public let base: Double

    public init(base: Double = 10_000) { self.base = base }

    /// - Parameter start: the first step's position.
    public func callAsFunction(_ x: Tensor, heads: Int, from start: Int = 0) throws(TensorError) -> Tensor {
        let sizes = x.shape.sizes ?? []
        guard sizes.count == 3, heads >= 1, sizes[2] % (2 * heads) == 0 else {
            throw TensorError(.shape(primitive: "RotaryEncoding", expected: "[batch, time, heads * width] with an even width", x.shape))
        }
        let (time, pairs) = (sizes[1], sizes[2] / heads / 2)
        let turns = angles(start..<start + time, pairs: pairs, base: base)
        let cosine = try Tensor(turns.map(cos), [time, 1, pairs, 1]).cast(to: x.dtype).moved(to: x.device)
        let sine = try Tensor(turns.map(sin), [time, 1, pairs, 1]).cast(to: x.dtype).moved(to: x.device)
        let both = try x.reshaped([sizes[0], time, heads, pairs, 2]).split(into: 2, axis: -1)
        let turned = try Tensor.concatenated([both[0] * cosine - both[1] * sine, both[0] * sine + both[1] * cosine], axis: -1)
        return try turned.reshaped(x.shape)
    }
}

extension Tensor {
    /// The positions `0, 1, ...` along an axis, whose size may be a symbol.
    package static func positions(_ count: Dimension) throws(TensorError) -> Tensor {
        if let number = count.number { return try range(number) }
        return try Tensor(Int64(1)).expanded(to: Shape(count)).cumulativeSum(0, exclusive: true)
    }

    /// For lengths `[batch]`: `[batch, time]` bools, true within each sequence; `time` may be a symbol.
    package func lengthMask(_ time: Dimension) throws(TensorError) -> Tensor {
        try Tensor.positions(time).cast(to: dtype).moved(to: device).isLess(than: withAxis(-1))
    }
}

/// For each position its pairs' angles.
private func angles(_ positions: Range<Int>, pairs: Int, base: Double) -> [Double] {
    positions.flatMap { position in (0..<pairs).map { Double(position) * pow(base, -Double($0) / Double(pairs)) } }
}
