internal import Keel

extension OperatorCall {
    /// The sizes that `Reshape` is told: 0 takes the input's size, unless `allowzero`, and -1 what is left over.
    fileprivate func reshaped(_ x: Tensor, _ wanted: [Int]) throws -> Tensor {
        var sizes = wanted
        let own = try x.sizes()
        if !flag("allowzero") {
            for (axis, size) in sizes.enumerated() where size == 0 {
                guard axis < own.count else { throw wrong("takes the size of axis \(axis) of \(x.shape)") }
                sizes[axis] = own[axis]
            }
        }
        guard sizes.allSatisfy({ $0 >= -1 }), sizes.count(where: { $0 == -1 }) <= 1 else { throw wrong("\(wanted) is no shape") }
        if let open = sizes.firstIndex(of: -1) {
            var rest = sizes
            rest.remove(at: open)
            let count = try Shape(checking: rest).elementCount()
            guard count > 0 ? x.count % count == 0 : x.count == 0 else { throw wrong("\(x.shape) doesn't fit into \(wanted)") }
            sizes[open] = count > 0 ? x.count / count : 0
        }
        let shape = try Shape(checking: sizes)
        guard try shape.elementCount() == x.count else { throw wrong("\(x.shape) doesn't fit into \(wanted)") }
        return try x.reshaped(shape)
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
            let wanted = try call.opset < 5 ? call.required(call.ints("shape"), "shape") : call.ints(1)
            return try call.view { try call.reshaped($0, wanted) }
        },
        Operator("Flatten") { call in
            try call.view { x in
                let axis = call.int("axis", 1), place = axis < 0 ? axis + x.rank : axis, sizes = try x.sizes()
                guard (0...x.rank).contains(place) else { throw call.wrong("axis \(axis) isn't one of \(x.rank)") }
                return try x.reshaped([sizes[..<place].reduce(1, *), sizes[place...].reduce(1, *)])
            }
        },
        Operator("Squeeze") { call in
            try call.view { x in
                let sizes = try x.sizes()
                let axes = try call.axes(input: 1, rank: x.rank) ?? sizes.indices.filter { sizes[$0] == 1 }
                for axis in axes where sizes[axis] != 1 { throw call.wrong("axis \(axis) of \(x.shape) isn't 1") }
                return try x.reshaped(sizes.indices.filter { !axes.contains($0) }.map { sizes[$0] })
            }
        },
        Operator("Unsqueeze") { call in
            try call.view { x in
                let named = try call.has(1) ? call.ints(1) : call.required(call.ints("axes"), "axes")
                let axes = try call.axes(named, rank: x.rank + named.count)
                var sizes = try x.sizes()
                for axis in axes.sorted() { sizes.insert(1, at: axis) }
                return try x.reshaped(Shape(checking: sizes))
            }
        },
        Operator("Transpose") { call in
            try call.view { x in
                let order = call.ints("perm") ?? Array((0..<x.rank).reversed())
                return x.rank == 0 && order.isEmpty ? x : try x.permuted(order)
            }
        },
        Operator("Concat") { call in
            if case .strings = try call.value(0) { throw call.unsupported("strings") }
            let tensors = try call.tensors()
            let axis = try call.axis(call.opset < 4 ? call.int("axis", 1) : call.required(call.int("axis"), "axis"), rank: tensors[0].rank)
            var sizes = try tensors[0].sizes()
            guard sizes.count > 0 else { throw call.wrong("scalars have no axis") }
            sizes[axis] = try tensors.reduce(0) { sum, tensor in
                guard tensor.rank == sizes.count else { throw call.wrong("\(tensor.shape) beside \(tensors[0].shape)") }
                return try sum + tensor.size(at: axis)
            }
            try call.reserve(sizes, tensors[0].dtype)
            return try call.same(Tensor.concatenated(tensors, axis: axis))
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
                let starts = try old ? call.required(call.ints("starts"), "starts") : call.ints(1)
                let ends = try old ? call.required(call.ints("ends"), "ends") : call.ints(2)
                let axes = try call.axes(old ? call.ints("axes") ?? Array(starts.indices) : call.has(3) ? call.ints(3) : Array(starts.indices), rank: x.rank)
                let steps = try !old && call.has(4) ? call.ints(4) : [Int](repeating: 1, count: starts.count)
                guard ends.count == starts.count, axes.count == starts.count, steps.count == starts.count else {
                    throw call.wrong("\(starts.count) starts, \(ends.count) ends, \(axes.count) axes and \(steps.count) steps")
                }
                var y = x
                for (i, axis) in axes.enumerated() { y = try call.sliced(y, axis, starts[i], ends[i], steps[i]) }
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
            let x = try call.tensor(0), shape = try Shape(checking: call.stretched([x.sizes(), call.ints(1)]))
            try call.reserve(shape.sizes ?? [], x.dtype)
            return try call.same(x.expanded(to: shape))
        },
        Operator("Tile") { call in
            let x = try call.tensor(0)
            var counts = try call.ints(1)
            if call.opset < 6 {
                let axis = try call.axis(call.int(2), rank: x.rank), tiles = try call.int(1)
                counts = (0..<x.rank).map { $0 == axis ? tiles : 1 }
            }
            guard counts.count == x.rank, counts.allSatisfy({ $0 >= 0 }) else { throw call.wrong("repeats \(counts) for \(x.shape)") }
            let sizes = try zip(x.sizes(), counts).map { size, count in
                let (product, overflow) = size.multipliedReportingOverflow(by: count)
                guard !overflow else { throw call.wrong("repeats \(counts) for \(x.shape)") }
                return product
            }
            try call.reserve(sizes, x.dtype)
            return try call.same(x.tiled(counts))
        },
        Operator("Shape") { call in
            guard let sizes = try call.value(0).shape?.sizes else { throw call.wrong("its input isn't a tensor") }
            let rank = sizes.count
            func bounded(_ place: Int) -> Int { min(max(place < 0 ? place &+ rank : place, 0), rank) }
            let start = bounded(call.int("start", 0)), end = bounded(call.int("end", rank))
            return try call.ints64(Array(sizes[start..<max(start, end)]))
        },
        Operator("Size") { call in
            guard let shape = try call.value(0).shape else { throw call.wrong("its input isn't a tensor") }
            return try call.ints64([shape.elementCount()], [])
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
            let (m, n) = (try x.size(at: x.rank - 2), try x.size(at: x.rank - 1)), offset = max(-m - n, min(k, m + n))
            let distance = try Tensor.range(n).withAxis(0) - Tensor.range(m).withAxis(1)
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
