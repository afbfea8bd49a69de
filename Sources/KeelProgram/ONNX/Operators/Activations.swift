internal import Keel

/// Softmax, log-softmax and hardmax over an axis; before opset 13 over all axes from it on.
private func alongAxis(_ name: String, _ function: @escaping @Sendable (Tensor) throws -> Tensor) -> Operator {
    Operator(name) { call in
        let x = try call.tensor(0), kind = try call.kind(0)
        guard call.opset < 13 else {
            if x.rank == 0 { return try call.result(function(x.reshaped([1])).reshaped([]), kind) }
            let axis = try call.axis(call.int("axis", -1), rank: x.rank)
            return try call.result(axis == x.rank - 1 ? function(x) : function(x.transposed(axis, -1)).transposed(axis, -1), kind)
        }
        let axis = try call.axis(call.int("axis", 1), rank: x.rank), sizes = x.shape.dimensions
        let flat = try x.reshaped(Shape(of: [Tensor.product(sizes[..<axis]), Tensor.product(sizes[axis...])]))
        return try call.result(function(flat).reshaped(x.shape), kind)
    }
}

extension Operators {
    static let activations: [Operator] = [
        Operator("Relu") { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            return try call.result(kind.isFloat ? x.relu() : x.maximum(Tensor.zeros([], x.dtype)), kind)
        },
        unary("Sigmoid") { try $0.sigmoid() },
        unary("Tanh") { try $0.tanh() },
        Operator("LeakyRelu") { call in try call.result(call.tensor(0).leakyRelu(slope: call.float("alpha", 0.01)), call.kind(0)) },
        Operator("PRelu") { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            var slope = try call.tensor(1)
            if call.opset < 7, slope.rank == 1, slope.count > 1, x.rank > 2 {
                slope = try slope.reshaped([slope.count] + [Int](repeating: 1, count: x.rank - 2))
            }
            guard try call.broadcast([x, slope]) == x.shape else { throw call.wrong("slopes \(slope.shape) don't broadcast to \(x.shape)") }
            return try call.result(x.isLess(than: Tensor.zeros([], x.dtype)).select(x * slope, x), kind)
        },
        Operator("Elu") { call in
            let x = try call.tensor(0)
            let zero = try Tensor.zeros([], x.dtype)
            return try call.result(x.isLess(than: zero).select(x.minimum(zero).expm1() * call.float("alpha", 1), x), call.kind(0))
        },
        Operator("Celu", 12) { call in
            let x = try call.tensor(0), alpha = call.float("alpha", 1)
            let zero = try Tensor.zeros([], x.dtype)
            return try call.result(x.maximum(zero) + (x.minimum(zero) / alpha).expm1() * alpha, call.kind(0))
        },
        Operator("Selu") { call in
            let x = try call.tensor(0)
            let alpha = call.float("alpha", 1.67326319217681884765625), gamma = call.float("gamma", 1.05070102214813232421875)
            let zero = try Tensor.zeros([], x.dtype)
            return try call.result((x.maximum(zero) + x.minimum(zero).expm1() * alpha) * gamma, call.kind(0))
        },
        Operator("HardSigmoid") { call in
            let x = try call.tensor(0)
            return try call.result((x * call.float("alpha", 0.2) + call.float("beta", 0.5)).clipped(from: 0, to: 1), call.kind(0))
        },
        unary("HardSwish", 14) { try $0 * ($0 * (1.0 / 6) + 0.5).clipped(from: 0, to: 1) },
        unary("Softplus") { try $0.maximum(Tensor.zeros([], $0.dtype)) + $0.magnitude().negated().exp().log1p() },
        unary("Softsign") { try $0 / ($0.magnitude() + 1) },
        unary("Mish", 18) { x in
            try x * (x.maximum(Tensor.zeros([], x.dtype)) + x.magnitude().negated().exp().log1p()).tanh()
        },
        Operator("Swish", 24) { call in
            let x = try call.tensor(0)
            return try call.result(x * (x * call.float("alpha", 1)).sigmoid(), call.kind(0))
        },
        Operator("SwiGLU", 28) { call in
            let gate = try call.tensor(0), x = try call.tensor(1)
            guard gate.shape == x.shape else { throw call.wrong("a gate \(gate.shape) for \(x.shape)") }
            return try call.result(gate * (gate * call.float("alpha", 1)).sigmoid() * x, call.kind(0))
        },
        Operator("Gelu", 20) { call in
            let x = try call.tensor(0)
            guard call.string("approximate", "none") == "tanh" else { return try call.result(x.gelu(), call.kind(0)) }
            return try call.result(x.geluTanh(), call.kind(0))
        },
        Operator("ThresholdedRelu") { call in
            let x = try call.tensor(0)
            let isAbove = try x.isGreater(than: Tensor.full(call.float("alpha", 1), [], x.dtype))
            return try call.result(isAbove.select(x, Tensor.zeros([], x.dtype)), call.kind(0))
        },
        Operator("Shrink", 9) { call in
            let kind = try call.kind(0), x = try call.tensor(0).cast(to: kind.isFloat ? call.tensor(0).dtype : .float64)
            let lambda = call.float("lambd", 0.5), bias = call.float("bias", 0)
            let zero = try Tensor.zeros([], x.dtype)
            let above = try x.isGreater(than: Tensor.full(lambda, [], x.dtype)).select(x - bias, zero)
            return try call.result(x.isLess(than: Tensor.full(-lambda, [], x.dtype)).select(x + bias, above), kind)
        },
        alongAxis("Softmax") { try $0.softmax() },
        alongAxis("LogSoftmax") { try $0.logSoftmax() },
        alongAxis("Hardmax") { x in
            let depth = try x.size(at: x.rank - 1)
            return try x.argMax(-1).oneHot(depth, .float32).cast(to: x.dtype)
        },
        Operator("Dropout") { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            // Before opset 12 a model is exported for inference, or for training as a whole, which isn't done here.
            let isTraining = call.opset >= 12 && call.has(2) ? try call.ints(2) != [0] : false
            let rate = try call.has(1) ? call.double(1) : 0.5
            guard isTraining, rate > 0 else { return [.tensor(x, kind), .tensor(try Tensor.filled(1, x.shape, .bool), .bool)] }
            guard rate < 1 else { throw call.wrong("drops the share \(rate), less than 1 is expected") }
            var generator = try call.generator()
            let kept = try Tensor.uniform(x.shape, using: &generator).isAtLeast(Tensor(Float(rate)))
            return [.tensor(try kept.select(x / (1 - rate), Tensor.zeros([], x.dtype)), kind), .tensor(kept, .bool)]
        },
    ]
}

extension OperatorCall {
    /// The random numbers of a node: those of its seed, or the execution's next ones.
    ///
    /// - Throws: while a model is traced: a program would draw the same ones in each run.
    func generator() throws -> Philox {
        guard !execution.isTracing else { throw unsupported("random numbers in a program") }
        if let seed = float("seed") { return Philox(seed: UInt64(seed.bitPattern)) }
        execution.draws += 1
        return Philox(seed: 0x6f6e_6e78, stream: execution.draws)
    }
}
