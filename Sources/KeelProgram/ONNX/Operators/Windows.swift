internal import Keel

/// How a window moves over the axes of a picture of any rank: what convolutions and poolings share.
struct Windows {
    var kernel: [Int], stride: [Int], dilation: [Int]
    /// What is put on before and after each axis; negative amounts are cut off.
    var before: [Int], after: [Int]
    /// What `ceil_mode` puts on behind that, so that the last window is whole.
    var beyond: [Int]
    /// Symbols where the picture's sizes are.
    var output: [Dimension]

    /// Read from a node's attributes.
    init(_ call: OperatorCall, sizes: [Dimension], kernel: [Int]) throws {
        let axes = sizes.count
        guard kernel.count == axes, kernel.allSatisfy({ $0 >= 1 }) else { throw call.wrong("a window \(kernel) for \(axes) axes") }
        func each(_ name: String, _ standard: Int) throws -> [Int] {
            let numbers = call.ints(name) ?? [Int](repeating: standard, count: axes)
            guard numbers.count == axes, numbers.allSatisfy({ (1...Int(Int32.max)).contains($0) }) else { throw call.wrong("\(name) is \(numbers)") }
            return numbers
        }
        self.kernel = kernel
        stride = try each("strides", 1)
        dilation = try each("dilations", 1)
        let pads = call.ints("pads") ?? [Int](repeating: 0, count: 2 * axes)
        guard pads.count == 2 * axes, pads.allSatisfy({ (-Int(Int32.max)...Int(Int32.max)).contains($0) }) else { throw call.wrong("pads is \(pads)") }
        before = Array(pads[..<axes])
        after = Array(pads[axes...])
        beyond = [Int](repeating: 0, count: axes)
        output = []
        guard kernel.allSatisfy({ $0 <= Int(Int32.max) }) else { throw call.wrong("a window \(kernel)") }
        let mode = call.string("auto_pad", "NOTSET"), roundsUp = call.flag("ceil_mode")
        for axis in 0..<axes {
            let reach = (kernel[axis] - 1) * dilation[axis] + 1
            switch mode {
            case "SAME_UPPER", "SAME_LOWER":
                let size = try sizes[axis].value(), count = (size + stride[axis] - 1) / stride[axis]
                let total = max(0, (count - 1) * stride[axis] + reach - size)
                before[axis] = mode == "SAME_UPPER" ? total / 2 : total - total / 2
                after[axis] = total - before[axis]
            case "VALID": (before[axis], after[axis]) = (0, 0)
            case "NOTSET", "": break
            default: throw call.wrong("auto_pad is '\(mode)'")
            }
            let around = before[axis] + after[axis] - reach
            if sizes[axis].isSymbolic, !roundsUp {
                let room = around < 0 ? sizes[axis] - Dimension(-around) : sizes[axis] + Dimension(around)
                output.append(room.divided(by: stride[axis]) + Dimension(1))
                continue
            }
            let size = try sizes[axis].value(), room = size + around
            guard room >= 0 || roundsUp && room + stride[axis] > 0 else { throw call.wrong("a window that reaches over \(reach) of \(room + reach)") }
            var count = room / stride[axis] + 1
            if roundsUp {
                count = (room + stride[axis] - 1) / stride[axis] + 1
                if (count - 1) * stride[axis] >= size + before[axis] { count -= 1 }
                beyond[axis] = max(0, (count - 1) * stride[axis] - room)
            }
            output.append(Dimension(count))
        }
    }

    init(kernel: [Int], stride: [Int], dilation: [Int], before: [Int], after: [Int], output: [Int]) {
        (self.kernel, self.stride, self.dilation, self.before, self.after) = (kernel, stride, dilation, before, after)
        (self.output, beyond) = (output.map { Dimension($0) }, [Int](repeating: 0, count: kernel.count))
    }

    /// - Throws: `TensorError.symbolicDimension` where one isn't known before the program runs.
    func outputSizes() throws(TensorError) -> [Int] {
        var sizes: [Int] = []
        for size in output { sizes.append(try size.value()) }
        return sizes
    }

    var isPlain: Bool { dilation.allSatisfy { $0 == 1 } && beyond.allSatisfy { $0 == 0 } }

