internal import Keel

extension OperatorCall {
    /// Numbers of the given channels, shaped to broadcast over `[n, c, ...]`.
    fileprivate func channels(_ i: Int, of x: Tensor) throws -> Tensor {
        let numbers = try tensor(i)
        guard numbers.rank == 1, x.rank >= 2, numbers.shape[0] == x.shape[1] else { throw wrong("\(numbers.shape) isn't a number for each channel of \(x.shape)") }
        return try numbers.reshaped([numbers.count] + [Int](repeating: 1, count: x.rank - 2))
    }

    /// What `stash_type` asks sums to be made in; a narrow float lies in float32 already.
    fileprivate func stash(_ x: Tensor) throws -> Tensor { x.dtype == .float64 || int("stash_type", 1) != 11 ? x : try x.cast(to: .float64) }
}

extension Operators {
    static let normalisations: [Operator] = [
        Operator("BatchNormalization") { call in
            let x = try call.tensor(0), kind = try call.kind(0), epsilon = call.float("epsilon", 1e-5)
            guard x.rank >= 2 else { throw call.wrong("takes [n, c, ...], was given \(x.shape)") }
            if call.opset < 9, !call.flag("spatial", true) { throw call.unsupported("spatial = 0") }
            let scale = try call.channels(1, of: x), bias = try call.channels(2, of: x)
            guard call.opset >= 14, call.flag("training_mode") else {
                let mean = try call.channels(3, of: x), variance = try call.channels(4, of: x)
                let factor = try scale.cast(to: x.dtype) / (variance.cast(to: x.dtype) + epsilon).squareRoot()
                let shift = try bias.cast(to: x.dtype) - mean.cast(to: x.dtype) * factor
                if x.rank > 2 { return try call.result(x.channelAffine(factor: factor.reshaped([factor.count]), shift: shift.reshaped([shift.count])), kind) }
                return try call.result(x * factor + shift, kind)
            }
            let axes = [0] + Array(2..<x.rank), momentum = call.float("momentum", 0.9)
            let mean = try x.mean(axes, keepingAxes: true), variance = try (x - mean).squared().mean(axes, keepingAxes: true)
            let y = try (x - mean) / (variance + epsilon).squareRoot() * scale + bias
            func running(_ i: Int, _ batch: Tensor) throws -> ONNXValue {
                let old = try call.tensor(i)
                return .tensor(try old * momentum + batch.reshaped([old.count]).cast(to: old.dtype) * (1 - momentum), try call.kind(i))
            }
            return try call.result(y, kind) + [running(3, mean), running(4, variance)]
        },
        Operator("InstanceNormalization") { call in
            let x = try call.tensor(0)
            _ = try (call.channels(1, of: x), call.channels(2, of: x))
            return try call.result(x.instanceNormalised(scale: call.tensor(1), bias: call.tensor(2), epsilon: call.float("epsilon", 1e-5)), call.kind(0))
        },
        Operator("LayerNormalization", 17) { call in
            let kind = try call.kind(0), x = try call.stash(call.tensor(0)), epsilon = call.float("epsilon", 1e-5)
            let first = try call.axis(call.int("axis", -1), rank: x.rank)
            let scale = try call.tensor(1).cast(to: x.dtype), bias = try call.optional(2)?.cast(to: x.dtype)
            if first == x.rank - 1, call.node.outputs.count == 1, scale.rank == 1, scale.shape[0] == x.shape[-1], bias == nil || bias?.shape == scale.shape {
                return try call.result(x.layerNormalised(scale: scale, bias: bias ?? Tensor.zeros(scale.shape, scale.dtype), epsilon: epsilon), kind)
            }
            let axes = Array(first..<x.rank)
            let mean = try x.mean(axes, keepingAxes: true), centred = try x - mean
            let inverse = try (centred.squared().mean(axes, keepingAxes: true) + epsilon).squareRoot().reciprocal()
            var y = try centred * inverse
            guard try call.broadcast([y, scale] + (bias.map { [$0] } ?? [])) == x.shape else { throw call.wrong("\(scale.shape) doesn't broadcast to \(x.shape)") }
            y = try y * scale
            if let bias { y = try y + bias }
            return try call.result(y, kind) + [.tensor(mean, ElementKind(x.dtype)), .tensor(inverse, ElementKind(x.dtype))]
        },
        Operator("RMSNormalization", 23) { call in
            let kind = try call.kind(0), x = try call.stash(call.tensor(0))
            let first = try call.axis(call.int("axis", -1), rank: x.rank), axes = Array(first..<x.rank)
            let scale = try call.tensor(1).cast(to: x.dtype)
            guard try call.broadcast([x, scale]) == x.shape else { throw call.wrong("\(scale.shape) doesn't broadcast to \(x.shape)") }
            let size = try (x.squared().mean(axes, keepingAxes: true) + call.float("epsilon", 1e-5)).squareRoot()
            return try call.result(x / size * scale, kind)
        },
        Operator("GroupNormalization", 18) { call in
            let x = try call.tensor(0), groups = try call.required(call.int("num_groups"), "num_groups")
            guard x.rank >= 3 else { throw call.wrong("takes [n, c, ...], was given \(x.shape)") }
            let c = try x.size(at: 1)
            guard groups >= 1, c % groups == 0 else { throw call.wrong("\(c) channels in \(groups) groups") }
            func each(_ i: Int) throws -> Tensor {
                let numbers = try call.tensor(i).cast(to: x.dtype)
                guard numbers.rank == 1, numbers.count == (call.opset < 21 ? groups : c) else { throw call.wrong("\(numbers.shape) for \(c) channels in \(groups) groups") }
                return call.opset < 21 ? try numbers.repeated(c / groups, axis: 0) : numbers
            }
            return try call.result(x.groupNormalised(groups: groups, scale: each(1), bias: each(2), epsilon: call.float("epsilon", 1e-5)), call.kind(0))
        },
        Operator("LRN") { call in
            let x = try call.tensor(0), size = try call.required(call.int("size"), "size")
            guard x.rank >= 2, size >= 1, size <= 1 << 20 else { throw call.wrong("a size of \(size) over \(x.shape)") }
            let c = try x.size(at: 1)
            // Each channel's window of squares: the difference of two running sums would lose digits, so the few are added.
            let square = try x.squared(), before = (size - 1) / 2
            let framed = try call.padded(square, [(0, 0), (before, size - 1 - before)] + [(before: Int, after: Int)](repeating: (0, 0), count: x.rank - 2), .constant(0))
            var sum = try framed.sliced(1, to: c)
            for place in 1..<size {
                try call.execution.step(at: call.node)
                sum = try sum + framed.sliced(1, from: place, to: place + c)
            }
            let base = try sum * (call.float("alpha", 0.0001) / Double(size)) + call.float("bias", 1)
            return try call.result(x / base.power(call.float("beta", 0.75)), call.kind(0))
        },
        Operator("LpNormalization") { call in
            let x = try call.tensor(0), axis = try call.axis(call.int("axis", -1), rank: x.rank)
            let norm = try call.int("p", 2) == 1 ? x.magnitude().sum([axis], keepingAxes: true) : x.squared().sum([axis], keepingAxes: true).squareRoot()
            let zero = try Tensor.zeros([], x.dtype)
            return try call.result(norm.equals(zero).select(zero, x / norm), call.kind(0))
        },
        Operator("MeanVarianceNormalization", 9) { call in
            let x = try call.tensor(0), axes = try call.axes(call.ints("axes") ?? [0, 2, 3], rank: x.rank)
            let centred = try x - x.mean(axes, keepingAxes: true)
            return try call.result(centred / (centred.squared().mean(axes, keepingAxes: true).squareRoot() + 1e-9), call.kind(0))
        },
    ]
}
