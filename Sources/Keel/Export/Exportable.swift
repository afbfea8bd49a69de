/// A primitive that operators of ONNX can stand for. The files beside this one say which: an entry a primitive. What has none, as gradients and
/// updates of state, isn't exported.
package protocol Exportable: Primitive {
    /// Adds operators that make the primitive's outputs, without residuals, to the graph.
    ///
    /// - Returns: the outputs' names. An input's is allowed.
    /// - Throws: `TensorError.argument` for what no operator of the graph's opset does.
    func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String]
}

/// What a primitive that is exported reads and makes: names of values, and specs.
package struct ExportCall {
    let inputs: [String]
    let specs: [TensorSpec]
    let outputs: [TensorSpec]

    package init(inputs: [String], specs: [TensorSpec], outputs: [TensorSpec]) {
        (self.inputs, self.specs, self.outputs) = (inputs, specs, outputs)
    }

    var dtype: DType { specs[0].dtype }
}

extension Exportable {
    /// The operator of the primitive's own name, which takes the same inputs and means the same.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard let type = Self.onnxName else { preconditionFailure("\(Self.name) has no operator of its own") }
        return [graph.node(type, call.inputs)]
    }

    /// Operators for one of the functions that the primitive is made of.
    static func export(_ function: any Primitive, _ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard let exportable = function as? any Exportable else {
            throw .argument(primitive: name, name: "function", given: type(of: function).name, allowed: "functions that operators stand for")
        }
        return try exportable.export(call, to: &graph)
    }

    func refuse(_ what: String, _ given: some CustomStringConvertible, allowed: String) -> TensorError {
        .argument(primitive: Self.name, name: what, given: given, allowed: allowed)
    }
}
