extension Relu: Exportable {}
extension Tanh: Exportable {}
extension Sigmoid: Exportable {}

extension LeakyRelu: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        [graph.node("LeakyRelu", call.inputs, ["alpha": .float(slope)])]
    }
}

extension Silu: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        [graph.node("Mul", [call.inputs[0], graph.node("Sigmoid", call.inputs)])]
    }
}

extension Gelu: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        if graph.opset >= 20 { return [graph.node("Gelu", call.inputs)] }
        let x = call.inputs[0]
        let erf = graph.node("Erf", [graph.node("Mul", [x, try graph.number(0.5.squareRoot(), call.dtype)])])
        let half = graph.node("Mul", [x, try graph.number(0.5, call.dtype)])
        return [graph.node("Mul", [half, graph.node("Add", [erf, try graph.number(1, call.dtype)])])]
    }
}

extension GeluTanh: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        if graph.opset >= 20 { return [graph.node("Gelu", call.inputs, ["approximate": .text("tanh")])] }
        let x = call.inputs[0], one = try graph.number(1, call.dtype), scale = (2 / Double.pi).squareRoot()
        let square = graph.node("Mul", [graph.node("Mul", [x, x]), try graph.number(0.044715 * scale, call.dtype)])
        let argument = graph.node("Mul", [x, graph.node("Add", [square, try graph.number(scale, call.dtype)])])
        let half = graph.node("Mul", [x, try graph.number(0.5, call.dtype)])
        return [graph.node("Mul", [half, graph.node("Add", [graph.node("Tanh", [argument]), one])])]
    }
}

extension Softmax: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        [graph.node("Softmax", call.inputs, ["axis": .int(-1)])]
    }
}

extension LogSoftmax: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        [graph.node("LogSoftmax", call.inputs, ["axis": .int(-1)])]
    }
}

extension Rectifier {
    func export(_ x: String, _ dtype: DType, to graph: inout OperatorGraph) throws(TensorError) -> String {
        switch self {
        case .none: x
        case .relu: graph.node("Relu", [x])
        case .relu6: graph.node("Clip", [x, try graph.number(0, dtype), try graph.number(6, dtype)])
        }
    }
}
