import KeelKernels

/// Runs `body`, forwards and backwards, and throws where the first primitive makes a NaN or an infinity of finite numbers, or its
/// gradient does: the error names it and the line that called it; its call stack is that of this call.
///
/// It looks at every number that is made and notes every call, so it takes several times as long. An infinity that is meant, as of a mask,
/// is thrown all the same where a primitive makes it; one that is given as a number isn't.
///
/// - Throws: `TensorError.notFinite`, and what `body` throws.
public func detectingAnomalies<R>(_ body: () throws(TensorError) -> R) throws(TensorError) -> R {
    let state = ThreadState.current, before = state.isDetectingAnomalies
    state.isDetectingAnomalies = true
    defer { state.isDetectingAnomalies = before }
    return try Watch.during(body)
}

enum Anomaly {
    /// Looks at what a primitive made. Inside a gradient only what comes out of it counts.
    @inline(never) static func check<P: Primitive>(_: P.Type, _ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        let state = ThreadState.current
        guard state.isDetectingAnomalies, state.gradientsRunning == 0 else { return }
        for i in 0..<outputs.count {
            guard let found = try firstNotFinite(outputs[i]) else { continue }
            for k in 0..<inputs.count { if try firstNotFinite(inputs[k]) != nil { return } }
            throw TensorError(.notFinite(primitive: P.name, isGradient: false, number: found))
        }
    }

    /// Looks at what a node's gradient gives for one of its inputs.
    @inline(never) static func check(_ gradient: Tensor, of node: Node) throws(TensorError) {
        guard ThreadState.current.isDetectingAnomalies, let found = try firstNotFinite(gradient) else { return }
        for i in 0..<node.outputCount {
            if let arrived = node.gradient(ofOutput: i), try firstNotFinite(arrived) != nil { return }
        }
        throw TensorError(.notFinite(primitive: node.name, isGradient: true, number: found), calledFrom: node.origin ?? .capture())
    }

    /// The first number that is infinite or NaN, and where it stands, as text.
    private static func firstNotFinite(_ tensor: Tensor) throws(TensorError) -> String? {
        guard tensor.dtype.isFloat, tensor.storage.place.isHost else { return nil }
        let state = ThreadState.current
        state.isDetectingAnomalies = false
        defer { state.isDetectingAnomalies = true }
        let dense = try tensor.detached().contiguous(), x = dense.dtype.isHalf ? try dense.cast(to: .float32) : dense, count = Int64(x.count)
        let isSingle = x.dtype == .float32
        let place = Int(isSingle ? keel_first_not_finite_f32(count, x.pointer(Float.self)) : keel_first_not_finite_f64(count, x.pointer(Double.self)))
        guard place >= 0 else { return nil }
        let number = isSingle ? Double(x.pointer(Float.self)[place]) : x.pointer(Double.self)[place]
        return "\(number) at element \(place) of \(tensor.spec)"
    }
}
