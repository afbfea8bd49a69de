import KeelKernels

// Random numbers beyond `uniform` and `normal`. Each is a function of the generator's seed, stream and position and of its own place, so that
// the thread count changes nothing. None of them has a gradient.
extension Tensor {
    /// Normally distributed numbers that lie between two limits, which are counted in deviations from the mean.
    public static func truncatedNormal(
        _ shape: Shape, mean: Double = 0, deviation: Double = 1, within limits: ClosedRange<Double> = -2...2, _ dtype: DType = .float32,
        using generator: inout Philox
    ) throws(TensorError) -> Tensor {
        let result = try Tensor(undefined: TensorSpec(shape, .float64), on: CPU.shared), first = generator.takeBlocks(result.count)
        keel_draw_truncated_normal(
            generator.seed, generator.stream, first, Int64(result.count), limits.lowerBound, limits.upperBound, result.pointer(Double.self))
        return try (result * deviation + mean).cast(to: dtype)
    }

    /// Exponentially distributed numbers with a mean of `1 / rate`.
    public static func exponential(_ shape: Shape, rate: Double = 1, _ dtype: DType = .float32, using generator: inout Philox) throws(TensorError) -> Tensor {
        guard rate > 0 else { throw .argument(primitive: "Exponential", name: "rate", given: rate, allowed: "above 0") }
        return try (uniformDoubles(shape, using: &generator).log() * (-1 / rate)).cast(to: dtype)
    }

    /// Whole numbers of a range, each as likely as the others.
    ///
    /// - Throws: `TensorError.argument` for an empty range, one of more than 2^53 numbers, or one that the dtype can't hold.
    public static func integers(
        _ shape: Shape, in range: Range<Int>, _ dtype: DType = .int64, using generator: inout Philox
    ) throws(TensorError) -> Tensor {
        let (count, overflow) = range.upperBound.subtractingReportingOverflow(range.lowerBound)
        let held: ClosedRange<Int>? =
            switch dtype {
            case .int64: Int.min...Int.max
            case .int32: Int(Int32.min)...Int(Int32.max)
            case .uint8: 0...255
            case .bool, .bfloat16, .float16, .float32, .float64: nil
            }
        guard let held else { throw .dtype(primitive: "Integers", expected: "whole numbers", dtype) }
        guard !overflow, 1...1 << 53 ~= count, held.contains(range.lowerBound), held.contains(range.upperBound - 1) else {
            throw .argument(primitive: "Integers", name: "range", given: range, allowed: "1 to 2^53 numbers of \(held)")
        }
        let places = try (uniformDoubles(shape, using: &generator) * Double(count)).floor().minimum(Double(count - 1))
        return try (places.cast(to: .int64) + Tensor(Int64(range.lowerBound))).cast(to: dtype)
    }

    /// The numbers from 0 up to `count` in a random order, as int64.
    public static func permutation(_ count: Int, using generator: inout Philox) throws(TensorError) -> Tensor {
        guard count >= 0 else { throw .argument(primitive: "Permutation", name: "count", given: count, allowed: "0 and more") }
        let keys = try Tensor(undefined: TensorSpec([count], .int64), on: CPU.shared), first = generator.takeBlocks((count + 1) / 2)
        keel_philox_bits(generator.seed, generator.stream, first, Int64(2 * count), keys.bytes.assumingMemoryBound(to: UInt32.self))
        return try keys.argSorted()
    }

    /// For probabilities: true with each of them.
    public func bernoulli(using generator: inout Philox) throws(TensorError) -> Tensor {
        let doubles = try drawn("Bernoulli", "probabilities of 0...1") { $0 >= 0 && $0 <= 1 }
        return try Tensor.uniformDoubles(shape, using: &generator).isLess(than: doubles).moved(to: device)
    }

    /// For shapes above 0: gamma-distributed numbers with a scale of 1.
    public func gamma(using generator: inout Philox) throws(TensorError) -> Tensor {
        try logGamma(using: &generator).exp().cast(to: dtype).moved(to: device)
    }

    /// For shapes above 0, and others as many: beta-distributed numbers. They may round to 0 and 1, but are never NaN.
    public func beta(_ other: Tensor, using generator: inout Philox) throws(TensorError) -> Tensor {
        let (a, b) = (try logGamma(using: &generator), try other.logGamma(using: &generator))
        return try (a - b).sigmoid().cast(to: dtype).moved(to: device)
    }

    /// For shapes above 0, `[..., n]`: points of the simplex along the last axis, by Dirichlet's distribution.
    public func dirichlet(using generator: inout Philox) throws(TensorError) -> Tensor {
        try logGamma(using: &generator).softmax().cast(to: dtype).moved(to: device)
    }

    /// For rates from 0 up: Poisson-distributed numbers, of the same kind of float.
    public func poisson(using generator: inout Philox) throws(TensorError) -> Tensor {
        let rates = try drawn("Poisson", "finite rates of 0 and more") { $0 >= 0 && $0.isFinite }
        let result = try Tensor(undefined: rates.spec, on: CPU.shared), first = generator.takeBlocks(count * Int(KEEL_DRAW_BLOCKS))
        keel_draw_poisson(generator.seed, generator.stream, first, Int64(count), rates.pointer(Double.self), result.pointer(Double.self))
        return try result.cast(to: dtype).moved(to: device)
    }

