internal import Keel

extension OperatorCall {
    /// A convolution over any number of axes: by Keel's primitive over one and two, else as a matrix product over the windows.
    func convolved(_ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, _ windows: Windows, groups: Int) throws -> Tensor {
        let n = x.shape[0], channels = try x.size(at: 1), shape = try weight.sizes()
        guard groups >= 1, shape[0] % groups == 0, channels % groups == 0, channels / groups == shape[1] else {
            throw wrong("weights \(weight.shape) in \(groups) groups don't fit \(x.shape)")
        }
        try reserve([n, Dimension(shape[0])] + windows.output, x.dtype)
        try reserve(work: ([n] + windows.output).compactMap(\.number) + shape)
        if let (_, sliding) = windows.sliding {
            let isLine = windows.kernel.count == 1
            let y = try (isLine ? x.withAxis(2) : x).conv2D(isLine ? weight.withAxis(2) : weight, bias: bias, sliding: sliding, groups: groups)
            return isLine ? try y.withoutAxis(2) : y
        }
        let axes = windows.kernel.count
        let k = shape[0], places = try windows.outputSizes().reduce(1, *), window = shape[1...].reduce(1, *)
        // [n, c, o..., k...] as [n, groups, c / groups * k..., places]
        let unfolded = try windows.unfolded(x, filledWith: 0, self)
        let order = [0, 1] + (0..<axes).map { 2 + axes + $0 } + (0..<axes).map { 2 + $0 }
        let columns = try unfolded.permuted(order).reshaped(Shape(of: [n, Dimension(groups), Dimension(window), Dimension(places)]))
        var y = try weight.reshaped([groups, k / groups, window]).matmul(columns).reshaped(Shape(of: [n, Dimension(k)] + windows.output))
        if let bias { y = try y + bias.reshaped([k] + [Int](repeating: 1, count: axes)) }
        return y
    }

    /// The checked input and weights of a convolution.
    func picture(_ x: Tensor, _ weight: Tensor) throws -> (sizes: [Dimension], kernel: [Int]) {
        guard x.rank >= 3, weight.rank == x.rank else { throw wrong("takes [n, c, ...] and weights alike, was given \(x.shape) and \(weight.shape)") }
        let kernel = Array(try weight.sizes()[2...])
        if let given = ints("kernel_shape"), given != kernel { throw wrong("kernel_shape is \(given), the weights are \(weight.shape)") }
        return (Array(x.shape.dimensions[2...]), kernel)
    }
}

