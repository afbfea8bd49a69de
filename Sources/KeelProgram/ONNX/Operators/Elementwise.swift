internal import Keel

/// A function of one number, in the kind of the input.
func unary(_ name: String, _ since: Int = 1, _ function: @escaping @Sendable (Tensor) throws -> Tensor) -> Operator {
    Operator(name, since) { call in try call.result(function(call.tensor(0)), call.kind(0)) }
}

/// A function of two numbers of one kind, broadcast.
private func binary(_ name: String, _ function: @escaping @Sendable (Tensor, Tensor) throws -> Tensor) -> Operator {
    Operator(name) { call in
        let (a, b) = try call.operands()
        return try call.result(function(a, b), call.kind(0))
    }
}

/// A function of any number of inputs, broadcast.
private func variadic(_ name: String, _ function: @escaping @Sendable (Tensor, Tensor) throws -> Tensor) -> Operator {
    Operator(name) { call in
        let tensors = try call.tensors(), kind = try call.kind(0)
        _ = try call.broadcast(tensors)
        return try call.result(tensors.dropFirst().reduce(tensors[0], function), kind)
    }
}

extension OperatorCall {
    /// The two inputs of a broadcasting operator. Before opset 7 the second is laid along an axis, if told so.
    func operands() throws -> (Tensor, Tensor) {
        let (a, kinds) = (try tensor(0), (try kind(0), try kind(1)))
        var b = try tensor(1)
        guard kinds.0 == kinds.1 else { throw wrong("its inputs are \(kinds.0) and \(kinds.1), one kind is expected") }
        if opset < 7, domain == "", flag("broadcast"), let axis = int("axis") {
            let place = try self.axis(axis, rank: a.rank)
            guard place + b.rank <= a.rank else { throw wrong("\(b.shape) doesn't fit into \(a.shape) from axis \(axis) on") }
            b = try b.reshaped(Shape(of: b.shape.dimensions + [Dimension](repeating: Dimension(1), count: a.rank - place - b.rank)))
        }
        _ = try broadcast([a, b])
        return (a, b)
    }

    var domain: String { node.domain }

    /// uint64 moved so that its order is int64's.
    func inOrder(_ tensor: Tensor, _ kind: ElementKind) throws -> Tensor {
        kind == .uint64 ? try tensor + Tensor(Int64.min) : tensor
    }

    /// The larger or smaller of numbers of any kind.
    func extreme(_ a: Tensor, _ b: Tensor, _ kind: ElementKind, largest: Bool) throws -> Tensor {
        let (x, y) = (try inOrder(a, kind), try inOrder(b, kind))
        return try inOrder(largest ? x.maximum(y) : x.minimum(y), kind)
    }
}

/// Numbers of one shape as int64, for loops in Swift over kinds and operators that no kernel knows.
private func onHost(_ a: Tensor, _ b: Tensor, _ call: OperatorCall, _ function: (Int64, Int64) -> Int64) throws -> Tensor {
    let shape = try call.broadcast([a, b])
    let x = try a.expanded(to: shape).cast(to: .int64).elements(Int64.self), y = try b.expanded(to: shape).cast(to: .int64).elements(Int64.self)
    return try Tensor(zip(x, y).map(function), shape)
}

