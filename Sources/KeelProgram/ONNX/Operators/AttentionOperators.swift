internal import Keel

extension Operators {
    static let attention: [Operator] = [
        Operator("Attention", 23) { call in
            var q = try call.tensor(0), k = try call.tensor(1), v = try call.tensor(2)
            let kind = try call.kind(0), isFlat = q.rank == 3
            func heads(_ x: Tensor, _ name: String) throws -> Tensor {
                let count = try call.required(call.int(name), name), s = x.shape
                guard x.rank == 3, count >= 1, try x.size(at: 2) % count == 0 else { throw call.wrong("\(x.shape) in \(count) heads") }
                return try x.reshaped(Shape(s[0], s[1], Dimension(count), Dimension(x.size(at: 2) / count))).permuted([0, 2, 1, 3])
            }
            if isFlat { (q, k, v) = (try heads(q, "q_num_heads"), try heads(k, "kv_num_heads"), try heads(v, "kv_num_heads")) }
            guard q.rank == 4, k.rank == 4, v.rank == 4 else { throw call.wrong("takes three or four axes, was given \(q.shape), \(k.shape) and \(v.shape)") }
            if let past = try call.optional(4) { k = try Tensor.concatenated([past, k], axis: 2) }
            if let past = try call.optional(5) { v = try Tensor.concatenated([past, v], axis: 2) }
            let present = (k, v), pastLength = try call.optional(4)?.shape[2] ?? Dimension(0)
            let (qHeads, kvHeads) = (try q.size(at: 1), try k.size(at: 1))
            guard kvHeads >= 1, qHeads % kvHeads == 0 else { throw call.wrong("\(qHeads) heads look at \(kvHeads)") }
            if qHeads != kvHeads { (k, v) = (try k.repeated(qHeads / kvHeads, axis: 1), try v.repeated(qHeads / kvHeads, axis: 1)) }
            let (length, total) = (q.shape[2], k.shape[2]), width = try q.size(at: 3)
            try call.reserve([q.shape[0], Dimension(qHeads), length, total], q.dtype)

            // The square root on both sides keeps products of narrow floats small.
            let scale = (call.float("scale") ?? 1 / Double(width).squareRoot()).squareRoot()
            let products = try kind.settled(kind.settled(q * scale).matmul(kind.settled(k * scale).transposed()))
            let cap = call.float("softcap", 0), mode = call.int("qk_matmul_output_mode", 0)
            let scores = cap > 0 ? try kind.settled((products / cap).tanh() * cap) : products
            let bias = try call.attentionBias(length: length, total: total, past: pastLength, q.dtype)
            let biased = try bias.map { try kind.settled(scores + $0) } ?? scores
            let precision = try call.kind(named: "softmax_precision", or: kind)
            var shares = try kind.settled(precision.settled(biased.cast(to: precision.carrier).softmax(-1)).cast(to: q.dtype))
            if let bias {
                // A row that may look at nothing answers 0, whatever its scores are.
                let isHidden = try bias.max([-1], keepingAxes: true).equals(Tensor.full(-.infinity, [], q.dtype))
                shares = try isHidden.select(Tensor.zeros([], q.dtype), shares)
            }
            let shown = mode == 1 ? scores : mode == 2 ? biased : mode == 3 ? shares : products
            var y = try kind.settled(shares.matmul(v))
            if isFlat {
                let s = y.shape
                y = try y.permuted([0, 2, 1, 3]).reshaped(Shape(s[0], s[2], s[1] * s[3]))
            }
            return [.tensor(y, kind), .tensor(present.0, kind), .tensor(present.1, try call.kind(2)), .tensor(shown, kind)]
        },
        Operator("RotaryEmbedding", 23) { call in
            let given = try call.tensor(0), kind = try call.kind(0), isFlat = given.rank == 3
            var x = given
            if isFlat {
                let s = x.shape, heads = call.int("num_heads", 0), width = try x.size(at: 2)
                guard heads >= 1, width % heads == 0 else { throw call.wrong("\(x.shape) in \(heads) heads") }
                x = try x.reshaped(Shape(s[0], s[1], Dimension(heads), Dimension(width / heads)))
            } else {
                guard x.rank == 4 else { throw call.wrong("takes three or four axes, was given \(x.shape)") }
                x = try x.permuted([0, 2, 1, 3])
            }
            let width = try x.size(at: 3), named = call.int("rotary_embedding_dim", 0), turned = named == 0 ? width : named
            guard turned % 2 == 0, (0...width).contains(turned) else { throw call.wrong("turns \(turned) of \(width) numbers") }
            func table(_ i: Int) throws -> Tensor {
                var angles = try call.tensor(i)
                if let places = try call.optional(3) { angles = try angles.gathered(places) }
                guard angles.rank == 3, try angles.size(at: 2) >= turned / 2 else { throw call.wrong("angles \(angles.shape) for \(given.shape)") }
                return try angles.sliced(2, to: turned / 2).withAxis(2)
            }
            let cosine = try table(1), sine = try table(2)
            let part = try x.sliced(3, to: turned), isInterleaved = call.flag("interleaved")
            let a = try isInterleaved ? part.sliced(3, from: 0, step: 2) : part.sliced(3, to: turned / 2)
            let b = try isInterleaved ? part.sliced(3, from: 1, step: 2) : part.sliced(3, from: turned / 2)
            let real = try cosine * a - sine * b, imaginary = try sine * a + cosine * b
            let both = try isInterleaved ? Tensor.stacked([real, imaginary], axis: 4).reshaped(part.shape) : Tensor.concatenated([real, imaginary], axis: 3)
            let y = turned == width ? both : try Tensor.concatenated([both, x.sliced(3, from: turned)], axis: 3)
            return try call.result(isFlat ? y.reshaped(given.shape) : y.permuted([0, 2, 1, 3]), kind)
        },
        Operator("LinearAttention", 27) { call in
            let given = try (call.tensor(0), call.tensor(1), call.tensor(2)), kind = try call.kind(0)
            let qHeads = try call.required(call.int("q_num_heads"), "q_num_heads"), kvHeads = try call.required(call.int("kv_num_heads"), "kv_num_heads")
            guard given.0.rank == 3, given.1.rank == 3, given.2.rank == 3, kvHeads >= 1, qHeads >= 1, qHeads % kvHeads == 0 else {
                throw call.wrong("\(given.0.shape), \(given.1.shape) and \(given.2.shape) in \(qHeads) and \(kvHeads) heads")
            }
            /// `[batch, time, heads * width]` as `[batch, heads, time, width]`.
            func heads(_ x: Tensor, _ count: Int) throws -> Tensor {
                let s = try x.sizes()
                guard s.count == 3, s[2] % count == 0 else { throw call.wrong("\(x.shape) in \(count) heads") }
                return try x.reshaped([s[0], s[1], count, s[2] / count]).permuted([0, 2, 1, 3])
            }
            let q = try heads(given.0, qHeads), k = try heads(given.1, kvHeads), v = try heads(given.2, kvHeads)
            let decay = try call.optional(4).map { try heads($0, kvHeads).exp() }
            let rate = try call.optional(5).map { try heads($0, $0.size(at: 2) == 1 ? 1 : kvHeads) }
            let rule = call.string("update_rule", "gated_delta"), (isGated, isDelta) = (rule.hasPrefix("gated"), rule.hasSuffix("delta"))
            guard ["linear", "gated", "delta", "gated_delta"].contains(rule), !isGated || decay != nil, !isDelta || rate != nil else { throw call.wrong("the rule '\(rule)' without its inputs") }
            let (batch, time, width, valueWidth) = (try q.size(at: 0), try q.size(at: 2), try k.size(at: 3), try v.size(at: 3))
            try call.reserve([batch, qHeads, time, valueWidth], q.dtype)
            var state = try call.optional(3) ?? Tensor.zeros(call.reserve([batch, kvHeads, width, valueWidth], q.dtype), q.dtype)
            let named = call.float("scale", 0), scale = named == 0 ? 1 / Double(try q.size(at: 3)).squareRoot() : named
            var outputs: [Tensor] = []
            for t in 0..<time {
                try call.execution.step(at: call.node)
                let key = try k.at(t, axis: 2).withAxis(-1)
                if isGated, let decay { state = try state * decay.at(t, axis: 2).withAxis(-1) }
                var value = try v.at(t, axis: 2).withAxis(2)
                if isDelta, let rate { value = try (value - key.transposed().matmul(state)) * rate.at(t, axis: 2).withAxis(-1) }
                state = try state + key.matmul(value)
                let seen = qHeads == kvHeads ? state : try state.repeated(qHeads / kvHeads, axis: 1)
                outputs.append(try q.at(t, axis: 2).withAxis(2).matmul(seen).withoutAxis(2) * scale)
            }
            guard !outputs.isEmpty else { throw call.wrong("takes one step at least") }
            let y = try Tensor.stacked(outputs, axis: 1).reshaped([batch, time, qHeads * valueWidth])
            let stateKind = try call.has(3) ? call.kind(3) : kind
            return try call.result(y, kind) + [.tensor(stateKind.settled(state), stateKind)]
        },
        Operator("CausalConvWithState", 27) { call in
            let x = try call.tensor(0), weight = try call.tensor(1), kind = try call.kind(0)
            guard x.rank == 3, weight.rank == 3, try weight.sizes()[..<2] == [x.size(at: 1), 1], try weight.size(at: 2) >= 1 else {
                throw call.wrong("takes [batch, channels, time] and [channels, 1, k], was given \(x.shape) and \(weight.shape)")
            }
            let reach = try weight.size(at: 2) - 1, channels = try x.size(at: 1), time = try x.size(at: 2)
            let whole = try call.optional(3).map { try Tensor.concatenated([$0, x], axis: 2) } ?? call.padded(x, [(0, 0), (0, 0), (reach, 0)], .constant(0))
            var y = try whole.conv1D(weight, bias: call.optional(2), groups: channels)
            switch call.string("activation", "none") {
            case "silu", "swish": y = try y.silu()
            case "none", "": break
            case let name: throw call.unsupported("the activation '\(name)'")
            }
            return try call.result(y, kind) + [.tensor(whole.sliced(2, from: time), kind)]
        },
    ]
}