extension Operators {
    static let convolutions: [Operator] = [
        Operator("Conv") { call in
            let x = try call.tensor(0), weight = try call.tensor(1)
            let (sizes, kernel) = try call.picture(x, weight)
            let windows = try Windows(call, sizes: sizes, kernel: kernel)
            return try call.result(call.convolved(x, weight, bias: call.optional(2), windows, groups: call.int("group", 1)), call.kind(0))
        },
        Operator("ConvInteger", 10) { call in
            let x = try call.centredPicture(0, zeroPoint: 2), weight = try call.centredWeights(1, zeroPoint: 3)
            let (sizes, kernel) = try call.picture(x, weight)
            let windows = try Windows(call, sizes: sizes, kernel: kernel)
            return [.tensor(try call.convolved(x, weight, windows, groups: call.int("group", 1)).cast(to: .int32), .int32)]
        },
        Operator("QLinearConv", 10) { call in
            let x = try call.centredPicture(0, zeroPoint: 2), weight = try call.centredWeights(3, zeroPoint: 5)
            let (sizes, kernel) = try call.picture(x, weight)
            let windows = try Windows(call, sizes: sizes, kernel: kernel)
            var y = try call.convolved(x, weight, windows, groups: call.int("group", 1))
            let channel = [Int](repeating: 1, count: kernel.count)
            if let bias = try call.optional(8) { y = try y + bias.cast(to: .float64).reshaped([bias.count] + channel) }
            let weightScale = try call.tensor(4).cast(to: .float64)
            let factor = try call.tensor(1).cast(to: .float64) * (weightScale.count > 1 ? weightScale.reshaped([weightScale.count] + channel) : weightScale.reshaped([]))
            return [try call.quantised(y * factor, scale: call.tensor(6).cast(to: .float64), zeroPoint: call.value(7))]
        },
        Operator("ConvTranspose") { call in
            let x = try call.tensor(0), weight = try call.tensor(1), groups = call.int("group", 1)
            let (sizes, kernel) = try call.picture(x, weight)
            return try call.result(call.convTransposed(x, weight, bias: call.optional(2), sizes.map { try $0.value() }, kernel, groups: groups), call.kind(0))
        },
        Operator("DeformConv", 19) { call in
            let x = try call.tensor(0), weight = try call.tensor(1), offset = try call.tensor(2)
            let (sizes, kernel) = try call.picture(x, weight), axes = kernel.count
            let windows = try Windows(call, sizes: sizes, kernel: kernel), output = try windows.outputSizes()
            guard axes <= 3 else { throw call.unsupported("windows over \(axes) axes") }
            let groups = call.int("group", 1), parts = call.int("offset_group", 1)
            let (n, c, k) = (try x.size(at: 0), try x.size(at: 1), try weight.size(at: 0))
            try call.reserve([n, c] + output, x.dtype)
            let places = output.reduce(1, *), window = kernel.reduce(1, *)
            guard parts >= 1, parts <= max(c, 1), c % parts == 0, groups >= 1, c % groups == 0, k % groups == 0 else { throw call.wrong("channels don't divide into the groups") }
            try call.reserve([n, c, window, places], x.dtype)
            try call.reserve(work: [n, places] + weight.sizes())
            // [n, parts, window, axes, places]
            let offsets = try offset.reshaped([n, parts, window, axes, places])
            var sampled: [Tensor] = []
            for (part, picture) in try x.split(into: parts, axis: 1).enumerated() {
                let own = try offsets.at(part, axis: 1)
                let places = try (0..<axes).map { axis in
                    try (windows.grid(axis, x.dtype) + own.at(axis, axis: 2)).reshaped([n, window * places])
                }
                var y = try call.sampled(picture, at: places, .linear, beyond: .zero).reshaped([n, c / parts, window, -1])
                if let mask = try call.optional(4) { y = try y * mask.reshaped([n, parts, window, -1]).sliced(1, from: part, to: part + 1) }
                sampled.append(y)
            }
            let columns = try Tensor.concatenated(sampled, axis: 1).reshaped([n, groups, c / groups * window, places])
            var y = try weight.reshaped([groups, k / groups, c / groups * window]).matmul(columns).reshaped([n, k] + output)
            if let bias = try call.optional(3) { y = try y + bias.reshaped([k] + [Int](repeating: 1, count: axes)) }
            return try call.result(y, call.kind(0))
        },
    ]
}

extension Windows {
    /// Where along `axis` each number of each window stands, without what is padded: `[window, places]`, window by window's place.
    fileprivate func grid(_ axis: Int, _ dtype: DType) throws -> Tensor {
        let output = try outputSizes()
        var own = [Int](repeating: 1, count: 2 * kernel.count), full = kernel + output
        let starts = try Tensor((0..<output[axis]).map { Double($0 * stride[axis] - before[axis]) })
        let steps = try Tensor((0..<kernel[axis]).map { Double($0 * dilation[axis]) })
        own[axis] = kernel[axis]
        let inner = try steps.reshaped(own)
        own[axis] = 1
        own[kernel.count + axis] = output[axis]
        let grid = try (inner + starts.reshaped(own)).expanded(to: Shape(full))
        full = [kernel.reduce(1, *), output.reduce(1, *)]
        return try grid.reshaped(full).cast(to: dtype)
    }
}

extension OperatorCall {
    /// In double precision, which holds the sums of 8-bit products exactly.
    fileprivate func centredPicture(_ i: Int, zeroPoint: Int) throws -> Tensor {
        let x = try tensor(i).cast(to: .float64)
        guard let zero = try optional(zeroPoint) else { return x }
        return try x - zero.cast(to: .float64).reshaped([])
    }

    fileprivate func centredWeights(_ i: Int, zeroPoint: Int) throws -> Tensor {
        let weight = try tensor(i).cast(to: .float64)
        guard let zero = try optional(zeroPoint)?.cast(to: .float64) else { return weight }
        return try weight - (zero.count > 1 ? zero.reshaped([zero.count] + [Int](repeating: 1, count: weight.rank - 1)) : zero.reshaped([]))
    }