extension Operators {
    static let elementwise: [Operator] = [
        binary("Add") { try $0 + $1 },
        binary("Sub") { try $0 - $1 },
        binary("Mul") { try $0 * $1 },
        Operator("Div") { call in
            let (a, b) = try call.operands(), kind = try call.kind(0)
            if kind == .uint64 {
                return try call.result(
                    onHost(a, b, call) { $1 == 0 ? 0 : Int64(bitPattern: UInt64(bitPattern: $0) / UInt64(bitPattern: $1)) }, kind)
            }
            return try call.result(a / b, kind)
        },
        Operator("Mod", 10) { call in
            let (a, b) = try call.operands(), kind = try call.kind(0)
            if kind == .uint64 {
                return try call.result(
                    onHost(a, b, call) { $1 == 0 ? 0 : Int64(bitPattern: UInt64(bitPattern: $0) % UInt64(bitPattern: $1)) }, kind)
            }
            guard call.flag("fmod") else { return try call.result(a.remainder(over: b), kind) }
            let quotient = kind.isFloat ? try (a / b).truncated() : try a / b
            return try call.result(a - quotient * b, kind)
        },
        Operator("Pow") { call in
            let a = try call.tensor(0), b = try call.tensor(1), kind = try call.kind(0)
            _ = try call.broadcast([a, b])
            if kind.isFloat { return try call.result(a.power(b.cast(to: a.dtype)), kind) }
            return try call.result(a.cast(to: .float64).power(b.cast(to: .float64)).cast(to: .int64), kind)
        },
        variadic("Sum") { try $0 + $1 },
        Operator("Mean") { call in
            let tensors = try call.tensors()
            _ = try call.broadcast(tensors)
            return try call.result(tensors.dropFirst().reduce(tensors[0]) { try $0 + $1 } / Double(tensors.count), call.kind(0))
        },
        Operator("Max") { call in
            let tensors = try call.tensors(), kind = try call.kind(0)
            _ = try call.broadcast(tensors)
            return try call.result(tensors.dropFirst().reduce(tensors[0]) { try call.extreme($0, $1, kind, largest: true) }, kind)
        },
        Operator("Min") { call in
            let tensors = try call.tensors(), kind = try call.kind(0)
            _ = try call.broadcast(tensors)
            return try call.result(tensors.dropFirst().reduce(tensors[0]) { try call.extreme($0, $1, kind, largest: false) }, kind)
        },
        unary("Neg") { try $0.negated() },
        unary("Abs") { $0.dtype == .uint8 ? $0 : try $0.magnitude() },
        unary("Sign", 9) { $0.dtype == .uint8 ? try $0.minimum(Tensor(UInt8(1))) : try $0.sign() },
        unary("Floor") { try $0.floor() },
        unary("Ceil") { try $0.ceil() },
        unary("Round", 11) { try $0.rounded() },
        unary("Sqrt") { try $0.squareRoot() },
        unary("Reciprocal") { try $0.reciprocal() },
        unary("Exp") { try $0.exp() },
        unary("Log") { try $0.log() },
        unary("Erf", 9) { try $0.erf() },
        unary("Sin", 7) { try $0.sine() },
        unary("Cos", 7) { try $0.cosine() },
        unary("Tan", 7) { try $0.tangent() },
        unary("Asin", 7) { try $0.arcsine() },
        unary("Acos", 7) { try $0.arccosine() },
        unary("Atan", 7) { try $0.arctangent() },
        unary("Sinh", 9) { try $0.hyperbolicSine() },
        unary("Cosh", 9) { try $0.hyperbolicCosine() },
        // asinh x = sign(x) * ln(|x| + sqrt(x² + 1)), with the sum less 1 computed first so that small numbers keep their digits.
        unary("Asinh", 9) { x in
            let m = try x.magnitude(), square = try m * m
            return try (m + square / ((square + 1).squareRoot() + 1)).log1p() * x.sign()
        },
        unary("Acosh", 9) { x in try (x - 1 + ((x - 1) * (x + 1)).squareRoot()).log1p() },
        unary("Atanh", 9) { x in try (x.log1p() - x.negated().log1p()) * 0.5 },
        Operator("Clip") { call in
            var x = try call.tensor(0)
            let kind = try call.kind(0)
            if call.opset < 11 {
                return try call.result(x.clipped(from: call.float("min", -.infinity), to: call.float("max", .infinity)), kind)
            }
            if let least = try call.optional(1) { x = try call.extreme(x, least.reshaped([]), kind, largest: true) }
            if let most = try call.optional(2) { x = try call.extreme(x, most.reshaped([]), kind, largest: false) }
            return try call.result(x, kind)
        },
        Operator("Cast") { call in
            // Before opset 6 the kind is given by name.
            let kind = call.opset < 6 ? ElementKind(named: call.string("to", "")) : ElementKind(rawValue: Int64(call.int("to", 0)))
            return [try call.cast(call.value(0), to: call.required(kind, "to"))]
        },
        Operator("CastLike", 15) { call in [try call.cast(call.value(0), to: call.kind(1))] },
        Operator("BitCast", 26) { call in
            let x = try call.tensor(0), from = try call.kind(0)
            guard let kind = ElementKind(rawValue: Int64(call.int("to", 0))), kind.bits == from.bits, kind != .string else {
                throw call.wrong("takes \(from), and 'to' is \(call.int("to", 0)): as many bits are expected")
            }
            return [.tensor(try ONNXValue.tensor(ofBits: from.bits(of: x), kind, x.shape), kind)]
        },
        Operator("Identity") { call in [try call.value(0)] },
        Operator("IsNaN", 9) { call in call.bools(try call.tensor(0).isNaN()) },
        Operator("IsInf", 10) { call in
            let x = try call.tensor(0)
            let never = try Tensor.filled(0, x.shape, .bool)
            let above = call.flag("detect_positive", true) ? try x.equals(Tensor.full(.infinity, [], x.dtype)) : never
            let below = call.flag("detect_negative", true) ? try x.equals(Tensor.full(-.infinity, [], x.dtype)) : never
            return call.bools(try above.or(below))
        },
    ]

