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
    /// Float32 numbers, each as likely as any other in `range` (the upper end excluded).
    public static func uniform(_ shape: Shape, in range: ClosedRange<Float> = 0...1, using generator: inout Philox) throws(TensorError) -> Tensor {
        let result = try Tensor(undefined: TensorSpec(shape, .float32), on: CPU.shared)
        let first = generator.take(result.count)
        keel_philox_uniform_f32(
            generator.seed, generator.stream, first, Int64(result.count), range.lowerBound, range.upperBound, result.pointer(Float.self))
        return result
    }

    /// Normally distributed float32 numbers.
    public static func normal(_ shape: Shape, mean: Float = 0, deviation: Float = 1, using generator: inout Philox) throws(TensorError) -> Tensor {
        let result = try Tensor(undefined: TensorSpec(shape, .float32), on: CPU.shared)
        let first = generator.take(result.count)
        keel_philox_normal_f32(generator.seed, generator.stream, first, Int64(result.count), mean, deviation, result.pointer(Float.self))
        return result
    }
}
