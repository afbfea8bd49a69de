internal import Keel

extension OperatorCall {
    /// The sizes that `Reshape` is told: 0 takes the input's size, unless `allowzero`, and -1 what is left over.
    fileprivate func reshaped(_ x: Tensor, _ wanted: [SizeExpression]) throws -> Tensor {
        var sizes = wanted
        let own = x.shape.dimensions
        if !flag("allowzero") {
            for (axis, size) in sizes.enumerated() where size == .number(0) {
                guard axis < own.count else { throw wrong("takes the size of axis \(axis) of \(x.shape)") }
                sizes[axis] = SizeExpression(own[axis])
            }
        }
        let told = wanted.map { $0.number?.description ?? $0.dimension?.description ?? "?" }.joined(separator: ", ")
        func wrongShape() -> ONNXError { wrong("\(x.shape) doesn't fit into [\(told)]") }
        let open = sizes.firstIndex(of: .number(-1))
        var shape = sizes
        if let open { shape.remove(at: open) }
        var dimensions = shape.compactMap(\.dimension)
        guard dimensions.count == shape.count else { throw wrong("[\(told)] is no shape") }
        guard x.shape.sizes != nil, shape.allSatisfy({ $0.number != nil }) else {
            let (all, rest) = (Tensor.product(own), Tensor.product(dimensions))
            if let open {
                guard let left = all.divided(exactlyBy: rest) else { throw wrongShape() }
                dimensions.insert(left, at: open)
            } else if all != rest {
                throw wrongShape()
            }
            return try x.reshaped(reserve(dimensions, .bool))
        }
        let count = try Shape(checking: shape.compactMap(\.number)).elementCount()
        if let open {
            guard count > 0 ? x.count % count == 0 : x.count == 0 else { throw wrongShape() }
            dimensions.insert(Dimension(count > 0 ? x.count / count : 0), at: open)
        } else if count != x.count {
            throw wrongShape()
        }
        return try x.reshaped(Shape(checking: dimensions.compactMap(\.number)))
    }

    /// As `sliced`, where sizes are symbols: a choice of positions. Positions that lie outside are refused when the program runs, where the operator
    /// itself would take fewer.
    fileprivate func sliced(_ x: Tensor, _ axis: Int, _ start: SizeExpression, _ end: SizeExpression, _ step: Int) throws -> Tensor {
        let n = SizeExpression(x.shape[axis])
        guard step == 1 else { throw unsupported("steps of \(step) along an axis whose size is a symbol") }
        func fromFront(_ place: SizeExpression) throws -> SizeExpression {
            if n.number == nil, let number = place.number, number < -1 { throw unsupported("position \(number) of an axis whose size is a symbol, which may be less") }
            if let least = place.lowerBound, least >= 0 || place.number == nil { return place }
            guard let least = try (-place).lowerBound, least >= 0 else { throw unsupported("a position that may count from the front or from the end") }
            return try n + place
        }
        let first = try fromFront(start)
        var last = try fromFront(end)
        if let number = last.number, number >= Int(Int32.max) - 1 { last = n }
        if last != n, let number = last.number, n.number == nil, first.number.map({ $0 + 1 }) != number {
            throw unsupported("the first \(number) positions of an axis whose size is a symbol, which may be fewer")
        }
        if SizeExpression.isLess(n, than: last) == true { last = n }
        guard let count = try (last - first).dimension else { return try x.sliced(axis, from: 0, to: 0) }
        if first == .number(0), last == n { return x }
        return try x.gathered(Tensor.range(of: count) + first.tensor().reshaped([]), axis: axis)
    }

