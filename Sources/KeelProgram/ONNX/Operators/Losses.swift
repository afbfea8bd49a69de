internal import Keel

extension OperatorCall {
    /// The negative logarithm at each label, weighted and reduced.
    ///
    /// - Shapes: `logarithms [n, c, ...]`, `labels [n, ...]`.
    fileprivate func labelled(_ logarithms: Tensor, weights: Tensor?) throws -> Tensor {
        let labels = try tensor(1).cast(to: .int64), sizes = try logarithms.sizes()
        guard sizes.count >= 2, try labels.sizes() == [sizes[0]] + sizes[2...] else { throw wrong("labels \(labels.shape) for \(logarithms.shape)") }
        let ignored = int("ignore_index")
        let counts = try ignored.map { try labels.equals(Tensor(Int64($0))).not() } ?? Tensor.full(1, labels.shape, .bool)
        let picked = try counts.select(labels, Tensor(Int64(0)))
        if picked.count > 0 {
            let least = try picked.min().item(Int64.self), most = try picked.max().item(Int64.self)
            guard least >= 0, most < Int64(sizes[1]) else { throw wrong("label \(least < 0 ? least : most) isn't in 0..<\(sizes[1])") }
        }
        let zero = try Tensor.zeros([], logarithms.dtype)
        let own = try weights.map { try $0.gathered(picked) } ?? Tensor.ones(labels.shape, logarithms.dtype)
        let factor = try counts.select(own, zero)
        let losses = try counts.select(logarithms.takenAlong(1, at: picked.withAxis(1)).withoutAxis(1).negated(), zero) * factor
        switch string("reduction", "mean") {
        case "none": return losses
        case "sum": return try losses.sum()
        case "mean": return try losses.sum() / factor.sum()
        case let name: throw wrong("reduction is '\(name)'")
        }
    }
}

extension Operators {
    static let losses: [Operator] = [
        Operator("NegativeLogLikelihoodLoss", 12) { call in try call.result(call.labelled(call.tensor(0), weights: call.optional(2)), call.kind(0)) },
        Operator("SoftmaxCrossEntropyLoss", 12) { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            guard x.rank >= 2 else { throw call.wrong("takes [n, c, ...], was given \(x.shape)") }
            let logarithms = try x.logSoftmax(1)
            return try call.result(call.labelled(logarithms, weights: call.optional(2)), kind) + call.result(logarithms, kind)
        },
    ]
}
