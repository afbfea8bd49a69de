internal import Keel

/// A whole number that a model computes of its inputs' sizes while it is traced: a number, or an expression of their symbols.
enum SizeExpression: Hashable, Sendable {
    case number(Int)
    case expression(Dimension)

    init(_ dimension: Dimension) {
        if let number = dimension.number {
            self = .number(number)
        } else if dimension.symbols.isEmpty, let opposite = (Dimension(0) - dimension).number {
            // Symbols that cancelled each other leave a number less than 0.
            self = .number(-opposite)
        } else {
            self = .expression(dimension)
        }
    }

    var number: Int? { if case .number(let number) = self { number } else { nil } }

    /// As a size; nil of a number less than 0.
    var dimension: Dimension? {
        switch self {
        case .number(let number): number >= 0 ? Dimension(number) : nil
        case .expression(let dimension): dimension
        }
    }

    /// What it isn't less than, whatever the sizes are.
    var lowerBound: Int? {
        switch self {
        case .number(let number): number
        case .expression(let dimension): dimension.lowerBound
        }
    }

    /// What was made of expressions.
    ///
    /// - Throws: `TensorError.custom` where that would be too long for one.
    private static func made(_ dimension: Dimension) throws(TensorError) -> SizeExpression {
        guard dimension.number != .max else {
            throw TensorError(
                .custom("an expression of sizes would have more than \(Dimension.mostTerms) terms, or one of more than \(Dimension.mostFactors) sizes"))
        }
        return SizeExpression(dimension)
    }

    /// Numbers as int64s are added: around the end.
    static func + (a: SizeExpression, b: SizeExpression) throws(TensorError) -> SizeExpression {
        switch (a, b) {
        case (.number(let a), .number(let b)): .number(a &+ b)
        case (.expression(let a), .expression(let b)): try made(a + b)
        case (.expression(let a), .number(let b)), (.number(let b), .expression(let a)):
            try made(b >= 0 ? a + Dimension(b) : a - Dimension(b == .min ? .max : -b))
        }
    }

    static prefix func - (a: SizeExpression) throws(TensorError) -> SizeExpression {
        switch a {
        case .number(let a): .number(0 &- a)
        case .expression(let a): try made(Dimension(0) - a)
        }
    }

    static func - (a: SizeExpression, b: SizeExpression) throws(TensorError) -> SizeExpression { try a + -b }

    static func * (a: SizeExpression, b: SizeExpression) throws(TensorError) -> SizeExpression {
        switch (a, b) {
        case (.number(let a), .number(let b)): .number(a &* b)
        case (.expression(let a), .expression(let b)): try made(a * b)
        case (.expression(let a), .number(let b)), (.number(let b), .expression(let a)):
            try b >= 0 ? made(a * Dimension(b)) : -made(a * Dimension(b == .min ? .max : -b))
        }
    }

    /// The quotient, cut off towards 0; nil where that is no expression.
    func divided(by divisor: SizeExpression) -> SizeExpression? {
        switch (self, divisor) {
        case (_, .number(0)): nil
        case (.number(let a), .number(let b)): b == -1 ? .number(0 &- a) : .number(a / b)
        case (.expression(let a), .number(let b)) where b > 0:
            // Sizes aren't negative, where rounding down would be another direction.
            if let exact = a.divided(exactlyBy: Dimension(b)) { SizeExpression(exact) } else { a.lowerBound ?? -1 >= 0 ? try? Self.made(a.divided(by: b)) : nil }
        default:
            if let a = dimension, let b = divisor.dimension { a.divided(exactlyBy: b).map(SizeExpression.init) } else { nil }
        }
    }

    /// Nil where it depends on the sizes.
    static func isLess(_ a: SizeExpression, than b: SizeExpression) -> Bool? {
        if let least = (try? b - a)?.lowerBound, least >= 1 { return true }
        if let least = (try? a - b)?.lowerBound, least >= 0 { return false }
        return nil
    }

    /// Nil where it depends on the sizes.
    static func equal(_ a: SizeExpression, _ b: SizeExpression) -> Bool? {
        if a == b { return true }
        return isLess(a, than: b) == true || isLess(b, than: a) == true ? false : nil
    }
}

/// A small tensor of whole numbers that a model computes of its inputs' sizes while it is traced.
public struct SizeExpressions: Sendable {
    let numbers: [SizeExpression]
    let shape: Shape
    /// int32 or int64.
    let kind: ElementKind

    /// As a tensor of the traced function.
    func tensor() throws(TensorError) -> Tensor {
        var parts: [Tensor] = []
        for number in numbers { parts.append(try number.tensor()) }
        let all = try parts.isEmpty ? Tensor.zeros([0], .int64) : Tensor.concatenated(parts)
        return try all.reshaped(shape).cast(to: kind.carrier)
    }
}

extension ONNXValue {
    /// A tensor where all are numbers.
    static func sizes(_ numbers: [SizeExpression], _ shape: Shape, _ kind: ElementKind = .int64) throws -> ONNXValue {
        let plain = numbers.compactMap(\.number)
        guard plain.count == numbers.count else { return .sizes(SizeExpressions(numbers: numbers, shape: shape, kind: kind)) }
        return .tensor(try kind.settled(Tensor(plain, shape)), kind)
    }
}

extension SizeExpression {
    /// As one int64, `[1]`: a symbol's number is how many ones there are along an axis of that size.
    func tensor() throws(TensorError) -> Tensor {
        switch self {
        case .number(let number): try Tensor([Int64(number)])
        case .expression(let dimension): try Tensor(Int64(1)).expanded(to: Shape(of: [dimension])).sum([0], keepingAxes: true)
        }
    }
}

extension Shape {
    /// - Precondition: at most eight of them.
    init(of dimensions: [Dimension]) {
        self.init([Int](repeating: 1, count: dimensions.count))
        for (axis, dimension) in dimensions.enumerated() { self[axis] = dimension }
    }

    var dimensions: [Dimension] { (0..<rank).map { self[$0] } }
}

extension Tensor {
    /// `0, 1, ...` along one axis, whose size may be a symbol.
    static func range(of count: Dimension) throws(TensorError) -> Tensor {
        guard count.isSymbolic else { return try range(count.value()) }
        return try Tensor(Int64(1)).expanded(to: Shape(of: [count])).cumulativeSum(0, exclusive: true)
    }

    /// One number everywhere, in a shape that may be symbolic.
    static func filled(_ value: Double, _ shape: Shape, _ dtype: DType) throws(TensorError) -> Tensor {
        try shape.sizes != nil ? full(value, shape, dtype) : full(value, [], dtype).expanded(to: shape)
    }

    /// Along some axes, as one: their sizes' product.
    static func product(_ dimensions: some Sequence<Dimension>) -> Dimension { dimensions.reduce(Dimension(1), *) }
}
