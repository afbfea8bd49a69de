import KeelKernels

/// A counter-based random number generator, Philox 4x32-10: the same seed gives the same stream, at any thread count and on any
/// processor.
///
/// - Source: Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy as 1, 2, 3*, 2011.
public struct Philox: RandomNumberGenerator, Sendable, Hashable {
    public let seed: UInt64
    /// Streams of one seed don't overlap.
    public let stream: UInt64
    /// Blocks of four 32-bit words that were used up. With seed and stream, all there is to save.
    public private(set) var position: UInt64

    /// - Precondition: `stream` is below 2^63; the others are for dropout.
    public init(seed: UInt64, stream: UInt64 = 0, position: UInt64 = 0) {
        precondition(stream < 1 << 63, "streams from 2^63 up are for dropout")
        self.seed = seed
        self.stream = stream
        self.position = position
    }

    public mutating func next() -> UInt64 {
        var words: (UInt32, UInt32) = (0, 0)
        withUnsafeMutableBytes(of: &words) { keel_philox_bits(seed, stream, position, 2, $0.bindMemory(to: UInt32.self).baseAddress) }
        position += 1
        return UInt64(words.1) << 32 | UInt64(words.0)
    }

    /// Takes the blocks that `count` numbers need, and says where they begin.
    mutating func take(_ count: Int) -> UInt64 {
        defer { position += UInt64((count + 3) / 4) }
        return position
    }
}

extension Tensor {
    /// Floats, each as likely as any other in `range`, its upper end excluded (half floats may round to it). Float64 ones have 53 random bits,
    /// others are rounded from the same float32 numbers.
    public static func uniform(
        _ shape: Shape, in range: ClosedRange<Float> = 0...1, _ dtype: DType = .float32, using generator: inout Philox
    ) throws(TensorError) -> Tensor {
        guard dtype.isFloat else { throw .dtype(primitive: "Uniform", expected: "floats", dtype) }
        if let described = try ThreadState.current.trace?.described(TensorSpec(shape, dtype)) { return described }
        if dtype == .float64 {
            let lower = Double(range.lowerBound)
            return try uniformDoubles(shape, using: &generator) * (Double(range.upperBound) - lower) + lower
        }
        let result = try Tensor(undefined: TensorSpec(shape, .float32), on: CPU.shared)
        let first = generator.take(result.count)
        keel_philox_uniform_f32(
            generator.seed, generator.stream, first, Int64(result.count), range.lowerBound, range.upperBound, result.pointer(Float.self))
        return try result.cast(to: dtype)
    }

    /// Normally distributed floats, with as many random bits as those of `uniform`.
    public static func normal(
        _ shape: Shape, mean: Float = 0, deviation: Float = 1, _ dtype: DType = .float32, using generator: inout Philox
    ) throws(TensorError) -> Tensor {
        guard dtype.isFloat else { throw .dtype(primitive: "Normal", expected: "floats", dtype) }
        if let described = try ThreadState.current.trace?.described(TensorSpec(shape, dtype)) { return described }
        if dtype == .float64 {
            // What lies further away is less likely than 53 bits can tell.
            return try truncatedNormal(shape, mean: Double(mean), deviation: Double(deviation), within: -9...9, .float64, using: &generator)
        }
        let result = try Tensor(undefined: TensorSpec(shape, .float32), on: CPU.shared)
        let first = generator.take(result.count)
        keel_philox_normal_f32(generator.seed, generator.stream, first, Int64(result.count), mean, deviation, result.pointer(Float.self))
        return try result.cast(to: dtype)
    }
}
