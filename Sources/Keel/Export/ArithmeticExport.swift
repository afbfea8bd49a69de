// Numbers one by one.

// Operators of the same name do the same.
extension Add: Exportable {}
extension Subtract: Exportable {}
extension Multiply: Exportable {}
extension Divide: Exportable {}
extension Power: Exportable {}
extension Maximum: Exportable {}
extension Minimum: Exportable {}
extension Negate: Exportable {}
extension Exp: Exportable {}
extension Log: Exportable {}
extension Sqrt: Exportable {}
extension Abs: Exportable {}
extension Sign: Exportable {}
extension Reciprocal: Exportable {}
extension Erf: Exportable {}
extension Arctangent: Exportable {}
extension Sine: Exportable {}
extension Cosine: Exportable {}
extension HyperbolicSine: Exportable {}
extension HyperbolicCosine: Exportable {}
extension Floor: Exportable {}
extension Ceil: Exportable {}
extension Round: Exportable {}

extension Scale: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var x = call.inputs[0]
        if factor != 1 { x = graph.node("Mul", [x, try graph.number(factor, call.dtype)]) }
        if offset != 0 { x = graph.node("Add", [x, try graph.number(offset, call.dtype)]) }
        return [x]
    }
}

extension DivideBySize: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let least = graph.node("Max", [try graph.dimension(size), try graph.ints([1])])
        let count = graph.cast(try graph.reshape(least, to: []), to: call.dtype)
        return [graph.node("Div", [call.inputs[0], count])]
    }
}

extension Clip: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var limits: [String] = []
        for limit in [least, most] { limits.append(limit.isInfinite ? "" : try graph.number(limit, call.dtype)) }
        return [graph.node("Clip", call.inputs + limits)]
    }
}

extension Truncate: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let whole = graph.node("Floor", [graph.node("Abs", call.inputs)])
        return [graph.node("Mul", [graph.node("Sign", call.inputs), whole])]
    }
}

extension Remainder: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard call.dtype.isFloat else { return [graph.node("Mod", call.inputs)] }
        let quotient = graph.node("Floor", [graph.node("Div", call.inputs)])
        return [graph.node("Sub", [call.inputs[0], graph.node("Mul", [quotient, call.inputs[1]])])]
    }
}

extension Expm1: Exportable {
    /// `tanh(x/2) * (e^x + 1)`, which keeps its digits near 0.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let half = graph.node("Tanh", [graph.node("Mul", [call.inputs[0], try graph.number(0.5, call.dtype)])])
        let sum = graph.node("Add", [graph.node("Exp", call.inputs), try graph.number(1, call.dtype)])
        return [graph.node("Mul", [half, sum])]
    }
}

extension Log1p: Exportable {
    /// With `u = 1 + x` as it is rounded, `ln(u) * x / (u - 1)` keeps its digits up to 1, and `x` is the answer where `u` is 1.
    ///
    /// - Source: Goldberg, *What every computer scientist should know about floating-point arithmetic*, 1991, theorem 4.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let x = call.inputs[0], one = try graph.number(1, call.dtype)
        let u = graph.node("Add", [x, one]), log = graph.node("Log", [u])
        let exact = graph.node("Mul", [log, graph.node("Div", [x, graph.node("Sub", [u, one])])])
        let small = graph.node("Where", [graph.node("Equal", [u, one]), x, exact])
        return [graph.node("Where", [graph.node("Greater", [x, one]), log, small])]
    }
}

extension Arctangent2: Exportable {
    /// `atan(y / x)`, half a turn further where `x` is below 0, and 0 at the origin.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let (y, x) = (call.inputs[0], call.inputs[1]), zero = try graph.number(0, call.dtype)
        let angle = graph.node("Atan", [graph.node("Div", [y, x])])
        let half = graph.node("Where", [graph.node("Less", [y, zero]), try graph.number(-.pi, call.dtype), try graph.number(.pi, call.dtype)])
        let turned = graph.node("Add", [angle, graph.node("Where", [graph.node("Less", [x, zero]), half, zero])])
        let isOrigin = graph.node("And", [graph.node("Equal", [x, zero]), graph.node("Equal", [y, zero])])
        return [graph.node("Where", [isOrigin, zero, turned])]
    }
}

extension Compare: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var operands = call.inputs
        let type: String
        switch question {
        case .equal: type = "Equal"
        case .less: type = "Less"
        case .lessOrEqual: type = "LessOrEqual"
        case .greater: type = "Greater"
        case .greaterOrEqual: type = "GreaterOrEqual"
        case .and: type = "And"
        case .or: type = "Or"
        case .xor: type = "Xor"
        }
        let isLogical = [.and, .or, .xor].contains(question)
        if isLogical, call.dtype != .bool { operands = operands.map { graph.cast($0, to: .bool) } }
        if !isLogical, question != .equal, call.dtype == .bool { operands = operands.map { graph.cast($0, to: .int32) } }
        return [graph.node(type, operands)]
    }
}

extension Select: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard call.outputs[0].dtype == .bool else { return [graph.node("Where", call.inputs)] }
        // No runtime need select bools.
        let bytes = call.inputs.dropFirst().map { graph.cast($0, to: .uint8) }
        return [graph.cast(graph.node("Where", [call.inputs[0]] + bytes), to: .bool)]
    }
}

extension ElementwiseChain: Exportable {
    /// The links one after another.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var (names, specs) = (call.inputs, call.specs)
        for link in links {
            let inputs = SpecList(link.operands.map { specs[$0] }), made = try link.function.primitive.outputs(inputs)[0]
            let own = ExportCall(inputs: link.operands.map { names[$0] }, specs: link.operands.map { specs[$0] }, outputs: [made])
            names.append(try Self.export(link.function.primitive, own, to: &graph)[0])
            specs.append(made)
        }
        return [names[names.count - 1]]
    }
}
