import KeelKernels

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

// Primitives that write in place: optimiser steps (more in AdaptiveSteps.swift), and sums of gradients. They run through `update`.

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
    static var takesHalf: Bool { true }
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

/// One step of Adam over flat memory. Weight decay is added to the gradient, or decoupled from it (AdamW).
///
/// - Shapes: `(value, first, second, gradient) [n]`, `rate []` float32, `step []` int64, counted from 1; written over the first three.
/// - Source: Kingma and Ba, 2015; Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2019.
public struct AdamStep: Primitive {
    let beta1, beta2, epsilon, decay, rateFactor: Double
    let isDecoupled: Bool

    public init(beta1: Double, beta2: Double, epsilon: Double, decay: Double, rateFactor: Double, isDecoupled: Bool) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay
        self.rateFactor = rateFactor
        self.isDecoupled = isDecoupled
    }

    public static var overwrites: [Int] { [0, 1, 2] }
    public func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkFlat(inputs, vectors: 4, scalars: [.float32, .int64], Self.name)
        return SpecList([inputs[0], inputs[1], inputs[2]])
    }
    public static var kernels: Kernels<AdamStep> {
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
                    let g = Double(gradient[i]) + (p.isDecoupled ? 0 : p.decay * Double(value[i]))
                    let m = p.beta1 * Double(first[i]) + (1 - p.beta1) * g
                    let v = p.beta2 * Double(second[i]) + (1 - p.beta2) * g * g
                    first[i] = Float(m)
                    second[i] = Float(v)
                    let direction = m / (1 - power1) / ((v / (1 - power2)).squareRoot() + p.epsilon)
                    value[i] = Float(Double(value[i]) * (1 - (p.isDecoupled ? rate * p.decay : 0)) - rate * direction)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                keel_adam_f32(
                    Int64(inputs[0].count), outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self),
                    inputs[3].pointer(Float.self), Float(p.rateFactor) * inputs[4].pointer(Float.self).pointee, Float(p.beta1), Float(p.beta2),
                    Float(p.epsilon), Float(p.decay), p.isDecoupled ? 1 : 0, inputs[5].pointer(Int64.self).pointee)
                return true
            })
    }
}

/// One step of Adam for those rows of a table that have a gradient; the others stay as they are, with their moments.
///
/// - Shapes: `(value, first, second) [n, ...]`, `marks [n]` int32 with -1 everywhere, `indices [m]` int64 or int32, their gradients `[m, ...]`,
///   `rate []` float32, `step []` int64, counted from 1; written over value and moments. A row that is there more than once moves once, by the sum.
/// - Errors: `TensorError.indexOutOfRange`; at most 2^31 - 1 indices.
/// - Source: Kingma and Ba, 2015; lazily as torch's `SparseAdam` and Paddle's `lazy_mode` have it.
public struct LazyAdamStep: Primitive {
    let beta1, beta2, epsilon, rateFactor: Double