extension OperatorCall {
    /// What is added to the scores `[batch, heads, length, total]`: 0, or -infinity where a query mustn't look; nil where each may look at all.
    ///
    /// A query's place among the keys is its own one behind those that were there before: the past ones, or those of `nonpad_kv_seqlen` that
    /// aren't of this call.
    fileprivate func attentionBias(length: Dimension, total: Dimension, past: Dimension, _ dtype: DType) throws -> Tensor? {
        let hidden = try Tensor.full(-.infinity, [], dtype), zero = try Tensor.zeros([], dtype)
        var bias: Tensor?
        func add(_ allowed: Tensor) throws {
            let own = try allowed.select(zero, hidden)
            bias = try bias.map { try $0 + own } ?? own
        }
        if var mask = try optional(3) {
            if mask.dtype == .bool { mask = try mask.select(zero, hidden) }
            // A mask that is shorter than the keys hides the rest.
            if let own = mask.shape[-1].number, let total = total.number, own < total {
                mask = try mask.padded((0..<mask.rank).map { (0, $0 == mask.rank - 1 ? total - own : 0) }, .constant(-.infinity))
            }
            bias = mask
        }
        let lengths = try optional(6)?.cast(to: .int64)
        var offset = try SizeExpression(past).tensor().reshaped([])
        if let lengths, !has(4) { offset = try (lengths - SizeExpression(length).tensor()).reshaped([lengths.count, 1, 1, 1]) }
        // How far behind the query each key lies.
        let places = try Tensor.range(of: total), distance = try places.withAxis(0) - Tensor.range(of: length).withAxis(1) - offset
        if flag("is_causal") { try add(distance.isAtMost(Tensor(Int64(0)))) }
        let left = int("left_window_size", -1), right = int("right_window_size", -1)
        if left >= 0 { try add(distance.isAtLeast(Tensor(Int64(-left)))) }
        if right >= 0 { try add(distance.isAtMost(Tensor(Int64(right)))) }
        if let lengths { try add(places.isLess(than: lengths.reshaped([lengths.count, 1, 1, 1]))) }
        return bias
    }
}
