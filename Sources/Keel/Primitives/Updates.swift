import KeelKernels

// The only primitives that write in place: optimiser steps, and sums of gradients. They run through `update`.

/// `sum += x`.
struct Accumulate: Primitive {
    static var overwrites: [Int] { [0] }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0] == inputs[1] else { throw .shape(primitive: Self.name, expected: "\(inputs[0])", inputs[1].shape) }
        return SpecList(inputs[0])
    }
    static var kernels: Kernels<Accumulate> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let x = Operands(inputs[0], try inputs[1].contiguous())
                try Add.kernels.reference(Add(), x, outputs)
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                keel_accumulate_f32(Int64(inputs[0].count), outputs[0].pointer(Float.self), try inputs[1].contiguous().pointer(Float.self))
                return true
            })
    }
}

/// `target = x`, or `target = 0` and so on: for learning rates, step numbers, gradients to be cleared, and loaded state.
struct Assign: Primitive {
    static var overwrites: [Int] { [0] }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype == inputs[1].dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, inputs[1].dtype)) }
        guard inputs[0].shape == inputs[1].shape else { throw .shape(primitive: Self.name, expected: "\(inputs[0].shape)", inputs[1].shape) }
        return SpecList(inputs[0])
    }
    static var kernels: Kernels<Assign> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in move(inputs[1], to: outputs[0]) },
            cpu: { _, inputs, outputs throws(TensorError) in
                move(inputs[1], to: outputs[0])
                return true
            })
    }
}

/// `x *= factor`, a scalar tensor.
struct ScaleInPlace: Primitive {
    static var overwrites: [Int] { [0] }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype == .float32, inputs[1] == TensorSpec(Shape(), .float32) else {
            throw .dtype(primitive: Self.name, expected: "float32 and a float32 factor", inputs[0].dtype)
        }
        return SpecList(inputs[0])
    }
    static var kernels: Kernels<ScaleInPlace> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let x = outputs[0].pointer(Float.self), factor = inputs[1].pointer(Float.self).pointee
                for i in 0..<inputs[0].count { x[i] *= factor }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                keel_scale_f32(Int64(inputs[0].count), outputs[0].pointer(Float.self), inputs[1].pointer(Float.self).pointee)
                return true
            })
    }
}

/// One step of stochastic gradient descent with momentum over flat memory.
///
/// - Shapes: `(value, velocity, gradient) [n]`, `rate []` float32; written over value and velocity.
public struct SGDStep: Primitive {
    let momentum, decay, rateFactor: Double
    let isNesterov: Bool

    public init(momentum: Double, decay: Double, rateFactor: Double, isNesterov: Bool) {
        self.momentum = momentum
        self.decay = decay
        self.rateFactor = rateFactor
        self.isNesterov = isNesterov
    }

    public static var overwrites: [Int] { [0, 1] }
    public func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkFlat(inputs, vectors: 3, scalars: [.float32], Self.name)
        return SpecList([inputs[0], inputs[1]])
    }
    public static var kernels: Kernels<SGDStep> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let (value, velocity) = (outputs[0].pointer(Float.self), outputs[1].pointer(Float.self))
                let gradient = inputs[2].pointer(Float.self), rate = p.rateFactor * Double(inputs[3].pointer(Float.self).pointee)
                for i in 0..<inputs[0].count {
                    let g = Double(gradient[i]) + p.decay * Double(value[i])
                    let v = p.momentum * Double(velocity[i]) + g
                    velocity[i] = Float(v)
                    value[i] = Float(Double(value[i]) - rate * (p.isNesterov ? g + p.momentum * v : v))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                keel_sgd_f32(
                    Int64(inputs[0].count), outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), inputs[2].pointer(Float.self),
                    Float(p.rateFactor) * inputs[3].pointer(Float.self).pointee, Float(p.momentum), Float(p.decay), p.isNesterov ? 1 : 0)
                return true
            })
    }
}

/// One step of AdamW over flat memory.
///
/// - Shapes: `(value, first, second, gradient) [n]`, `rate []` float32, `step []` int64, counted from 1; written over the first three.
/// - Source: Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2019.
public struct AdamWStep: Primitive {
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
    public static var kernels: Kernels<AdamWStep> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let (value, first, second) = (outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self))
                let gradient = inputs[3].pointer(Float.self), rate = p.rateFactor * Double(inputs[4].pointer(Float.self).pointee)
                let step = Int(inputs[5].pointer(Int64.self).pointee)
                var (power1, power2) = (1.0, 1.0)
                for _ in 0..<step {
                    power1 *= p.beta1
                    power2 *= p.beta2
                }
                for i in 0..<inputs[0].count {
                    let g = Double(gradient[i])
                    let m = p.beta1 * Double(first[i]) + (1 - p.beta1) * g
                    let v = p.beta2 * Double(second[i]) + (1 - p.beta2) * g * g
                    first[i] = Float(m)
                    second[i] = Float(v)
                    let direction = m / (1 - power1) / ((v / (1 - power2)).squareRoot() + p.epsilon)
                    value[i] = Float(Double(value[i]) * (1 - rate * p.decay) - rate * direction)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                keel_adamw_f32(
                    Int64(inputs[0].count), outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self),
                    inputs[3].pointer(Float.self), Float(p.rateFactor) * inputs[4].pointer(Float.self).pointee, Float(p.beta1), Float(p.beta2),
                    Float(p.epsilon), Float(p.decay), inputs[5].pointer(Int64.self).pointee)
                return true
            })
    }
}

private func checkFlat(_ inputs: SpecList, vectors: Int, scalars: [DType], _ name: String) throws(TensorError) {
    for i in 0..<vectors {
        guard inputs[i].dtype == .float32 else { throw .dtype(primitive: name, expected: "float32", inputs[i].dtype) }
        guard inputs[i].shape.rank == 1, inputs[i].shape == inputs[0].shape else { throw .shape(primitive: name, expected: "flat \(inputs[0].shape)", inputs[i].shape) }
    }
    for (i, dtype) in scalars.enumerated() where inputs[vectors + i] != TensorSpec(Shape(), dtype) {
        throw .shape(primitive: name, expected: "a scalar \(dtype)", inputs[vectors + i].shape)
    }
}

extension Tensor {
    /// Writes `value` over this tensor's numbers, in place. For state: parameters, buffers, learning rates.
    public func assign(_ value: Tensor) throws(TensorError) { try update(Assign(), [self, value.detached()]) }

    /// Writes one number over all of this tensor's, in place.
    public func setInPlace(to value: Double) throws(TensorError) {
        try update(Assign(), [self, try Tensor.full(value, Shape(), dtype, on: device).expanded(to: shape)])
    }

    /// Multiplies this tensor's numbers by a factor, in place.
    public func scaleInPlace(by factor: Tensor) throws(TensorError) { try update(ScaleInPlace(), [self, factor]) }

    /// The square root of the sum of squares of all numbers, float32, computed in double.
    public func norm() throws(TensorError) -> Double {
        guard dtype == .float32 else { throw .dtype(primitive: "norm", expected: "float32", dtype) }
        return keel_sum_of_squares_f32(Int64(count), try contiguous().pointer(Float.self)).squareRoot()
    }

    /// Whether every number is finite.
    public func isFinite() throws(TensorError) -> Bool {
        guard dtype == .float32 else { throw .dtype(primitive: "isFinite", expected: "float32", dtype) }
        return keel_first_not_finite_f32(Int64(count), try contiguous().pointer(Float.self)) < 0
    }
}
