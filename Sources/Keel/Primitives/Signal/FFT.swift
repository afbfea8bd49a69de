import KeelKernels

// Complex numbers are a last axis of two: real and imaginary part.

/// How a transform and its inverse share the factor `1/n` between them.
public enum FourierScaling: Sendable, Hashable {
    /// The inverse has all of it.
    case backward
    /// Both have `1/√n`.
    case orthonormal
    /// The transform has all of it.
    case forward

    func factor(_ n: Int, isInverse: Bool) -> Double {
        switch self {
        case .backward: isInverse ? 1 / Double(n) : 1
        case .orthonormal: 1 / Double(n).squareRoot()
        case .forward: isInverse ? 1 : 1 / Double(n)
        }
    }
}

/// The discrete Fourier transform of complex numbers along an axis, `y[k] = scale Σ x[i] e^(∓2πi ik/n)`.
///
/// - Shapes: `x [..., n, ..., 2]` → the same. Any `n` from 1 up: by factors of up to 31, else by Bluestein's convolution.
/// - Gradient: the transform of `dy` the other way, with the same scale.
/// - Source: Van Loan, *Computational Frameworks for the Fast Fourier Transform*, 1992. ONNX `DFT`, opset 17.
struct FFT: Primitive {
    let axis: Int
    let isInverse: Bool
    let scale: Double
    static var onnxName: String? { "DFT" }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try inputs[0].checkComplex(in: Self.name, axis: axis)
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<FFT> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), (outer, n, inner) = x.shape.split(at: p.axis)
                keel_reference_fft(
                    x.dtype.kernel, p.isInverse ? 1 : 0, p.scale, Int64(outer), Int64(n), Int64(inner / 2), outputs[0].bytes, x.bytes)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), (outer, n, inner) = x.shape.split(at: p.axis), y = outputs[0]
                guard x.count > 0 else { return true }
                let plan = FourierPlan.plan(n, x.dtype)
                plan.withScratch(rows: outer * inner / 2) { scratch, parts in
                    withUnsafePointer(to: plan.plan) {
                        keel_fft(
                            x.dtype.kernel, $0, p.isInverse ? 1 : 0, p.scale, Int64(outer), Int64(inner / 2), y.bytes, x.bytes, parts, scratch)
                    }
                }
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(FFT(axis: axis, isInverse: !isInverse, scale: scale), g.outputGradient))
    }
}

/// The discrete Fourier transform of real numbers along an axis: the first half of it, of which the rest is the conjugate.
///
/// - Shapes: `x [..., n, ...]` → `[..., n/2 + 1, ..., 2]`.
/// - Gradient: `InverseRealFFT` of `dy`, halved but at the ends.
struct RealFFT: Primitive {
    let axis: Int
    let scale: Double

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        var shape = inputs[0].shape
        _ = try shape.place(of: axis, in: Self.name)
        let n = try shape.size(axis)
        guard n > 0 else { throw .shape(primitive: Self.name, expected: "a number at least along axis \(axis)", shape) }
        guard shape.rank < Shape.maximumRank else { throw .rank(primitive: Self.name, expected: "seven axes at most", shape) }
        shape[axis] = Dimension(n / 2 + 1)
        return SpecList(TensorSpec(shape + [2], inputs[0].dtype))
    }

    static var kernels: Kernels<RealFFT> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), (outer, n, inner) = x.shape.split(at: p.axis)
                keel_reference_real_fft(x.dtype.kernel, p.scale, Int64(outer), Int64(n), Int64(inner), outputs[0].bytes, x.bytes)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), (outer, n, inner) = x.shape.split(at: p.axis), y = outputs[0]
                guard x.count > 0 else { return true }
                let plan = FourierPlan.plan(n, x.dtype, isReal: true)
                plan.withScratch(rows: outer * inner) { scratch, parts in
                    withUnsafePointer(to: plan.plan) {
                        keel_real_fft(x.dtype.kernel, $0, Int64(n), p.scale, Int64(outer), Int64(inner), y.bytes, x.bytes, parts, scratch)
                    }
                }
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let n = try g.shape(0).size(axis)
        let halved = try g.outputGradient * weights(of: n, inside: 0.5, axis, like: g.outputGradient)
        try g.set(0, try apply(InverseRealFFT(axis: axis, count: n, scale: scale), halved))
    }
}

/// The inverse transform of a first half, which gives real numbers: `x[i] = scale Σ y[k] e^(2πi ik/n)` over all `n` of which the half and
/// its conjugate consist. Imaginary parts that would have to be 0 aren't read.
///
/// - Shapes: `y [..., n/2 + 1, ..., 2]` → `[..., n, ...]` with `n` the `count`.
/// - Gradient: `RealFFT` of `dy`, doubled but at the ends.
struct InverseRealFFT: Primitive {
    let axis: Int
    let count: Int
    let scale: Double

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try inputs[0].checkComplex(in: Self.name, axis: axis)
        guard count > 0 else { throw .argument(primitive: Self.name, name: "count", given: count, allowed: "1 and more") }
        var shape = inputs[0].shape.dropLast(1)
        guard try shape.size(axis) == count / 2 + 1 else {
            throw .shape(primitive: Self.name, expected: "\(count / 2 + 1) numbers along axis \(axis) for a count of \(count)", inputs[0].shape)
        }
        shape[axis] = Dimension(count)
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    static var kernels: Kernels<InverseRealFFT> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), (outer, n, inner) = outputs[0].shape.split(at: p.axis)
                keel_reference_inverse_real_fft(x.dtype.kernel, p.scale, Int64(outer), Int64(n), Int64(inner), outputs[0].bytes, x.bytes)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), y = outputs[0], (outer, n, inner) = y.shape.split(at: p.axis)
                guard x.count > 0 else { return true }
                let plan = FourierPlan.plan(n, x.dtype, isReal: true)
                plan.withScratch(rows: outer * inner) { scratch, parts in
                    withUnsafePointer(to: plan.plan) {
                        keel_inverse_real_fft(
                            x.dtype.kernel, $0, Int64(n), p.scale, Int64(outer), Int64(inner), y.bytes, x.bytes, parts, scratch)
                    }
                }
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let found = try apply(RealFFT(axis: axis, scale: scale), g.outputGradient)
        try g.set(0, try found * weights(of: count, inside: 2, axis, like: found))
    }
}