    static let logical: [Operator] = [
        comparison("Equal") { try $0.equals($1) },
        comparison("Less") { try $0.isLess(than: $1) },
        comparison("LessOrEqual", 12) { try $0.isAtMost($1) },
        comparison("Greater") { try $0.isGreater(than: $1) },
        comparison("GreaterOrEqual", 12) { try $0.isAtLeast($1) },
        comparison("And") { try $0.and($1) },
        comparison("Or") { try $0.or($1) },
        comparison("Xor") { try $0.xor($1) },
        Operator("Not") { call in call.bools(try call.tensor(0).not()) },
        Operator("Where", 9) { call in
            if case .strings = try call.value(1) { throw call.unsupported("strings") }
            let condition = try call.tensor(0), a = try call.tensor(1), b = try call.tensor(2)
            guard try call.kind(1) == call.kind(2) else { throw call.wrong("chooses between \(try call.kind(1)) and \(try call.kind(2))") }
            _ = try call.broadcast([condition, a, b])
            return [.tensor(try condition.select(a, b), try call.kind(1))]
        },
    ]

    private static func comparison(_ name: String, _ since: Int = 1, _ function: @escaping @Sendable (Tensor, Tensor) throws -> Tensor) -> Operator {
        Operator(name, since) { call in
            if case .strings(let a, let shape) = try call.value(0), case .strings(let b, shape) = try call.value(1), name == "Equal" {
                return call.bools(try Tensor(zip(a, b).map { $0 == $1 }, shape))
            }
            let (a, b) = try call.operands(), kind = try call.kind(0)
            return call.bools(try function(call.inOrder(a, kind), call.inOrder(b, kind)))
        }
    }

    static let wholeNumbers: [Operator] = [
        Operator("BitShift", 11) { call in
            let (a, b) = try call.operands(), kind = try call.kind(0), isLeft = call.string("direction") == "LEFT"
            return try call.result(
                onHost(a, b, call) { x, shift in
                    // Shifted out altogether, nothing is left but the sign.
                    guard (0..<Int64(kind.bits)).contains(shift) else { return !isLeft && kind.isSigned && x < 0 ? -1 : 0 }
                    return isLeft ? x << shift : kind.isSigned ? x >> shift : Int64(bitPattern: UInt64(bitPattern: x) >> UInt64(shift))
                }, kind)
        },
        bitwise("BitwiseAnd") { $0 & $1 },
        bitwise("BitwiseOr") { $0 | $1 },
        bitwise("BitwiseXor") { $0 ^ $1 },
        Operator("BitwiseNot", 18) { call in
            // ~x = -x - 1
            let x = try call.tensor(0).cast(to: .int64)
            return try call.result(x.negated() - Tensor(Int64(1)), call.kind(0))
        },
    ]

    private static func bitwise(_ name: String, _ function: @escaping @Sendable (Int64, Int64) -> Int64) -> Operator {
        Operator(name, 18) { call in
            let (a, b) = try call.operands()
            return try call.result(onHost(a, b, call, function), call.kind(0))
        }
    }
}

extension ElementKind {
    /// By its name in the format, such as `FLOAT`.
    fileprivate init?(named name: String) {
        let own = ["FLOAT": "FLOAT32", "DOUBLE": "FLOAT64"][name] ?? name
        guard let kind = Self.allCases.first(where: { "\($0)".uppercased() == own }) else { return nil }
        self = kind
    }
}

extension OperatorCall {
    /// The same numbers as another kind. Floats become whole numbers by truncation; a small float takes what is too large for it as its
    /// largest number, unless `saturate` is 0.
    func cast(_ value: ONNXValue, to kind: ElementKind) throws -> ONNXValue {
        if kind == .string {
            guard case .strings = value else { throw unsupported("casts to strings") }
            return value
        }
        if case .strings(let texts, let shape) = value {
            let numbers = try texts.map { text in
                guard let number = Double(text.trimmingPrefix("+")) ?? ["INF": Double.infinity, "-INF": -.infinity, "NaN": .nan][text] else {
                    throw wrong("'\(text.prefix(40))' isn't a number")
                }
                return number
            }
            return .tensor(try kind.settled(Tensor(numbers, shape)), kind)
        }
        guard case .tensor(var x, let from) = value else { throw wrong("its input isn't a tensor") }
        if from == kind { return value }
        if from == .uint64, kind.isFloat || kind == .bool {
            let plain = try x.cast(to: .float64)
            x = try plain.isLess(than: Tensor(0.0)).select(plain + 0x1p64, plain)
        }
        if from.isFloat, kind.isInteger {
            // What is too large for a kind has no defined value. Of those below 8 bits the standard's own cases take the largest number up to
            // opset 23, and the low bits since.
            if kind.bits < 8, opset < 24 { x = try x.clipped(from: Double(kind.limits.lowerBound), to: Double(kind.limits.upperBound)) }
            x = try x.cast(to: .int64)
        }
        if kind == .bool { return .tensor(try x.cast(to: .bool), kind) }
        let isSmall = kind.bits <= 8 && kind.isFloat
        return .tensor(try kind.settled(x, saturating: isSmall && flag("saturate", true)), kind)
    }
}
