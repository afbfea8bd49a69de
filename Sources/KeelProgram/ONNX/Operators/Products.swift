internal import Keel

extension OperatorCall {
    /// NumPy's matrix product, in which a vector is a row on the left and a column on the right.
    func product(_ a: Tensor, _ b: Tensor) throws -> Tensor {
        guard a.rank >= 1, b.rank >= 1 else { throw wrong("a scalar isn't a matrix") }
        var (x, y) = (a, b)
        if a.rank == 1 { x = try x.withAxis(0) }
        if b.rank == 1 { y = try y.withAxis(1) }
        guard x.shape[-1] == y.shape[-2] else { throw wrong("the inner sizes of \(a.shape) and \(b.shape) differ") }
        let (p, q) = (x.shape.dimensions, y.shape.dimensions)
        let sizes = try stretched([Array(p.dropLast(2)), Array(q.dropLast(2))]) + [p[p.count - 2], q[q.count - 1]]
        try reserve(sizes, x.dtype)
        try reserve(work: sizes + [p[p.count - 1]])
        var result: Tensor
        if x.dtype.isFloat {
            result = try x.matmul(y)
        } else {
            // Doubles hold all whole numbers up to 2^53, and so all sums of 32-bit products that fit.
            result = try x.cast(to: .float64).matmul(y.cast(to: .float64)).cast(to: .int64).cast(to: x.dtype)
        }
        if a.rank == 1 { result = try result.withoutAxis(result.rank - 2) }
        if b.rank == 1 { result = try result.withoutAxis(result.rank - 1) }
        return result
    }
}

extension Operators {
    static let products: [Operator] = [
        Operator("MatMul") { call in try call.result(call.product(call.tensor(0), call.tensor(1)), call.kind(0)) },
        Operator("Gemm") { call in
            var a = try call.tensor(0), b = try call.tensor(1)
            let kind = try call.kind(0)
            guard a.rank == 2, b.rank == 2 else { throw call.wrong("takes matrices, was given \(a.shape) and \(b.shape)") }
            if call.flag("transA") { a = try a.transposed() }
            if call.flag("transB"), kind.isFloat, a.shape[1] == b.shape[1], call.float("alpha", 1) == 1, call.float("beta", 1) == 1,
                let c = try call.optional(2), c.shape == Shape(of: [b.shape[0]])
            {
                // A fully connected layer.
                try call.reserve([a.shape[0], b.shape[0]], a.dtype)
                try call.reserve(work: [a.shape[0], b.shape[0], a.shape[1]])
                return try call.result(a.affine(b, bias: c), kind)
            }
            if call.flag("transB") { b = try b.transposed() }
            let alpha = call.float("alpha", 1), beta = call.float("beta", 1)
            func scaled(_ x: Tensor, _ factor: Double) throws -> Tensor {
                factor == 1 ? x : x.dtype.isFloat ? try x * factor : try (x.cast(to: .float64) * factor).cast(to: x.dtype)
            }
            var y = try scaled(call.product(a, b), alpha)
            if let c = try call.optional(2), beta != 0 {
                guard try call.broadcast([y, c]) == y.shape else { throw call.wrong("\(c.shape) doesn't broadcast to \(y.shape)") }
                y = try y + scaled(c, beta)
            }
            return try call.result(y, kind)
        },
        Operator("Einsum", 12) { call in
            let equation = try call.required(call.string("equation"), "equation")
            let tensors = try call.tensors(), kind = try call.kind(0)
            let isFloat = tensors.allSatisfy { $0.dtype.isFloat }
            // Beyond that, choosing an order takes longer than any product.
            guard tensors.count <= 32 else { throw call.unsupported("\(tensors.count) factors, allowed are 32") }
            let einsum = try Einsum(equation), cost = try einsum.cost(of: tensors.map(\.shape))
            try call.reserve([Int(min(cost.largest, 0x1p58))], .float64)
            try call.reserve(work: [Int(min(cost.multiplications, 0x1p62))])
            let made = try einsum(isFloat ? tensors : tensors.map { try $0.cast(to: .float64) })
            return try call.result(isFloat ? made : made.cast(to: .int64), kind)
        },
        Operator("Det", 11) { call in try call.result(call.tensor(0).determinant(), call.kind(0)) },
        Operator("MatMulInteger", 10) { call in
            let a = try call.centred(0, zeroPoint: 2, rows: true), b = try call.centred(1, zeroPoint: 3, rows: false)
            return [.tensor(try call.product(a, b).cast(to: .int32), .int32)]
        },
    ]
}

extension OperatorCall {
    /// A quantised matrix less its zero point, as int32. One zero point a row of the first factor or a column of the second is allowed.
    func centred(_ i: Int, zeroPoint: Int, rows: Bool) throws -> Tensor {
        let x = try tensor(i).cast(to: .int32)
        guard var zero = try optional(zeroPoint) else { return x }
        zero = try zero.cast(to: .int32)
        if rows, zero.rank == 1, zero.count > 1 { zero = try zero.withAxis(1) }
        return try x - zero
    }
}