/// 1 for the numbers of a half transform that stand for themselves, `inside` for those that stand for their conjugates too.
private func weights(of n: Int, inside: Double, _ axis: Int, like half: Tensor) throws(TensorError) -> Tensor {
    let numbers = (0..<(n / 2 + 1)).map { $0 == 0 || 2 * $0 == n ? 1 : inside }
    var shape = Shape()
    for place in 0..<half.rank { shape.append(Dimension(place == axis ? numbers.count : 1)) }
    return try Tensor(numbers, shape).cast(to: half.dtype).moved(to: half.device)
}

extension TensorSpec {
    /// Checks that these are complex numbers with at least one along an axis.
    fileprivate func checkComplex(in name: String, axis: Int) throws(TensorError) {
        guard dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", dtype) }
        guard shape.rank >= 2, shape[-1] == Dimension(2) else {
            throw .shape(primitive: name, expected: "complex numbers, [..., n, 2]", shape)
        }
        _ = try shape.dropLast(1).place(of: axis, in: name)
        guard try shape.size(axis) > 0 else { throw .shape(primitive: name, expected: "a number at least along axis \(axis)", shape) }
    }
}

extension Tensor {
    /// The discrete Fourier transform of complex numbers along some axes, which are counted without the last one, of real and imaginary
    /// part: -1 is the last axis of numbers.
    ///
    /// - Shapes: `[..., n, 2]` → the same. Any `n` from 1 up.
    /// - Source: NumPy `fftn`.
    public func fft(_ axes: [Int] = [-1], scaling: FourierScaling = .backward) throws(TensorError) -> Tensor {
        try transformed(axes, scaling, isInverse: false)
    }

    /// The inverse of `fft`.
    public func inverseFFT(_ axes: [Int] = [-1], scaling: FourierScaling = .backward) throws(TensorError) -> Tensor {
        try transformed(axes, scaling, isInverse: true)
    }

    /// The discrete Fourier transform of real numbers along some axes: of the last axis named, the first half.
    ///
    /// - Shapes: `[..., n]` → `[..., n/2 + 1, 2]`.
    /// - Source: NumPy `rfftn`.
    public func realFFT(_ axes: [Int] = [-1], scaling: FourierScaling = .backward) throws(TensorError) -> Tensor {
        var places = try distinct(axes, in: RealFFT.name, shape)
        let last = places.removeLast(), n = try shape.size(last)
        guard n > 0 else { throw .shape(primitive: RealFFT.name, expected: "a number at least along axis \(last)", shape) }
        let half = try apply(RealFFT(axis: last, scale: scaling.factor(n, isInverse: false)), self)
        return places.isEmpty ? half : try half.fft(places, scaling: scaling)
    }

    /// The inverse of `realFFT`. `count` is how many numbers there were along the last axis named; by default an even number.
    ///
    /// - Shapes: `[..., n/2 + 1, 2]` → `[..., n]`.
    public func inverseRealFFT(_ axes: [Int] = [-1], count: Int? = nil, scaling: FourierScaling = .backward) throws(TensorError) -> Tensor {
        guard rank >= 2 else { throw .shape(primitive: InverseRealFFT.name, expected: "complex numbers, [..., n, 2]", shape) }
        var places = try distinct(axes, in: InverseRealFFT.name, shape.dropLast(1))
        let last = places.removeLast(), n = if let count { count } else { try 2 * (shape.size(last) - 1) }
        let others = places.isEmpty ? self : try inverseFFT(places, scaling: scaling)
        return try apply(InverseRealFFT(axis: last, count: n, scale: scaling.factor(Swift.max(n, 1), isInverse: true)), others)
    }

    private func transformed(_ axes: [Int], _ scaling: FourierScaling, isInverse: Bool) throws(TensorError) -> Tensor {
        guard rank >= 2 else { throw .shape(primitive: FFT.name, expected: "complex numbers, [..., n, 2]", shape) }
        var result = self
        for axis in try distinct(axes, in: FFT.name, shape.dropLast(1)) {
            let n = Swift.max(try shape.size(axis), 1)
            result = try apply(FFT(axis: axis, isInverse: isInverse, scale: scaling.factor(n, isInverse: isInverse)), result)
        }
        return result
    }

    private func distinct(_ axes: [Int], in name: String, _ shape: Shape) throws(TensorError) -> [Int] {
        var places: [Int] = []
        for axis in axes { places.append(try shape.place(of: axis, in: name)) }
        guard !places.isEmpty, Set(places).count == places.count else {
            throw .argument(primitive: name, name: "axes", given: "\(axes)", allowed: "one at least, each once")
        }
        return places
    }
}