    /// `Tile`, where it is told expressions of sizes: each axis that is repeated is stretched beside one of size 1.
    fileprivate func tiledBySizes(_ x: Tensor) throws -> Tensor? {
        guard inputs.count == 2, case .sizes(let counts)? = inputs[1] else { return nil }
        guard counts.numbers.count == x.rank else { throw wrong("repeats \(counts.numbers.count) axes of \(x.shape)") }
        var y = x
        for (axis, count) in counts.numbers.enumerated() where count != .number(1) {
            guard let count = count.dimension else { throw wrong("a negative count for \(x.shape)") }
            let sizes = y.shape.dimensions
            let stretched = try y.withAxis(axis).expanded(to: reserve(sizes[..<axis] + [count] + sizes[axis...], x.dtype))
            y = try stretched.reshaped(Shape(of: sizes[..<axis] + [count * sizes[axis]] + sizes[(axis + 1)...]))
        }
        return y
    }

    /// The first input under another shape: also of strings.
    fileprivate func view(_ body: (Tensor) throws -> Tensor) throws -> [ONNXValue] {
        guard case .strings(let texts, let shape) = try value(0) else { return try same(body(tensor(0))) }
        // Strings move as their places do.
        let places = try body(Tensor.range(texts.count).reshaped(shape))
        return [.strings(try places.elements(Int.self).map { texts[$0] }, places.shape)]
    }

    /// Positions from `start` up to, or down to, `end`, as Python counts them.
    fileprivate func sliced(_ x: Tensor, _ axis: Int, _ start: Int, _ end: Int, _ step: Int) throws -> Tensor {
        let n = try x.size(at: axis)
        guard step != 0 else { throw wrong("a step of 0") }
        func bounded(_ place: Int, _ least: Int, _ most: Int) -> Int { Swift.min(Swift.max(place < 0 ? place &+ n : place, least), most) }
        if step > 0 {
            let first = bounded(start, 0, n), last = bounded(end, 0, n)
            return try x.sliced(axis, from: first, to: Swift.max(first, last), step: Swift.min(step, Swift.max(n, 1)))
        }
        // Backwards: forwards in the axis turned round.
        let first = bounded(start, -1, n - 1), last = end < -n ? -1 : bounded(end, -1, n - 1)
        let from = n - 1 - first, to = n - 1 - last
        return try x.flipped([axis]).sliced(axis, from: from, to: Swift.max(from, to), step: Swift.min(step == Int.min ? Int.max : -step, Swift.max(n, 1)))
    }
}