    public init(beta1: Double, beta2: Double, epsilon: Double, rateFactor: Double) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.rateFactor = rateFactor
    }

    public static var overwrites: [Int] { [0, 1, 2, 3] }
    public func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let value = inputs[0], indices = inputs[4]
        guard value.dtype == .float32 else { throw .dtype(primitive: Self.name, expected: "float32", value.dtype) }
        guard value.shape.rank >= 1 else { throw .rank(primitive: Self.name, expected: "a table [n, ...]", value.shape) }
        for i in 1...2 where inputs[i] != value { throw .shape(primitive: Self.name, expected: "float32 \(value.shape)", inputs[i].shape) }
        guard inputs[3] == TensorSpec(Shape(value.shape[0]), .int32) else { throw .shape(primitive: Self.name, expected: "int32 marks [\(value.shape[0])]", inputs[3].shape) }
        try Keel.checkIndices(indices.dtype, Self.name)
        guard indices.shape.rank == 1, indices.shape[0].number ?? 0 <= Int(Int32.max) else { throw .rank(primitive: Self.name, expected: "indices [m]", indices.shape) }
        let rows = TensorSpec(indices.shape + value.shape.axes(1..<value.shape.rank), .float32)
        guard inputs[5] == rows else { throw .shape(primitive: Self.name, expected: "\(rows)", inputs[5].shape) }
        guard inputs[6] == TensorSpec(Shape(), .float32), inputs[7] == TensorSpec(Shape(), .int64) else {
            throw .shape(primitive: Self.name, expected: "a float32 rate and an int64 step", inputs[6].shape)
        }
        return SpecList([value, value, value, inputs[3]])
    }

    public static var kernels: Kernels<LazyAdamStep> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let indices = try inputs[4].contiguous(), rows = try inputs[5].contiguous()
                let n = inputs[0].size(0), features = n == 0 ? 0 : inputs[0].count / n
                try indices.checkIndices(below: n, Self.name)
                let (value, first, second) = (outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self))
                let rate = p.rateFactor * Double(inputs[6].pointer(Float.self).pointee)
                let step = Double(inputs[7].pointer(Int64.self).pointee)
                let (correction1, correction2) = (1 - pow(p.beta1, step), 1 - pow(p.beta2, step))
                var sums: [Int: [Double]] = [:]
                for i in 0..<indices.count {
                    let index = indices.dtype == .int64 ? Int(indices.pointer(Int64.self)[i]) : Int(indices.pointer(Int32.self)[i])
                    let row = index < 0 ? index + n : index
                    for f in 0..<features { sums[row, default: [Double](repeating: 0, count: features)][f] += Double(rows.pointer(Float.self)[i * features + f]) }
                }
                for (row, sum) in sums {
                    for f in 0..<features {
                        let at = row * features + f
                        let m = p.beta1 * Double(first[at]) + (1 - p.beta1) * sum[f], v = p.beta2 * Double(second[at]) + (1 - p.beta2) * sum[f] * sum[f]
                        first[at] = Float(m)
                        second[at] = Float(v)
                        value[at] = Float(Double(value[at]) - rate * m / correction1 / ((v / correction2).squareRoot() + p.epsilon))
                    }
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let indices = try inputs[4].contiguous(), rows = try inputs[5].contiguous()
                let n = inputs[0].size(0)
                try indices.checkIndices(below: n, Self.name)
                guard inputs[0].count > 0, indices.count > 0 else { return true }
                let previous = try Tensor(undefined: TensorSpec([indices.count], .int32), on: indices.device)
                var job = keel_lazy_adam(
                    n: Int64(n), features: Int64(inputs[0].count / n), count: Int64(indices.count), value: outputs[0].pointer(Float.self),
                    first: outputs[1].pointer(Float.self), second: outputs[2].pointer(Float.self), is_64_bit: indices.dtype == .int64 ? 1 : 0,
                    indices: indices.bytes, gradient: rows.pointer(Float.self), marks: outputs[3].pointer(Int32.self),
                    previous: previous.pointer(Int32.self), rate: Float(p.rateFactor) * inputs[6].pointer(Float.self).pointee, beta1: Float(p.beta1),
                    beta2: Float(p.beta2), epsilon: Float(p.epsilon), step: inputs[7].pointer(Int64.self).pointee)
                keel_lazy_adam_f32(&job)
                withExtendedLifetime((indices, rows, previous)) {}
                return true
            })
    }
}

func checkFlat(_ inputs: SpecList, vectors: Int, scalars: [DType], _ name: String) throws(TensorError) {
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

    /// Whether every number is finite.
    public func isFinite() throws(TensorError) -> Bool {
        guard dtype == .float32 || dtype.isHalf else { throw .dtype(primitive: "isFinite", expected: "float32 or a half float", dtype) }
        let dense = try detached().cast(to: .float32).contiguous()
        return withExtendedLifetime(dense) { keel_first_not_finite_f32(Int64(count), dense.pointer(Float.self)) < 0 }
    }
}
