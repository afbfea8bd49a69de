internal import Keel

// What a model computes of its inputs' sizes while it is traced, such as the shape that it brings a tensor into. It is done with expressions here
// and leaves no step in the program; what isn't in this file is done with tensors.

extension OperatorCall {
    /// The outputs, where all that the operator reads are sizes, numbers known beforehand among them; nil where it isn't of this kind.
    func ofSizes() throws -> [ONNXValue]? {
        guard inputs.contains(where: { if case .sizes = $0 { true } else { false } }), let rule = Self.rules[node.type], node.domain.isEmpty else { return nil }
        return try rule(self)
    }

    /// Numbers of an input that are known while the model is traced.
    fileprivate func known(_ i: Int) throws -> (numbers: [SizeExpression], shape: Shape, kind: ElementKind)? {
        guard has(i) else { return nil }
        switch inputs[i] {
        case .sizes(let sizes): return (sizes.numbers, sizes.shape, sizes.kind)
        case .tensor(let tensor, let kind) where !tensor.isTraced && (kind == .int64 || kind == .int32 || kind == .bool) && tensor.count <= 4096:
            return (try tensor.cast(to: .int64).elements(Int.self).map(SizeExpression.number), tensor.shape, kind)
        default: return nil
        }
    }

    /// By the operator itself, on positions in place of the numbers: they move as these would.
    private func byPlaces() throws -> [ONNXValue]? {
        guard case .sizes(let sizes)? = inputs.first, let found = Operators.find(node, opset) else { return nil }
        var other = inputs
        other[0] = ONNXValue(try Tensor.range(sizes.numbers.count).reshaped(sizes.shape))
        for case let value? in other.dropFirst() {
            guard case .tensor(let tensor, _) = value, !tensor.isTraced else { return nil }
        }
        let call = OperatorCall(node: node, opset: opset, inputs: other, attributes: attributes, execution: execution, scope: scope)
        return try found.compute(call).map { value in
            guard case .tensor(let places, _) = value else { throw wrong("doesn't give a tensor") }
            return try .sizes(places.elements(Int.self).map { sizes.numbers[$0] }, places.shape, sizes.kind)
        }
    }

    /// Of the numbers of two inputs or more that stretch to one shape.
    private func stretchedNumbers(_ places: Range<Int>) throws -> (numbers: [[SizeExpression]], shape: Shape, kind: ElementKind)? {
        var all: [(numbers: [SizeExpression], shape: Shape, kind: ElementKind)] = []
        for i in places {
            guard let one = try known(i) else { return nil }
            all.append(one)
        }
        let shape = try Shape(checking: stretched(all.map { $0.shape.sizes ?? [] }))
        guard try shape.elementCount() <= 4096 else { return nil }
        let numbers = try all.map { one in
            try Tensor.range(one.numbers.count).reshaped(one.shape).expanded(to: shape).elements(Int.self).map { one.numbers[$0] }
        }
        return (numbers, shape, all.last?.kind ?? .int64)
    }

    private func folded(_ function: (SizeExpression, SizeExpression) throws -> SizeExpression?) throws -> [ONNXValue]? {
        guard let (numbers, shape, kind) = try stretchedNumbers(0..<inputs.count), var result = numbers.first else { return nil }
        for other in numbers.dropFirst() {
            for i in result.indices {
                guard let next = try function(result[i], other[i]) else { return nil }
                result[i] = next
            }
        }
        return [try .sizes(result, shape, kind)]
    }

    private func compared(_ function: (SizeExpression, SizeExpression) -> Bool?) throws -> [ONNXValue]? {
        guard let (numbers, shape, _) = try stretchedNumbers(0..<2) else { return nil }
        var result: [Bool] = []
        for (a, b) in zip(numbers[0], numbers[1]) {
            guard let answer = function(a, b) else { return nil }
            result.append(answer)
        }
        return bools(try Tensor(result, shape))
    }

    private func reduced(_ start: SizeExpression, axesAsInput: Int, _ function: (SizeExpression, SizeExpression) throws -> SizeExpression) throws -> [ONNXValue]? {
        guard let (numbers, shape, kind) = try known(0), shape.rank <= 1 else { return nil }
        let axes = try opset >= axesAsInput ? (has(1) ? ints(1) : []) : ints("axes") ?? []
        guard axes.isEmpty ? !flag("noop_with_empty_axes") : axes == [0] || axes == [-1] else { return nil }
        return [try .sizes([try numbers.reduce(start, function)], flag("keepdims", true) ? Shape([Int](repeating: 1, count: shape.rank)) : [], kind)]
    }

    private typealias Rule = @Sendable (OperatorCall) throws -> [ONNXValue]?