extension Operators {
    static let arranging: [Operator] = [
        Operator("Reshape") { call in
            let wanted = try call.opset < 5 ? call.required(call.ints("shape"), "shape").map(SizeExpression.number) : call.sizes(1)
            return try call.view { try call.reshaped($0, wanted) }
        },
        Operator("Flatten") { call in
            try call.view { x in
                let axis = call.int("axis", 1), place = axis < 0 ? axis + x.rank : axis, sizes = x.shape.dimensions
                guard (0...x.rank).contains(place) else { throw call.wrong("axis \(axis) isn't one of \(x.rank)") }
                return try x.reshaped(Shape(of: [Tensor.product(sizes[..<place]), Tensor.product(sizes[place...])]))
            }
        },
        Operator("Squeeze") { call in
            try call.view { x in
                let sizes = x.shape.dimensions
                let axes = try call.axes(input: 1, rank: x.rank) ?? sizes.indices.filter { sizes[$0].number == 1 }
                for axis in axes where sizes[axis].number != 1 { throw call.wrong("axis \(axis) of \(x.shape) isn't 1") }
                return try x.reshaped(Shape(of: sizes.indices.filter { !axes.contains($0) }.map { sizes[$0] }))
            }
        },
        Operator("Unsqueeze") { call in
            try call.view { x in
                let named = try call.has(1) ? call.ints(1) : call.required(call.ints("axes"), "axes")
                let axes = try call.axes(named, rank: x.rank + named.count)
                var sizes = x.shape.dimensions
                for axis in axes.sorted() { sizes.insert(Dimension(1), at: axis) }
                return try x.reshaped(call.reserve(sizes, .bool))
            }
        },
        Operator("Transpose") { call in
            try call.view { x in
                let order = call.ints("perm") ?? Array((0..<x.rank).reversed())
                return x.rank == 0 && order.isEmpty ? x : try x.permuted(order)
            }
        },
        Operator("Concat") { call in
            var texts: [String] = []
            let isText = try call.kind(0) == .string
            // Strings are joined as their places are.
            let tensors = try !isText ? call.tensors() : call.inputs.indices.map { i in
                guard case .strings(let own, let shape) = try call.value(i) else { throw call.wrong("joins strings with input \(i), which are none") }
                defer { texts += own }
                return try Tensor.range(own.count, from: texts.count).reshaped(shape)
            }
            let axis = try call.axis(call.opset < 4 ? call.int("axis", 1) : call.required(call.int("axis"), "axis"), rank: tensors[0].rank)
            var sizes = tensors[0].shape.dimensions
            guard sizes.count > 0 else { throw call.wrong("scalars have no axis") }
            sizes[axis] = try tensors.reduce(Dimension(0)) { sum, tensor in
                guard tensor.rank == sizes.count else { throw call.wrong("\(tensor.shape) beside \(tensors[0].shape)") }
                return sum + tensor.shape[axis]
            }
            try call.reserve(sizes, tensors[0].dtype)
            let whole = try Tensor.concatenated(tensors, axis: axis)
            return try isText ? [.strings(whole.elements(Int.self).map { texts[$0] }, whole.shape)] : call.same(whole)
        },
        Operator("Split") { call in
            let x = try call.tensor(0), axis = try call.axis(call.int("axis", 0), rank: x.rank), n = try x.size(at: axis)
            let count = call.int("num_outputs") ?? call.node.outputs.count
            guard count >= 1, count <= 1 << 20 else { throw call.wrong("splits into \(count) parts") }
            var sizes = try call.has(1) ? call.ints(1) : call.ints("split") ?? []
            if sizes.isEmpty {
                let size = (n + count - 1) / count
                sizes = (0..<count).map { max(0, min(size, n - $0 * size)) }
            }
            guard sizes.allSatisfy({ (0...n).contains($0) }), sizes.reduce(0, +) == n else { throw call.wrong("parts of \(sizes) don't make \(n)") }
            let kind = try call.kind(0)
            return try x.split(sizes, axis: axis).map { .tensor($0, kind) }
        },
        Operator("Slice") { call in
            try call.view { x in
                let old = call.opset < 10
                let starts = try old ? call.required(call.ints("starts"), "starts").map(SizeExpression.number) : call.sizes(1)
                let ends = try old ? call.required(call.ints("ends"), "ends").map(SizeExpression.number) : call.sizes(2)
                let axes = try call.axes(old ? call.ints("axes") ?? Array(starts.indices) : call.has(3) ? call.ints(3) : Array(starts.indices), rank: x.rank)
                let steps = try !old && call.has(4) ? call.ints(4) : [Int](repeating: 1, count: starts.count)
                guard ends.count == starts.count, axes.count == starts.count, steps.count == starts.count else {
                    throw call.wrong("\(starts.count) starts, \(ends.count) ends, \(axes.count) axes and \(steps.count) steps")
                }
                var y = x
                for (i, axis) in axes.enumerated() {
                    if let start = starts[i].number, let end = ends[i].number, !y.shape[axis].isSymbolic {
                        y = try call.sliced(y, axis, start, end, steps[i])
                    } else {
                        y = try call.sliced(y, axis, starts[i], ends[i], steps[i])
                    }
                }
                return y
            }
        },
        Operator("Pad") { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            let pads = try call.opset < 11 ? call.required(call.ints("pads") ?? call.ints("paddings"), "pads") : call.ints(1)
            let axes = try call.opset >= 18 && call.has(3) ? call.axes(call.ints(3), rank: x.rank) : Array(0..<x.rank)
            guard pads.count == 2 * axes.count else { throw call.wrong("\(pads.count) pads for \(axes.count) axes") }
            var amounts = [(before: Int, after: Int)](repeating: (0, 0), count: x.rank)
            for (i, axis) in axes.enumerated() { amounts[axis] = (pads[i], pads[axes.count + i]) }
            let value = try call.opset < 11 ? call.float("value", 0) : call.has(2) ? call.double(2) : 0
            switch call.string("mode", "constant") {
            case "constant": return [.tensor(try call.padded(x, amounts, .constant(value)), kind)]
            case "edge": return [.tensor(try call.padded(x, amounts, .edge), kind)]
            case "wrap": return [.tensor(try call.repeated(x, amounts) { $0 - ($0 >= 0 ? $0 / $1 : ($0 - $1 + 1) / $1) * $1 }, kind)]
            case "reflect":
                return [
                    .tensor(
                        try call.repeated(x, amounts) { place, n in
                            if n == 1 { return 0 }
                            let period = 2 * (n - 1), inside = ((place % period) + period) % period
                            return inside < n ? inside : period - inside
                        }, kind)
                ]
            case let mode: throw call.unsupported("mode \(mode)")
            }
        },
        Operator("Expand", 8) { call in
            let x = try call.tensor(0)
            return try call.same(x.expanded(to: call.reserve(call.stretched([x.shape.dimensions, call.dimensions(1)]), x.dtype)))
        },
        Operator("Tile") { call in
            let x = try call.tensor(0)
            if let made = try call.tiledBySizes(x) { return try call.same(made) }
            var counts = try call.ints(1)
            if call.opset < 6 {
                let axis = try call.axis(call.int(2), rank: x.rank), tiles = try call.int(1)
                counts = (0..<x.rank).map { $0 == axis ? tiles : 1 }
            }
            guard counts.count == x.rank, counts.allSatisfy({ $0 >= 0 }) else { throw call.wrong("repeats \(counts) for \(x.shape)") }
            let sizes = try zip(x.shape.dimensions, counts).map { size, count in
                guard !(size.number ?? 1).multipliedReportingOverflow(by: count).overflow else { throw call.wrong("repeats \(counts) for \(x.shape)") }
                return size * Dimension(count)
            }
            try call.reserve(sizes, x.dtype)
            return try call.same(x.tiled(counts))
        },
        Operator("Shape") { call in
            guard let sizes = try call.value(0).shape?.dimensions else { throw call.wrong("its input isn't a tensor") }
            let rank = sizes.count
            func bounded(_ place: Int) -> Int { min(max(place < 0 ? place &+ rank : place, 0), rank) }
            let start = bounded(call.int("start", 0)), end = bounded(call.int("end", rank))
            return [try .sizes(sizes[start..<max(start, end)].map(SizeExpression.init), [max(start, end) - start])]
        },
        Operator("Size") { call in
            guard let shape = try call.value(0).shape else { throw call.wrong("its input isn't a tensor") }
            return try shape.sizes != nil ? call.ints64([shape.elementCount()], []) : [.sizes([SizeExpression(Tensor.product(shape.dimensions))], [])]
        },
        Operator("DepthToSpace") { call in
            let x = try call.tensor(0), block = try call.required(call.int("blocksize"), "blocksize")
            guard x.rank == 4, block >= 1, block <= 1 << 15, try x.size(at: 1) % (block * block) == 0 else { throw call.wrong("\(x.shape) by blocks of \(block)") }
            let s = try x.sizes(), c = s[1] / (block * block)
            let y = call.string("mode", "DCR") == "CRD"
                ? try x.reshaped([s[0], c, block, block, s[2], s[3]]).permuted([0, 1, 4, 2, 5, 3])
                : try x.reshaped([s[0], block, block, c, s[2], s[3]]).permuted([0, 3, 4, 1, 5, 2])
            return try call.same(y.reshaped([s[0], c, s[2] * block, s[3] * block]))
        },
        Operator("SpaceToDepth") { call in
            let x = try call.tensor(0), block = try call.required(call.int("blocksize"), "blocksize")
            guard x.rank == 4, block >= 1, block <= 1 << 15, try x.size(at: 2) % block == 0, try x.size(at: 3) % block == 0 else { throw call.wrong("\(x.shape) by blocks of \(block)") }
            let s = try x.sizes()
            let order = call.string("mode", "DCR") == "CRD" ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]
            let y = try x.reshaped([s[0], s[1], s[2] / block, block, s[3] / block, block]).permuted(order)
            return try call.same(y.reshaped([s[0], s[1] * block * block, s[2] / block, s[3] / block]))
        },
        Operator("ReverseSequence", 10) { call in
            let x = try call.tensor(0), lengths = try call.ints(1)
            let batch = try call.axis(call.int("batch_axis", 1), rank: x.rank), time = try call.axis(call.int("time_axis", 0), rank: x.rank)
            guard batch != time, try lengths.count == x.size(at: batch), try lengths.allSatisfy({ try (0...x.size(at: time)).contains($0) }) else {
                throw call.wrong("lengths \(lengths) of \(x.shape)")
            }
            let n = try x.size(at: time)
            var shape = [Int](repeating: 1, count: x.rank)
            (shape[batch], shape[time]) = batch < time ? (lengths.count, n) : (lengths.count, n)
            let rows = lengths.map { length in (0..<n).map { $0 < length ? length - 1 - $0 : $0 } }
            let places = batch < time ? rows.flatMap { $0 } : (0..<n).flatMap { t in rows.map { $0[t] } }
            return try call.same(x.takenAlong(time, at: Tensor(places, Shape(shape)).expanded(to: x.shape)))
        },
        Operator("Trilu", 14) { call in
            let x = try call.tensor(0), kind = try call.kind(0), k = try call.has(1) ? call.int(1) : 0
            guard x.rank >= 2 else { throw call.wrong("takes matrices, was given \(x.shape)") }
            let (m, n) = (x.shape[-2], x.shape[-1]), most = 1 << 40, offset = max(-most, min(k, most))
            let distance = try Tensor.range(of: n).withAxis(0) - Tensor.range(of: m).withAxis(1)
            let stays = try call.flag("upper", true) ? distance.isAtLeast(Tensor(Int64(offset))) : distance.isAtMost(Tensor(Int64(offset)))
            return [.tensor(try stays.select(x, Tensor.zeros([], x.dtype)), kind)]
        },
        Operator("CenterCropPad", 18) { call in
            let x = try call.tensor(0), wanted = try call.ints(1)
            let axes = try call.ints("axes").map { try call.axes($0, rank: x.rank) } ?? Array(0..<x.rank)
            guard axes.count == wanted.count, wanted.allSatisfy({ $0 >= 0 }) else { throw call.wrong("sizes \(wanted) for \(axes.count) axes") }
            var amounts = [(before: Int, after: Int)](repeating: (0, 0), count: x.rank)
            for (axis, size) in zip(axes, wanted) {
                // The odd one goes behind.
                let more = try size - x.size(at: axis), before = more >= 0 ? more / 2 : -(-more / 2)
                amounts[axis] = (before, more - before)
            }
            return try call.same(call.padded(x, amounts, .constant(0)))
        },
    ]
}

extension OperatorCall {
    /// Padded by what `image` says of a place beyond an axis of `n`: which place of the axis it is.
    fileprivate func repeated(_ x: Tensor, _ amounts: [(before: Int, after: Int)], _ image: (_ place: Int, _ n: Int) -> Int) throws -> Tensor {
        var y = x
        for (axis, amount) in amounts.enumerated() where amount != (0, 0) {
            var sizes = try y.sizes()
            let n = sizes[axis]
            guard n > 0, (-1 << 40...1 << 40).contains(amount.before), (-1 << 40...1 << 40).contains(amount.after) else { throw wrong("pads \(x.shape) by \(amounts)") }
            let total = n + amount.before + amount.after
            guard total >= 0 else { throw wrong("pads \(x.shape) by \(amounts)") }
            sizes[axis] = total
            try reserve(sizes, y.dtype)
            y = try y.gathered(Tensor((0..<total).map { image($0 - amount.before, n) }, [total]), axis: axis)
        }
        return y
    }
}