    /// For logits: indices along the last axis, each with the softmax' probability, drawn independently.
    ///
    /// - Shapes: `[..., n]` → `[..., draws]` int64.
    /// - Throws: `TensorError.argument` for a row of NaN, +infinity or only -infinity.
    public func categorical(_ draws: Int, using generator: inout Philox) throws(TensorError) -> Tensor {
        let logits = try logits(in: "Categorical"), n = try shape.size(-1)
        guard draws >= 0 else { throw .argument(primitive: "Categorical", name: "draws", given: draws, allowed: "0 and more") }
        let result = try Tensor(undefined: TensorSpec(shape.dropLast(1) + [draws], .int64), on: CPU.shared), rows = count / n
        let first = generator.takeBlocks(result.count)
        guard result.count > 0 else { return try result.moved(to: device) }
        keel_draw_categorical(
            generator.seed, generator.stream, first, Int64(rows), Int64(n), Int64(draws), logits.pointer(Double.self), result.pointer(Int64.self))
        for place in 0..<result.count where result.pointer(Int64.self)[place] < 0 {
            throw .argument(primitive: "Categorical", name: "row \(place / draws)", given: "without a finite logit, or with NaN", allowed: "logits of probabilities")
        }
        return try result.moved(to: device)
    }

    /// For logits: indices along the last axis, no index of a row twice, as if drawn one after the other from what is left.
    ///
    /// - Shapes: `[..., n]` → `[..., draws]` int64, in the order of drawing.
    /// - Throws: `TensorError.argument` where a row has fewer than `draws` logits above -infinity.
    /// - Source: Kool, van Hoof and Welling, *Stochastic beams and where to find them*, 2019: the largest logits plus Gumbel noise.
    public func multinomial(withoutReplacement draws: Int, using generator: inout Philox) throws(TensorError) -> Tensor {
        let logits = try logits(in: "Multinomial"), zero = try Tensor(0.0)
        guard draws >= 0, draws <= (try shape.size(-1)) else {
            throw .argument(primitive: "Multinomial", name: "draws", given: draws, allowed: "0...\(try shape.size(-1))")
        }
        let noise = try Tensor.uniformDoubles(shape, using: &generator).log().negated().log().negated()
        let isPossible = try logits.isGreater(than: Tensor(-Double.infinity)).and(logits.isLess(than: Tensor(Double.infinity)))
        let possible = try isPossible.cast(to: .float64).sum([-1])
        let least = count == 0 ? Double(draws) : try possible.min().item(Double.self)
        guard least >= Double(draws) else {
            throw .argument(primitive: "Multinomial", name: "draws", given: draws, allowed: "at most as many as a row has finite logits")
        }
        let perturbed = try isPossible.select(isPossible.select(logits, zero) + noise, Tensor(-Double.infinity))
        return try perturbed.topK(draws).indices.moved(to: device)
    }

    /// Uniform numbers of (0, 1) with 53 bits.
    static func uniformDoubles(_ shape: Shape, using generator: inout Philox) throws(TensorError) -> Tensor {
        let result = try Tensor(undefined: TensorSpec(shape, .float64), on: CPU.shared), first = generator.takeBlocks(result.count)
        keel_draw_uniform(generator.seed, generator.stream, first, Int64(result.count), result.pointer(Double.self))
        return result
    }

    private func logGamma(using generator: inout Philox) throws(TensorError) -> Tensor {
        let shapes = try drawn("Gamma", "finite shapes above 0") { $0 > 0 && $0.isFinite }
        let result = try Tensor(undefined: shapes.spec, on: CPU.shared), first = generator.takeBlocks(count * Int(KEEL_DRAW_BLOCKS))
        keel_draw_log_gamma(generator.seed, generator.stream, first, Int64(count), shapes.pointer(Double.self), result.pointer(Double.self))
        return result
    }

    private func logits(in name: String) throws(TensorError) -> Tensor {
        guard rank >= 1, try shape.size(-1) > 0 else { throw .rank(primitive: name, expected: "logits [..., n], one at least", shape) }
        return try drawn(name, "floats") { _ in true }
    }

    /// The parameters as doubles on the host, all of them allowed.
    private func drawn(_ name: String, _ allowed: String, _ isAllowed: (Double) -> Bool) throws(TensorError) -> Tensor {
        guard dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", dtype) }
        let doubles = try detached().cast(to: .float64).moved(to: CPU.shared).contiguous(), numbers = doubles.pointer(Double.self)
        for place in 0..<count where !isAllowed(numbers[place]) {
            throw .argument(primitive: name, name: "number \(place)", given: numbers[place], allowed: allowed)
        }
        return doubles
    }
}

// Logarithms of probabilities, of this tensor's numbers; all have gradients.
extension Tensor {
    /// The logarithm of a normal distribution's density, broadcast: `-((x - mean) / deviation)² / 2 - log deviation - log √2π`.
    public func normalLogDensity(mean: Tensor, deviation: Tensor) throws(TensorError) -> Tensor {
        let squares = try ((self - mean) / deviation).squared()
        return try squares * -0.5 - deviation.log() - 0.91893853320467274  // log √2π
    }

    /// For outcomes of 0 and 1: the logarithm of their probability, with `sigmoid(logits)` for that of 1.
    public func bernoulliLogProbability(logits: Tensor) throws(TensorError) -> Tensor { try apply(LogisticLoss(), logits, self).negated() }

    /// For indices `[...]`: the logarithm of the probability that `softmax(logits)` gives them.
    ///
    /// - Shapes: `[...]`, `logits [..., n]` → `[...]`.
    public func categoricalLogProbability(logits: Tensor) throws(TensorError) -> Tensor {
        try logits.logSoftmax().takenAlong(-1, at: withAxis(-1)).withoutAxis(-1)
    }
}

extension Philox {
    /// Takes `count` whole blocks, and says where they begin.
    fileprivate mutating func takeBlocks(_ count: Int) -> UInt64 { take(4 * count) }
}