    /// For Keel's primitives over pictures; nil where there are more than two axes, or something is cut off.
    var sliding: (kernel: (height: Int, width: Int), sliding: Sliding)? {
        guard kernel.count <= 2, (before + after).allSatisfy({ $0 >= 0 }) else { return nil }
        func pair(_ numbers: [Int], _ standard: Int) -> (height: Int, width: Int) {
            numbers.count == 2 ? (numbers[0], numbers[1]) : (standard, numbers[0])
        }
        let ends = pair(zip(after, beyond).map(+), 0), starts = pair(before, 0)
        return (
            pair(kernel, 1),
            Sliding(stride: pair(stride, 1), padding: (starts.height, starts.width, ends.height, ends.width), dilation: pair(dilation, 1))
        )
    }

    /// The numbers in each window.
    ///
    /// - Shapes: `[n, c, s...]` → `[n, c, o..., k...]`.
    func unfolded(_ x: Tensor, filledWith value: Double, _ call: OperatorCall) throws -> Tensor {
        let axes = kernel.count, output = try outputSizes()
        guard 2 + 2 * axes <= Shape.maximumRank else { throw call.unsupported("windows over \(axes) axes") }
        var frame: [(before: Int, after: Int)] = [(0, 0), (0, 0)]
        for axis in 0..<axes { frame.append((before[axis], after[axis] + beyond[axis])) }
        var y = try call.padded(x, frame, .constant(value))
        try call.reserve([x.shape[0], x.shape[1]] + (output + kernel).map { Dimension($0) }, x.dtype)
        for axis in 0..<axes {
            let starts = try Tensor.range(output[axis]) * Tensor(Int64(stride[axis]))
            let places = try starts.withAxis(1) + Tensor.range(kernel[axis]) * Tensor(Int64(dilation[axis]))
            y = try y.gathered(places, axis: 2 + 2 * axis)
        }
        return try y.permuted([0, 1] + (0..<axes).map { 2 + 2 * $0 } + (0..<axes).map { 3 + 2 * $0 })
    }

    /// How many numbers of the picture, or of its padding too, each window has: `[o...]`.
    func counts(_ sizes: [Int], countsPadding: Bool, _ dtype: DType) throws -> Tensor {
        let output = try outputSizes()
        var result = try Tensor.ones([], dtype)
        for axis in 0..<kernel.count {
            let low = countsPadding ? -before[axis] : 0, high = countsPadding ? sizes[axis] + after[axis] : sizes[axis]
            let counts = (0..<output[axis]).map { place in
                (0..<kernel[axis]).count { (low..<max(high, low)).contains(place * stride[axis] - before[axis] + $0 * dilation[axis]) }
            }
            var shape = [Int](repeating: 1, count: kernel.count)
            shape[axis] = output[axis]
            result = try result * Tensor(counts.map(Double.init), Shape(shape)).cast(to: dtype)
        }
        return result
    }
}

extension OperatorCall {
    /// With elements put on, or where an amount is negative cut off, at the axes' ends.
    func padded(_ x: Tensor, _ amounts: [(before: Int, after: Int)], _ mode: PaddingMode) throws -> Tensor {
        let most = 1 << 40
        var sizes: [Dimension] = []
        for (size, amount) in zip(x.shape.dimensions, amounts) {
            guard (-most...most).contains(amount.before), (-most...most).contains(amount.after),
                let padded = try (SizeExpression(size) + .number(amount.before + amount.after)).dimension
            else { throw wrong("pads \(x.shape) by \(amounts)") }
            sizes.append(padded)
        }
        try reserve(sizes, x.dtype)
        var y = x
        for (axis, amount) in amounts.enumerated() where amount.before < 0 || amount.after < 0 {
            let size = try y.size(at: axis), start = min(size, max(0, -amount.before))
            y = try y.sliced(axis, from: start, to: max(start, size - max(0, -amount.after)))
        }
        let more = amounts.map { (before: max(0, $0.before), after: max(0, $0.after)) }
        return more.allSatisfy { $0 == (0, 0) } ? y : try y.padded(more, mode)
    }
}