    /// A transposed convolution over any number of axes: an ordinary one, with turned weights, over the picture with zeros between its numbers.
    fileprivate func convTransposed(
        _ x: Tensor, _ weight: Tensor, bias: Tensor?, _ sizes: [Int], _ kernel: [Int], groups: Int
    ) throws -> Tensor {
        let axes = kernel.count
        func each(_ name: String, _ standard: Int) throws -> [Int] {
            let numbers = ints(name) ?? [Int](repeating: standard, count: axes)
            guard numbers.count == axes, numbers.allSatisfy({ (standard...Int(Int32.max)).contains($0) }) else { throw wrong("\(name) is \(numbers)") }
            return numbers
        }
        let stride = try each("strides", 1), dilation = try each("dilations", 1), more = try each("output_padding", 0)
        var before = [Int](repeating: 0, count: axes), after = before
        let pads = ints("pads") ?? before + after
        guard pads.count == 2 * axes, pads.allSatisfy({ (-Int(Int32.max)...Int(Int32.max)).contains($0) }) else { throw wrong("pads is \(pads)") }
        let mode = string("auto_pad", "NOTSET"), isSame = mode.hasPrefix("SAME")
        var wanted = ints("output_shape").map { Array($0.suffix(axes)) }
        if wanted == nil, isSame { wanted = zip(sizes, stride).map { $0 * $1 } }
        guard wanted?.count ?? axes == axes, (wanted ?? []).allSatisfy((0...1 << 40).contains) else { throw wrong("output_shape is \(wanted ?? [])") }
        let whole: [Int] = (0..<axes).map { axis in
            let reach = (kernel[axis] - 1) * dilation[axis] + 1
            return stride[axis] * (sizes[axis] - 1) + more[axis] + reach
        }
        for axis in 0..<axes {
            guard let wanted else {
                if mode != "VALID" { (before[axis], after[axis]) = (pads[axis], pads[axes + axis]) }
                continue
            }
            let total = whole[axis] - wanted[axis]
            before[axis] = total < 0 ? 0 : mode == "SAME_UPPER" ? total / 2 : total - total / 2
            after[axis] = total - before[axis]
        }
        let output = (0..<axes).map { whole[$0] - before[$0] - after[$0] }
        let shape = try weight.sizes(), c = try x.size(at: 1), n = x.shape[0]
        guard groups >= 1, groups <= max(c, 1), c == shape[0], c % groups == 0 else {
            throw wrong("weights \(weight.shape) in \(groups) groups don't fit \(x.shape)")
        }
        let k = shape[1] * groups
        guard output.allSatisfy({ $0 >= 0 }) else { throw wrong("its padding leaves nothing") }
        try reserve([n, Dimension(k)] + output.map { Dimension($0) }, x.dtype)
        try reserve(work: (n.number.map { [$0] } ?? []) + sizes + shape)

        if axes == 2, wanted == nil, (before + after).allSatisfy({ $0 >= 0 }), zip(more, stride).allSatisfy({ $0 < $1 }), sizes.allSatisfy({ $0 > 0 }) {
            let sliding = Sliding(stride: (stride[0], stride[1]), padding: (before[0], before[1], after[0], after[1]), dilation: (dilation[0], dilation[1]))
            return try x.convTranspose2D(weight, bias: bias, sliding: sliding, outputPadding: (more[0], more[1]), groups: groups)
        }
        // Zeros between the numbers.
        var spread = x
        for axis in 0..<axes where stride[axis] > 1 && sizes[axis] > 0 {
            var full = spread.shape.dimensions
            let size = try spread.size(at: 2 + axis) * stride[axis]
            try reserve(full[..<(2 + axis)] + [Dimension(size)] + full[(3 + axis)...], x.dtype)
            guard spread.rank < Shape.maximumRank else { throw unsupported("transposed convolutions over \(axes) axes") }
            spread = try spread.withAxis(3 + axis).padded(3 + axis, before: 0, after: stride[axis] - 1)
            full[2 + axis] = Dimension(size)
            spread = try spread.reshaped(Shape(of: full)).sliced(2 + axis, to: size - stride[axis] + 1)
        }
        // [c, k / groups, ...] turned round and as [k, c / groups, ...]
        let turned = try weight.flipped(Array(2..<(2 + axes))).reshaped([groups, c / groups, shape[1]] + kernel)
        let filters = try turned.permuted([0, 2, 1] + (0..<axes).map { 3 + $0 }).reshaped([k, c / groups] + kernel)
        let margins = (0..<axes).map { (kernel[$0] - 1) * dilation[$0] }
        var frame: [(before: Int, after: Int)] = [(0, 0), (0, 0)]
        for axis in 0..<axes { frame.append((margins[axis] - before[axis], margins[axis] - after[axis] + more[axis])) }
        let framed = try padded(spread, frame, .constant(0))
        let zeros = [Int](repeating: 0, count: axes), ones = [Int](repeating: 1, count: axes)
        let windows = Windows(kernel: kernel, stride: ones, dilation: dilation, before: zeros, after: zeros, output: output)
        return try convolved(framed, filters, bias: bias, windows, groups: groups)
    }
}
