// Poolings, other sizes, regions.

extension MaxPool2D: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        [graph.node("MaxPool", call.inputs, ["kernel_shape": .ints([kernel.height, kernel.width]), "strides": sliding.strides, "pads": sliding.pads])]
    }
}

extension AveragePool2D: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] {
        [
            graph.node(
                "AveragePool", call.inputs,
                [
                    "kernel_shape": .ints([kernel.height, kernel.width]), "strides": sliding.strides, "pads": sliding.pads,
                    "count_include_pad": .int(countsPadding ? 1 : 0),
                ])
        ]
    }
}

extension Sliding {
    fileprivate var strides: OperatorGraph.Attribute { .ints([stride.height, stride.width]) }
    fileprivate var pads: OperatorGraph.Attribute { .ints([padding.top, padding.left, padding.bottom, padding.right]) }
}

extension AdaptiveMaxPool2D: Exportable {
    /// The largest of each window's rows, then of its columns.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var x = call.inputs[0]
        for (axis, windows) in [(2, size.height), (3, size.width)] {
            let n = try call.specs[0].shape.size(axis)
            var parts: [String] = []
            for i in 0..<windows {
                let part = try graph.slice(x, axis: axis, from: i * n / windows, to: ((i + 1) * n + windows - 1) / windows)
                parts.append(try graph.reduce("ReduceMax", part, axes: [axis], keepsAxes: true))
            }
            x = parts.count == 1 ? parts[0] : graph.node("Concat", parts, ["axis": .int(axis)])
        }
        return [x]
    }
}

extension Resize: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let place =
            switch coordinates {
            case .halfPixel: "half_pixel"
            case .alignCorners: "align_corners"
            case .asymmetric: "asymmetric"
            }
        let inputs = [call.inputs[0], "", "", try graph.sizes(call.outputs[0].shape)]
        guard case .nearest(let rounding) = interpolation else {
            return [graph.node("Resize", inputs, ["mode": .text("linear"), "coordinate_transformation_mode": .text(place)])]
        }
        let rule =
            switch rounding {
            case .floor: "floor"
            case .ceil: "ceil"
            case .roundPreferFloor: "round_prefer_floor"
            case .roundPreferCeil: "round_prefer_ceil"
            }
        return [
            graph.node(
                "Resize", inputs, ["mode": .text("nearest"), "coordinate_transformation_mode": .text(place), "nearest_mode": .text(rule)])
        ]
    }
}

extension RegionAlign: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        // Before opset 16 the numbers stood at the corners of pixels.
        let isOld = graph.opset < 16
        guard !isOld || !isHalfPixel else { throw refuse("opset", graph.opset, allowed: "16 and later for numbers in the middle of pixels") }
        return [
            graph.node(
                "RoiAlign", call.inputs,
                [
                    "mode": .text("avg"), "output_height": .int(size.height), "output_width": .int(size.width), "sampling_ratio": .int(samples),
                    "spatial_scale": .float(scale),
                    "coordinate_transformation_mode": isOld ? nil : .text(isHalfPixel ? "half_pixel" : "output_half_pixel"),
                ])
        ]
    }
}
