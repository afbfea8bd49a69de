import KeelKernels

// Optimiser steps whose rates follow what gradients were before. They write in place and run through `update`.

/// One step of Adagrad over flat memory; weight decay is added to the gradient.
///
/// - Shapes: `(value, sum, gradient) [n]`, `rate []` float32; written over value and sum.
/// - Source: Duchi, Hazan and Singer, 2011.
public struct AdagradStep: Primitive {
    let epsilon, decay, rateFactor: Double

    public init(epsilon: Double, decay: Double, rateFactor: Double) {
        self.epsilon = epsilon
        self.decay = decay
        self.rateFactor = rateFactor
    }

    public static var overwrites: [Int] { [0, 1] }
    public func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkFlat(inputs, vectors: 3, scalars: [.float32], Self.name)
        return SpecList([inputs[0], inputs[1]])
    }
    public static var kernels: Kernels<AdagradStep> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let (value, sum) = (outputs[0].pointer(Float.self), outputs[1].pointer(Float.self))
                let gradient = inputs[2].pointer(Float.self), rate = p.rateFactor * Double(inputs[3].pointer(Float.self).pointee)
                for i in 0..<inputs[0].count {
                    let g = Double(gradient[i]) + p.decay * Double(value[i]), s = Double(sum[i]) + g * g
                    sum[i] = Float(s)
                    value[i] = Float(Double(value[i]) - rate * g / (s.squareRoot() + p.epsilon))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                keel_adagrad_f32(
                    Int64(inputs[0].count), outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), inputs[2].pointer(Float.self),
                    Float(p.rateFactor) * inputs[3].pointer(Float.self).pointee, Float(p.epsilon), Float(p.decay))
                return true
            })
    }
}

/// One step of RMSprop over flat memory; weight decay is added to the gradient.
///
/// - Shapes: `(value, square, velocity, mean, gradient) [n]`, `rate []` float32; written over all but the last two. Without momentum there is no
///   velocity, and only where it is centred a mean.
/// - Source: Hinton, *Neural Networks for Machine Learning*, lecture 6e, 2012; centred: Graves, 2013.
public struct RMSpropStep: Primitive {
    let smoothing, momentum, epsilon, decay, rateFactor: Double
    let isCentred: Bool

    public init(smoothing: Double, momentum: Double, epsilon: Double, decay: Double, rateFactor: Double, isCentred: Bool) {
        self.smoothing = smoothing
        self.momentum = momentum
        self.epsilon = epsilon
        self.decay = decay
        self.rateFactor = rateFactor
        self.isCentred = isCentred
    }

    private var written: Int { 2 + (momentum > 0 ? 1 : 0) + (isCentred ? 1 : 0) }

    public static var overwrites: [Int] { [0, 1, 2, 3] }
    public func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkFlat(inputs, vectors: written + 1, scalars: [.float32], Self.name)
        return SpecList((0..<written).map { inputs[$0] })
    }
    public static var kernels: Kernels<RMSpropStep> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let value = outputs[0].pointer(Float.self), (square, velocity, mean) = p.moments(outputs)
                let gradient = inputs[p.written].pointer(Float.self)
                let rate = p.rateFactor * Double(inputs[p.written + 1].pointer(Float.self).pointee)
                for i in 0..<inputs[0].count {
                    let g = Double(gradient[i]) + p.decay * Double(value[i])
                    var s = p.smoothing * Double(square[i]) + (1 - p.smoothing) * g * g
                    square[i] = Float(s)
                    if let mean {
                        let m = p.smoothing * Double(mean[i]) + (1 - p.smoothing) * g
                        mean[i] = Float(m)
                        s = max(s - m * m, 0)
                    }
                    var direction = g / (s.squareRoot() + p.epsilon)
                    if let velocity {
                        direction += p.momentum * Double(velocity[i])
                        velocity[i] = Float(direction)
                    }
                    value[i] = Float(Double(value[i]) - rate * direction)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let (square, velocity, mean) = p.moments(outputs)
                keel_rmsprop_f32(
                    Int64(inputs[0].count), outputs[0].pointer(Float.self), square, velocity, mean, inputs[p.written].pointer(Float.self),
                    Float(p.rateFactor) * inputs[p.written + 1].pointer(Float.self).pointee, Float(p.smoothing), Float(p.momentum),
                    Float(p.epsilon), Float(p.decay))
                return true
            })
    }

    private typealias Numbers = UnsafeMutablePointer<Float>

    private func moments(_ outputs: Operands) -> (square: Numbers, velocity: Numbers?, mean: Numbers?) {
        (
            outputs[1].pointer(Float.self), momentum > 0 ? outputs[2].pointer(Float.self) : nil,
            isCentred ? outputs[written - 1].pointer(Float.self) : nil
        )
    }
}

/// One step of LAMB for one parameter: Adam's direction, with decoupled weight decay, made as long as the parameter.
///
/// - Shapes: `(value, first, second, gradient) [n]`, `rate []` float32, `step []` int64, counted from 1; written over the first three.
/// - Numerics: where the parameter or the direction is zero, the direction keeps its length.
/// - Source: You et al., *Large Batch Optimization for Deep Learning*, 2020, algorithm 2, with φ the identity.
public struct LAMBStep: Primitive {
    let beta1, beta2, epsilon, decay, rateFactor: Double

    public init(beta1: Double, beta2: Double, epsilon: Double, decay: Double, rateFactor: Double) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay
        self.rateFactor = rateFactor
    }

    public static var overwrites: [Int] { [0, 1, 2] }
    public func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkFlat(inputs, vectors: 4, scalars: [.float32, .int64], Self.name)
        return SpecList([inputs[0], inputs[1], inputs[2]])
    }
    public static var kernels: Kernels<LAMBStep> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let (value, first, second) = (outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self))
                let gradient = inputs[3].pointer(Float.self), rate = p.rateFactor * Double(inputs[4].pointer(Float.self).pointee)
                var (power1, power2) = (1.0, 1.0)
                for _ in 0..<inputs[5].pointer(Int64.self).pointee {
                    power1 *= p.beta1
                    power2 *= p.beta2
                }
                var directions: [Double] = [], valueSquares = 0.0, directionSquares = 0.0
                for i in 0..<inputs[0].count {
                    let g = Double(gradient[i]), x = Double(value[i])
                    let m = p.beta1 * Double(first[i]) + (1 - p.beta1) * g, v = p.beta2 * Double(second[i]) + (1 - p.beta2) * g * g
                    first[i] = Float(m)
                    second[i] = Float(v)
                    directions.append(m / (1 - power1) / ((v / (1 - power2)).squareRoot() + p.epsilon) + p.decay * x)
                    valueSquares += x * x
                    directionSquares += directions[i] * directions[i]
                }
                let trust = valueSquares > 0 && directionSquares > 0 ? (valueSquares / directionSquares).squareRoot() : 1
                for i in directions.indices { value[i] = Float(Double(value[i]) - rate * trust * directions[i]) }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let count = Int64(inputs[0].count)
                let scratch = try Tensor(undefined: TensorSpec([Int(keel_lamb_scratch(count))], .float64), on: CPU.shared)
                keel_lamb_f32(
                    count, outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self),
                    inputs[3].pointer(Float.self), Float(p.rateFactor) * inputs[4].pointer(Float.self).pointee, Float(p.beta1), Float(p.beta2),
                    Float(p.epsilon), Float(p.decay), inputs[5].pointer(Int64.self).pointee, scratch.pointer(Double.self))
                withExtendedLifetime(scratch) {}
                return true
            })
    }
}