    private static let rules: [String: Rule] = [
        "Identity": { call in call.inputs[0].map { [$0] } },
        "Shape": { try $0.byShape() },
        "Size": { call in try call.known(0).map { try call.ints64([$0.numbers.count], []) } },
        "Gather": { try $0.byPlaces() }, "Slice": { try $0.byPlaces() }, "Squeeze": { try $0.byPlaces() }, "Unsqueeze": { try $0.byPlaces() },
        "Reshape": { try $0.byPlaces() }, "Flatten": { try $0.byPlaces() }, "Transpose": { try $0.byPlaces() }, "Split": { try $0.byPlaces() },
        "Expand": { try $0.byPlaces() }, "Tile": { try $0.byPlaces() },
        "Concat": { call in
            var numbers: [SizeExpression] = [], kind = ElementKind.int64
            for i in call.inputs.indices {
                guard let part = try call.known(i), part.shape.rank == 1 else { return nil }
                numbers += part.numbers
                kind = part.kind
            }
            return [try .sizes(numbers, [numbers.count], kind)]
        },
        "Cast": { call in
            guard let (numbers, shape, _) = try call.known(0), let kind = ElementKind(rawValue: Int64(call.int("to", 0))), kind == .int64 || kind == .int32 else { return nil }
            return [try .sizes(numbers, shape, kind)]
        },
        "Add": { try $0.folded { try $0 + $1 } },
        "Sub": { try $0.folded { try $0 - $1 } },
        "Mul": { try $0.folded { try $0 * $1 } },
        "Div": { try $0.folded { $0.divided(by: $1) } },
        "Mod": { call in
            try call.folded { a, b in
                guard let quotient = a.divided(by: b), (a.lowerBound ?? -1) >= 0, (b.lowerBound ?? -1) >= 0 else { return nil }
                return try a - quotient * b
            }
        },
        "Neg": { call in
            guard let (numbers, shape, kind) = try call.known(0) else { return nil }
            return [try .sizes(numbers.map { try -$0 }, shape, kind)]
        },
        "Abs": { call in
            guard let (numbers, shape, kind) = try call.known(0), numbers.allSatisfy({ ($0.lowerBound ?? -1) >= 0 }) else { return nil }
            return [try .sizes(numbers, shape, kind)]
        },
        "Max": { try $0.folded { a, b in SizeExpression.isLess(a, than: b).map { $0 ? b : a } } },
        "Min": { try $0.folded { a, b in SizeExpression.isLess(a, than: b).map { $0 ? a : b } } },
        "Equal": { try $0.compared(SizeExpression.equal) },
        "Less": { try $0.compared { SizeExpression.isLess($0, than: $1) } },
        "Greater": { try $0.compared { SizeExpression.isLess($1, than: $0) } },
        "LessOrEqual": { try $0.compared { a, b in SizeExpression.isLess(b, than: a).map { !$0 } } },
        "GreaterOrEqual": { try $0.compared { a, b in SizeExpression.isLess(a, than: b).map { !$0 } } },
        "Where": { call in
            guard let (numbers, shape, kind) = try call.stretchedNumbers(0..<3) else { return nil }
            var result: [SizeExpression] = []
            for (i, condition) in numbers[0].enumerated() {
                guard let answer = condition.number else { return nil }
                result.append(numbers[answer != 0 ? 1 : 2][i])
            }
            return [try .sizes(result, shape, kind)]
        },
        "ReduceProd": { try $0.reduced(.number(1), axesAsInput: 18) { try $0 * $1 } },
        "ReduceSum": { try $0.reduced(.number(0), axesAsInput: 13) { try $0 + $1 } },
    ]

    private func byShape() throws -> [ONNXValue]? {
        guard case .sizes(let sizes)? = inputs[0], let found = Operators.find(node, opset) else { return nil }
        // How many there are is a number.
        let stand = ONNXValue(try Tensor.range(sizes.numbers.count).reshaped(sizes.shape))
        return try found.compute(OperatorCall(node: node, opset: opset, inputs: [stand], attributes: attributes, execution: execution, scope: scope))
    }
}

extension OperatorCall {
    /// The whole numbers of a small tensor; while a model is traced, expressions of its sizes too.
    func sizes(_ i: Int) throws -> [SizeExpression] {
        if let known = try known(i), known.kind != .bool { return known.numbers }
        return try ints(i).map(SizeExpression.number)
    }

    /// One of them.
    func size(_ i: Int) throws -> SizeExpression {
        let numbers = try sizes(i)
        guard numbers.count == 1 else { throw wrong("input \(i) holds \(numbers.count) numbers, one is expected") }
        return numbers[0]
    }
}
