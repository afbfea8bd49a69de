internal import Keel

extension OperatorCall {
    /// `round(x / scale) + zero point`, within the zero point's kind.
    func quantised(_ x: Tensor, scale: Tensor, zeroPoint: ONNXValue) throws -> ONNXValue {
        guard case .tensor(let zero, let kind) = zeroPoint else { throw wrong("its zero point isn't a number") }
        let scaled = try x / scale
        return .tensor(try whole(scaled, zero.cast(to: x.dtype), kind), kind)
    }

    fileprivate func whole(_ scaled: Tensor, _ zero: Tensor?, _ kind: ElementKind) throws -> Tensor {
        guard kind.isInteger else {
            let moved = try zero.map { try scaled + $0 } ?? scaled
            return try kind.settled(moved, saturating: flag("saturate", true))
        }
        let rounded = try scaled.rounded(), moved = try zero.map { try rounded + $0 } ?? rounded
        let limits = kind.limits
        return try moved.clipped(from: Double(limits.lowerBound), to: Double(limits.upperBound)).cast(to: kind.carrier)
    }

    /// A scale or zero point, spread to where it holds in `x`: for all numbers, for each place of an axis, or for blocks along it.
    fileprivate func spread(_ factor: Tensor, over x: Tensor) throws -> Tensor {
        if factor.count == 1, factor.rank <= 1 { return try factor.reshaped([]) }
        let axis = try self.axis(int("axis", 1), rank: x.rank), n = try x.size(at: axis)
        if factor.rank == 1, factor.rank != x.rank || factor.count == n {
            guard factor.count == n else { throw wrong("\(factor.count) scales for axis \(axis) of \(x.shape)") }
            return try factor.reshaped((0..<x.rank).map { $0 == axis ? n : 1 })
        }
        guard factor.rank == x.rank else { throw wrong("scales \(factor.shape) for \(x.shape)") }
        let blocks = try factor.size(at: axis), block = min(int("block_size", 0), max(n, 1))
        let size = block > 0 ? block : (n + max(blocks, 1) - 1) / max(blocks, 1)
        guard blocks >= 1, size >= 1, (n + size - 1) / size == blocks else { throw wrong("\(blocks) blocks of \(size) along axis \(axis) of \(x.shape)") }
        return try factor.repeated(size, axis: axis).sliced(axis, to: n)
    }
}

extension OperatorCall {
    /// The scale with which the first input becomes bytes or was such; nil unless it is one for all numbers, known while a model is traced.
    private func byteScale(_ kind: ElementKind) throws -> ByteScale? {
        guard execution.isTracing, kind == .uint8 || kind == .int8, int("precision", 0) == 0 else { return nil }
        let scale = try tensor(1), zero = try optional(2)
        guard scale.dtype == .float32, scale.count == 1, !scale.isTraced, zero?.count ?? 1 == 1, !(zero?.isTraced ?? false) else { return nil }
        let step = try scale.reshaped([]).item(), place = try zero?.cast(to: .int64).reshaped([]).item(Int.self) ?? 0
        // Signed bytes are the others less 128. A zero point of another kind than the bytes may be beyond them.
        guard step > 0, step.isFinite, let byte = UInt8(exactly: place &+ (kind == .int8 ? 128 : 0)) else { return nil }
        return ByteScale(scale: step, zero: byte)
    }

    /// Notes that the first input became bytes, the first output.
    fileprivate func noteRounding(to kind: ElementKind) throws {
        let x = try tensor(0)
        guard x.isTraced, x.dtype == .float32, let name = node.outputs.first, let scale = try byteScale(kind) else { return }
        scope.rounded[name] = ModelRun.Scope.Rounded(x: x, scale: scale, names: [])
    }

    /// The same for bytes of the input's own range.
    fileprivate func noteRounding() throws {
        let x = try tensor(0)
        guard execution.isTracing, x.isTraced, x.dtype == .float32, node.outputs.count == 3 else { return }
        scope.rounded[node.outputs[0]] = ModelRun.Scope.Rounded(x: x, scale: nil, names: node.outputs)
    }

    /// What was rounded to bytes and is made floats again, in one step.
    fileprivate func roundedBack() throws -> Tensor? {
        guard let rounded = scope.rounded[node.inputs[0]] else { return nil }
        if let scale = rounded.scale { return try byteScale(kind(0)) == scale ? rounded.x.fakeQuantised(scale) : nil }
        return node.inputs == rounded.names ? try rounded.x.fakeQuantised(nil) : nil
    }
}

extension Operators {
    static let quantisation: [Operator] = [
        Operator("QuantizeLinear", 10) { call in
            let x = try call.tensor(0), scale = try call.tensor(1).cast(to: x.dtype.isFloat ? x.dtype : .float32)
            var kind = try call.kind(named: "output_dtype", or: .uint8)
            if call.has(2) { kind = try call.kind(2) }
            let real = try x.cast(to: scale.dtype)
            var scaled = try real / call.spread(scale, over: x)
            if call.int("precision", 0) != 0 { scaled = try call.kind(named: "precision", or: .float32).settled(scaled).cast(to: real.dtype) }
            let zero = try call.optional(2).map { try call.spread($0.cast(to: real.dtype), over: x) }
            try call.noteRounding(to: kind)
            return [.tensor(try call.whole(scaled, zero, kind), kind)]
        },
        Operator("DequantizeLinear", 10) { call in
            let x = try call.tensor(0), scale = try call.tensor(1), kind = try call.kind(named: "output_dtype", or: call.kind(1))
            if kind == .float32, let rounded = try call.roundedBack() { return [.tensor(rounded, kind)] }
            let wide = scale.dtype
            var y = try x.dtype.isFloat ? x.cast(to: wide) : x.cast(to: .float64)
            if let zero = try call.optional(2) { y = try y - call.spread(zero.cast(to: y.dtype), over: x) }
            return try call.result(y.cast(to: wide) * call.spread(scale, over: x), kind)
        },
        Operator("DynamicQuantizeLinear", 11) { call in
            let x = try call.tensor(0), zero = try Tensor(Float(0))
            guard x.isTraced || x.count > 0 else { throw call.wrong("takes one number at least") }
            let least = try x.min().minimum(zero), most = try x.max().maximum(zero)
            var scale = try (most - least) / 255
            scale = try scale.equals(zero).select(Tensor(Float(1)), scale)
            let point = try (least / scale).negated().rounded().clipped(from: 0, to: 255)
            let y = try ((x / scale).rounded() + point).clipped(from: 0, to: 255)
            try call.noteRounding()
            return [.tensor(try y.cast(to: .uint8), .uint8), .tensor(scale, .float32), .tensor(try point.cast(to: .uint8), .uint8)]
        },
        Operator("QLinearMatMul", 10) { call in
            func scale(_ i: Int, rows: Bool) throws -> Tensor {
                let numbers = try call.tensor(i).cast(to: .float64)
                return rows && numbers.rank == 1 && numbers.count > 1 ? try numbers.withAxis(1) : numbers.count == 1 ? try numbers.reshaped([]) : numbers
            }
            let a = try call.centred(0, zeroPoint: 2, rows: true), b = try call.centred(3, zeroPoint: 5, rows: false)
            let product = try call.product(a, b).cast(to: .float64)
            let factor = try scale(1, rows: true) * scale(4, rows: false)
            return [try call.quantised(product * factor, scale: scale(6, rows: true), zeroPoint: call.value(7))]
        },
    ]
}
