public import Keel

/// Which side of a layer keeps its variance.
public enum FanMode: Sendable, Hashable {
    /// What comes in: activations keep their size on the way forward.
    case input
    /// What goes out: gradients keep theirs on the way back.
    case output
}

// Initial values of weights `[outputs, inputs, window...]`. A fan is a number of connections: inputs, or outputs, times the window.
extension Tensor {
    /// Uniform numbers whose variance is `2 / ((1 + slope²) fan)`, for layers before a rectifier with that slope below 0.
    ///
    /// - Source: He, Zhang, Ren and Sun, *Delving deep into rectifiers*, 2015.
    public static func kaimingUniform(_ shape: Shape, slope: Double = 0, mode: FanMode = .input, using generator: inout Philox) throws(TensorError) -> Tensor {
        let connections = try fan(shape, mode), bound = Float((6 / ((1 + slope * slope) * connections)).squareRoot())
        return try uniform(shape, in: -bound...bound, using: &generator)
    }

    /// Normal numbers with that variance.
    public static func kaimingNormal(_ shape: Shape, slope: Double = 0, mode: FanMode = .input, using generator: inout Philox) throws(TensorError) -> Tensor {
        let connections = try fan(shape, mode)
        return try normal(shape, deviation: Float((2 / ((1 + slope * slope) * connections)).squareRoot()), using: &generator)
    }

    /// Uniform numbers whose variance is `2 gain² / (fan in + fan out)`.
    ///
    /// - Source: Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010.
    public static func xavierUniform(_ shape: Shape, gain: Double = 1, using generator: inout Philox) throws(TensorError) -> Tensor {
        let connections = try fan(shape, .input) + fan(shape, .output), bound = Float(gain * (6 / connections).squareRoot())
        return try uniform(shape, in: -bound...bound, using: &generator)
    }

    /// Normal numbers with that variance.
    public static func xavierNormal(_ shape: Shape, gain: Double = 1, using generator: inout Philox) throws(TensorError) -> Tensor {
        let connections = try fan(shape, .input) + fan(shape, .output)
        return try normal(shape, deviation: Float(gain * (2 / connections).squareRoot()), using: &generator)
    }

    /// `gain` times a random matrix with orthonormal rows, or columns where there are more rows than columns: all axes but the first are one.
    ///
    /// - Source: Saxe, McClelland and Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep linear neural networks*, 2014;
    ///   Mezzadri, *How to generate random matrices from the classical compact groups*, 2007, for the signs.
    public static func orthogonal(_ shape: Shape, gain: Double = 1, using generator: inout Philox) throws(TensorError) -> Tensor {
        _ = try fan(shape, .input)
        let rows = try shape.size(0), columns = try shape.elementCount() / rows, isWide = columns > rows
        let (q, r) = try normal(isWide ? [columns, rows] : [rows, columns], using: &generator).cast(to: .float64).qr()
        let even = try q * r.diagonal().sign().withAxis(0) * gain
        return try (isWide ? even.transposed() : even).contiguous().reshaped(shape).cast(to: .float32)
    }

    private static func fan(_ shape: Shape, _ mode: FanMode) throws(TensorError) -> Double {
        guard shape.rank >= 2, try shape.elementCount() > 0 else {
            throw TensorError(.rank(primitive: "Initialiser", expected: "weights [outputs, inputs, window...] with a number at least", shape))
        }
        let window = try shape.elementCount() / (shape.size(0) * shape.size(1))
        return Double(window) * Double(try shape.size(mode == .input ? 1 : 0))
    }
}
