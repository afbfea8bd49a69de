// Matrix products and convolutions.

extension MatMul: Exportable {}
extension Determinant: Exportable {}

extension Affine: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        if call.specs[0].shape.rank == 2 { return [graph.node("Gemm", call.inputs, ["transB": .int(1)])] }
        let product = graph.node("MatMul", [call.inputs[0], graph.transpose(call.inputs[1], [1, 0])])
        return [call.inputs.count > 2 ? graph.node("Add", [product, call.inputs[2]]) : product]
    }
}

extension ActivatedAffine: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let y = Affine().export(call, to: &graph)
        guard let function = activation.primitive else { return y }
        return try Self.export(function, ExportCall(inputs: y, specs: call.outputs, outputs: call.outputs), to: &graph)
    }
}

extension Sliding {
    /// The attributes of an operator whose window is as large as `kernel`.
    fileprivate func attributes(_ kernel: [Int], groups: Int) -> KeyValuePairs<String, OperatorGraph.Attribute?> {
        [
            "kernel_shape": .ints(kernel), "strides": .ints([stride.height, stride.width]),
            "pads": .ints([padding.top, padding.left, padding.bottom, padding.right]), "dilations": .ints([dilation.height, dilation.width]),
            "group": .int(groups),
        ]
    }
}

extension Conv2D: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let weight = call.specs[1].shape
        return [graph.node("Conv", call.inputs, sliding.attributes([try weight.size(2), try weight.size(3)], groups: groups))]
    }
}

extension RectifiedConv2D: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let own = call.inputs.count - (hasAddend ? 1 : 0)
        let plain = ExportCall(inputs: Array(call.inputs[..<own]), specs: Array(call.specs[..<own]), outputs: call.outputs)
        var y = try convolution.export(plain, to: &graph)[0]
        if hasAddend { y = graph.node("Add", [y, call.inputs[own]]) }
        return [try rectifier.export(y, call.dtype, to: &graph)]
    }
}

extension Conv2DInputGradient: Exportable {
    /// A transposed convolution, whose weights operators have in the same order.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let (dy, weight) = (call.specs[0].shape, call.specs[1].shape), sliding = convolution.sliding
        let kernel = [try weight.size(2), try weight.size(3)]
        /// What the strides of the convolution left over.
        func rest(_ axis: Int, _ stride: Int, _ dilation: Int, _ padding: Int) throws(TensorError) -> Int {
            let reach = dilation * (kernel[axis - 2] - 1) + 1
            guard let rest = (input[axis].offset(by: padding + stride) - (dy[axis] * Dimension(stride)).offset(by: reach)).number else {
                throw .symbolicDimension(input[axis])
            }
            return rest
        }
        let padding = sliding.padding
        let rests = [
            try rest(2, sliding.stride.height, sliding.dilation.height, padding.top + padding.bottom),
            try rest(3, sliding.stride.width, sliding.dilation.width, padding.left + padding.right),
        ]
        return [
            graph.node(
                "ConvTranspose", call.inputs,
                [
                    "kernel_shape": .ints(kernel), "strides": .ints([sliding.stride.height, sliding.stride.width]),
                    "pads": .ints([padding.top, padding.left, padding.bottom, padding.right]),
                    "dilations": .ints([sliding.dilation.height, sliding.dilation.width]), "group": .int(convolution.groups), "output_padding": .ints(rests),
                ])
        ]
    }
}

extension TemporalConv: Exportable {
    /// Time comes last for operators; weights whose taps run backwards are turned round.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var weight = call.inputs[1]
        if isTransposed { weight = try graph.slice(graph.transpose(weight, [1, 0, 2]), axis: 2, from: -1, to: .min + 1, step: -1) }
        let made = graph.node(
            "Conv", [graph.transpose(call.inputs[0], [0, 2, 1]), weight] + call.inputs.dropFirst(2),
            [
                "kernel_shape": .ints([try call.specs[1].shape.size(2)]), "strides": .ints([stride]), "pads": .ints([before, after]),
                "dilations": .ints([dilation]),
            ])
        return [graph.transpose(made, [0, 2, 1])]
    }
}
