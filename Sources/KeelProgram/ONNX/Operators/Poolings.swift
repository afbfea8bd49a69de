internal import Keel

extension OperatorCall {
    /// The windows of a pooling.
    fileprivate func pooling(_ x: Tensor) throws -> (windows: Windows, sizes: [Dimension]) {
        guard x.rank >= 3 else { throw wrong("takes [n, c, ...], was given \(x.shape)") }
        let sizes = Array(x.shape.dimensions[2...])
        let windows = try Windows(self, sizes: sizes, kernel: try required(ints("kernel_shape"), "kernel_shape"))
        try reserve(work: (x.shape.dimensions[..<2] + windows.output).compactMap(\.number) + windows.kernel)
        return (windows, sizes)
    }

    /// `[n, c, o..., k...]` with the window as one last axis.
    fileprivate func windowed(_ x: Tensor, _ windows: Windows, filledWith value: Double) throws -> Tensor {
        let unfolded = try windows.unfolded(x, filledWith: value, self)
        return try unfolded.reshaped(Shape(of: [x.shape[0], x.shape[1]] + windows.output + [Dimension(windows.kernel.reduce(1, *))]))
    }

    fileprivate func onPicture(_ x: Tensor, _ body: (Tensor) throws -> Tensor) throws -> Tensor {
        x.rank == 4 ? try body(x) : try body(x.withAxis(2)).withoutAxis(2)
    }
}

/// A reduction of each channel's picture.
private func global(_ name: String, _ function: @escaping @Sendable (Tensor, [Int], OperatorCall) throws -> Tensor) -> Operator {
    Operator(name) { call in
        let x = try call.tensor(0)
        guard x.rank >= 3 else { throw call.wrong("takes [n, c, ...], was given \(x.shape)") }
        return try call.result(function(x, Array(2..<x.rank), call), call.kind(0))
    }
}

extension Operators {
    static let poolings: [Operator] = [
        global("GlobalAveragePool") { x, axes, _ in try x.mean(axes, keepingAxes: true) },
        global("GlobalMaxPool") { x, axes, _ in try x.max(axes, keepingAxes: true) },
        global("GlobalLpPool") { x, axes, call in
            let p = Double(call.int("p", 2))
            return try x.magnitude().power(p).sum(axes, keepingAxes: true).power(1 / p)
        },
        Operator("MaxPool") { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            let (windows, picture) = try call.pooling(x)
            let wantsPlaces = call.node.outputs.count > 1 && !call.node.outputs[1].isEmpty
            if kind.isFloat, !wantsPlaces, windows.dilation.allSatisfy({ $0 == 1 }), let (kernel, sliding) = windows.sliding,
                sliding.padding.top < kernel.height, sliding.padding.left < kernel.width,
                sliding.padding.bottom < kernel.height, sliding.padding.right < kernel.width
            {
                return try call.result(call.onPicture(x) { try $0.maxPool2D(kernel: kernel, sliding: sliding) }, kind)
            }
            let least = kind.isFloat ? -Double.infinity : Double(kind.limits.lowerBound)
            let numbers = try call.windowed(x, windows, filledWith: least)
            let y = try numbers.max([-1])
            guard wantsPlaces else { return [.tensor(y, kind)] }
            let sizes = try picture.map { try $0.value() }
            // The places in the whole input, each channel's picture row by row, or column by column.
            var steps = [Int](repeating: 1, count: sizes.count)
            if call.int("storage_order", 0) == 0 {
                for axis in stride(from: sizes.count - 2, through: 0, by: -1) { steps[axis] = steps[axis + 1] * sizes[axis + 1] }
            } else {
                for axis in 1..<max(sizes.count, 1) { steps[axis] = steps[axis - 1] * sizes[axis - 1] }
            }
            var places = try Tensor([Int64(0)], Shape([1, 1] + sizes.map { _ in 1 }))
            for (axis, size) in sizes.enumerated() {
                var shape = [Int](repeating: 1, count: sizes.count + 2)
                shape[axis + 2] = size
                places = try places + (Tensor.range(size) * Tensor(Int64(steps[axis]))).reshaped(shape)
            }
            let winners = try numbers.argMax(-1).withAxis(-1)
            let candidates = try call.windowed(places, windows, filledWith: 0).expanded(to: numbers.shape)
            let (n, c) = (try x.size(at: 0), try x.size(at: 1))
            let planes = try (Tensor.range(n * c) * Tensor(Int64(sizes.reduce(1, *)))).reshaped([n, c] + sizes.map { _ in 1 })
            return [.tensor(y, kind), .tensor(try candidates.takenAlong(-1, at: winners).withoutAxis(-1) + planes, .int64)]
        },
        Operator("AveragePool") { call in
            let x = try call.tensor(0), countsPadding = call.flag("count_include_pad")
            let (windows, sizes) = try call.pooling(x)
            if windows.isPlain, let (kernel, sliding) = windows.sliding, sliding.padding.top < kernel.height, sliding.padding.left < kernel.width,
                sliding.padding.bottom < kernel.height, sliding.padding.right < kernel.width
            {
                return try call.result(
                    call.onPicture(x) { try $0.averagePool2D(kernel: kernel, sliding: sliding, countsPadding: countsPadding) }, call.kind(0))
            }
            let sums = try call.windowed(x, windows, filledWith: 0).sum([-1])
            return try call.result(sums / windows.counts(sizes.map { try $0.value() }, countsPadding: countsPadding, x.dtype), call.kind(0))
        },
        Operator("LpPool") { call in
            let x = try call.tensor(0), p = Double(call.int("p", 2))
            let (windows, _) = try call.pooling(x)
            return try call.result(call.windowed(x.magnitude().power(p), windows, filledWith: 0).sum([-1]).power(1 / p), call.kind(0))
        },
        Operator("MaxUnpool", 9) { call in
            let x = try call.tensor(0), places = try call.tensor(1)
            guard x.rank >= 3, places.shape == x.shape else { throw call.wrong("places \(places.shape) for \(x.shape)") }
            let kernel = try call.required(call.ints("kernel_shape"), "kernel_shape"), axes = x.rank - 2, sizes = try x.sizes()
            let strides = call.ints("strides") ?? [Int](repeating: 1, count: axes), pads = call.ints("pads") ?? [Int](repeating: 0, count: 2 * axes)
            guard kernel.count == axes, strides.count == axes, pads.count == 2 * axes, (kernel + strides).allSatisfy({ (1...Int(Int32.max)).contains($0) }),
                pads.allSatisfy({ (0...Int(Int32.max)).contains($0) })
            else { throw call.wrong("its window doesn't fit \(x.shape)") }
            let own = Array(sizes[..<2]) + (0..<axes).map { (sizes[2 + $0] - 1) * strides[$0] + kernel[$0] - pads[$0] - pads[axes + $0] }
            let shape = try call.reserve(own, x.dtype)
            let flat = try Tensor.zeros([shape.elementCount()], x.dtype)
                .scattered(x.reshaped([x.count]), along: 0, at: places.reshaped([places.count])).reshaped(shape)
            guard call.has(2) else { return try call.same(flat) }
            let wanted = try call.ints(2)
            guard wanted.count == own.count, zip(wanted, own).allSatisfy({ $0 >= $1 }) else { throw call.wrong("its output_shape is \(wanted), less than \(own)") }
            return try call.same(call.padded(flat, zip(wanted, own).map { (0, $0 - $1) }, .constant(0)))
        },
    ]
}
