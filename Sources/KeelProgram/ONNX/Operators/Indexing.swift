internal import Keel

extension OperatorCall {
    /// Indices into an axis of `n`, those that count from the end turned round.
    ///
    /// - Throws: where one lies outside.
    fileprivate func places(_ indices: Tensor, below size: Dimension) throws -> Tensor {
        guard !indices.dtype.isFloat else { throw wrong("indices are \(indices.dtype)") }
        let wide = try indices.cast(to: .int64)
        // Those of a traced model are looked at when the program runs: what takes numbers refuses what lies outside, and counts from the end itself.
        guard let n = size.number, !wide.isTraced else {
            return try wide.isLess(than: Tensor(Int64(0))).select(wide + SizeExpression(size).tensor().reshaped([]), wide)
        }
        if wide.count > 0 {
            let least = try wide.min().item(Int64.self), most = try wide.max().item(Int64.self)
            guard least >= -Int64(n), most < Int64(n) else { throw wrong("index \(least < -Int64(n) ? least : most) isn't in \(-n)..<\(n)") }
        }
        return try wide.isLess(than: Tensor(Int64(0))).select(wide + Tensor(Int64(n)), wide)
    }

    /// `Gather` from a tensor, by the second input's indices.
    fileprivate func gathered(_ x: Tensor) throws -> Tensor {
        let axis = try self.axis(int("axis", 0), rank: x.rank), sizes = x.shape.dimensions
        guard sizes.count > 0 else { throw wrong("a scalar has no axis") }
        let indices = try places(tensor(1), below: sizes[axis])
        try reserve(sizes[..<axis] + indices.shape.dimensions + sizes[(axis + 1)...], x.dtype)
        return try x.gathered(indices, axis: axis)
    }

    /// For indices `[..., k]` into the first `k` axes after the batch's: which row of the flat tensor each names.
    fileprivate func rows(_ indices: Tensor, into sizes: [Int], batches: Int = 0) throws -> Tensor {
        let k = try indices.size(at: indices.rank - 1)
        guard k >= 1, batches + k <= sizes.count else { throw wrong("indices \(indices.shape) into \(sizes)") }
        var flat: Tensor?
        var step = 1
        for axis in stride(from: k - 1, through: 0, by: -1) {
            let own = try places(indices.sliced(-1, from: axis, to: axis + 1).withoutAxis(-1), below: Dimension(sizes[batches + axis])) * Tensor(Int64(step))
            flat = try flat.map { try $0 + own } ?? own
            step *= sizes[batches + axis]
        }
        return try flat ?? Tensor(Int64(0))
    }

    fileprivate func rule() throws -> ScatterRule {
        switch string("reduction", "none") {
        case "none": return .set
        case "add": return .add
        case "mul": return .multiply
        case "max": return .maximum
        case "min": return .minimum
        case let name: throw wrong("reduction is '\(name)'")
        }
    }

    /// `ScatterElements`: along an axis, with indices that may be fewer along the others, too.
    fileprivate func scatteredElements() throws -> [ONNXValue] {
        let x = try tensor(0), indices = try tensor(1), updates = try tensor(2), kind = try kind(0)
        let sizes = try x.sizes(), own = try indices.sizes(), axis = try self.axis(int("axis", 0), rank: x.rank)
        guard own.count == sizes.count, updates.shape == indices.shape, own.indices.allSatisfy({ $0 == axis || own[$0] <= sizes[$0] }) else {
            throw wrong("indices \(indices.shape) and updates \(updates.shape) for \(x.shape)")
        }
        var flat = try Tensor([Int64(0)], []), step = 1
        for place in own.indices.reversed() {
            var shape = [Int](repeating: 1, count: own.count)
            shape[place] = own[place]
            let along = try place == axis ? places(indices, below: Dimension(sizes[axis])) : Tensor.range(own[place]).reshaped(shape)
            flat = try flat + along * Tensor(Int64(step))
            step *= sizes[place]
        }
        let row = try flat.expanded(to: indices.shape).reshaped([indices.count])
        let isBool = kind == .bool
        let base = try x.reshaped([x.count]), new = try updates.reshaped([updates.count])
        let y = try base.scattered(new, along: 0, at: row, isBool ? .set : rule())
        return try result(y.reshaped(sizes), kind)
    }
}

extension Operators {
    static let indexing: [Operator] = [
        Operator("Gather") { call in
            guard case .strings(let texts, let shape) = try call.value(0) else { return try call.same(call.gathered(call.tensor(0))) }
            // Strings move as their places do.
            let places = try call.gathered(Tensor.range(texts.count).reshaped(shape))
            return [.strings(try places.elements(Int.self).map { texts[$0] }, places.shape)]
        },
        Operator("GatherElements", 11) { call in
            var x = try call.tensor(0)
            let sizes = try x.sizes(), axis = try call.axis(call.int("axis", 0), rank: x.rank)
            let indices = try call.tensor(1), own = try indices.sizes()
            guard own.count == sizes.count, own.indices.allSatisfy({ $0 == axis || own[$0] <= sizes[$0] }) else {
                throw call.wrong("indices \(indices.shape) into \(x.shape)")
            }
            for place in own.indices where place != axis && own[place] < sizes[place] { x = try x.sliced(place, to: own[place]) }
            return try call.same(x.takenAlong(axis, at: call.places(indices, below: Dimension(sizes[axis]))))
        },
        Operator("GatherND", 11) { call in
            let x = try call.tensor(0), indices = try call.tensor(1), batches = call.int("batch_dims", 0)
            let sizes = try x.sizes(), own = try indices.sizes()
            guard batches >= 0, batches < min(sizes.count, own.count), sizes[..<batches] == own[..<batches] else { throw call.wrong("\(batches) batch axes of \(x.shape) and \(indices.shape)") }
            let k = own[own.count - 1], rows = try call.rows(indices, into: sizes, batches: batches)
            guard batches + k <= sizes.count else { throw call.wrong("indices \(indices.shape) into \(x.shape)") }
            let count = sizes[..<batches].reduce(1, *), depth = sizes[batches..<(batches + k)].reduce(1, *), rest = Array(sizes[(batches + k)...])
            let starts = try (Tensor.range(count) * Tensor(Int64(depth))).withAxis(1)
            let flat = try rows.reshaped([count, count > 0 ? rows.count / count : 0]) + starts
            let result = own.dropLast() + rest
            try call.reserve(result, x.dtype)
            let table = try x.reshaped([count * depth, rest.reduce(1, *)])
            return try call.same(table.gathered(flat.reshaped([flat.count])).reshaped(Shape(checking: Array(result))))
        },
        Operator("Scatter", 9, until: 10) { try $0.scatteredElements() },
        Operator("ScatterElements", 11) { try $0.scatteredElements() },
        Operator("ScatterND", 11) { call in
            let x = try call.tensor(0), indices = try call.tensor(1), updates = try call.tensor(2), kind = try call.kind(0)
            guard indices.rank >= 1 else { throw call.wrong("indices are a scalar") }
            let sizes = try x.sizes(), own = try indices.sizes(), k = own[own.count - 1]
            let rows = try call.rows(indices, into: sizes)
            let depth = sizes[..<k].reduce(1, *), rest = sizes[k...].reduce(1, *)
            guard try updates.sizes() == Array(own.dropLast()) + sizes[k...] else { throw call.wrong("updates \(updates.shape) for indices \(indices.shape) into \(x.shape)") }
            let parts = try updates.reshaped([rows.count, rest])
            let y = try x.reshaped([depth, rest]).scattered(parts: parts, at: rows.reshaped([rows.count]), kind == .bool ? .set : call.rule())
            return try call.result(y.reshaped(sizes), kind)
        },
        Operator("TensorScatter", 24) { call in
            let past = try call.tensor(0), update = try call.tensor(1), sizes = try past.sizes()
            let axis = try call.axis(call.int("axis", -2), rank: past.rank)
            guard past.rank == update.rank, axis >= 1 else { throw call.wrong("\(update.shape) into \(past.shape) along axis \(axis)") }
            let starts = try call.has(2) ? call.ints(2) : [Int](repeating: 0, count: sizes[0])
            let length = try update.size(at: axis), room = sizes[axis], wraps = call.string("mode", "linear") == "circular"
            guard starts.count == sizes[0], starts.allSatisfy({ $0 >= 0 && $0 < 1 << 40 && (wraps || $0 + length <= room) }), room > 0 else {
                throw call.wrong("\(length) positions from \(starts) on don't fit into \(room)")
            }
            var shape = [Int](repeating: 1, count: past.rank)
            (shape[0], shape[axis]) = (sizes[0], length)
            let places = try Tensor(starts.flatMap { start in (0..<length).map { (start + $0) % room } }, Shape(shape)).expanded(to: update.shape)
            return try call.same(past.scattered(update, along: axis, at: places))
        },
        Operator("OneHot", 9) { call in
            let indices = try call.tensor(0), given = try call.double(1), values = try call.tensor(2), kind = try call.kind(2)
            guard values.count == 2, given >= 1, given <= Double(ONNXLimits.axis) else { throw call.wrong("depth \(given) and values \(values.shape)") }
            let depth = Int(given)
            let axis = try call.axis(call.int("axis", -1), rank: indices.rank + 1)
            var sizes = indices.shape.dimensions
            sizes.insert(Dimension(depth), at: axis)
            try call.reserve(sizes, .int64)
            let wide = try indices.cast(to: .int64).withAxis(axis)
            let places = try wide.isLess(than: Tensor(Int64(0))).select(wide + Tensor(Int64(depth)), wide)
            var shape = [Int](repeating: 1, count: sizes.count)
            shape[axis] = depth
            let isOn = try places.equals(Tensor.range(depth).reshaped(shape)), pair = try values.reshaped([2])
            return [.tensor(try isOn.select(pair.at(1), pair.at(0)), kind)]
        },
        Operator("NonZero", 9) { call in
            let x = try call.tensor(0)
            try call.reserve([x.count, x.rank + 2], .int64)
            // [count, rank] in row-major order, and then turned.
            let mask = try x.cast(to: .bool), places = try mask.reshaped([mask.count]).elements(Bool.self).indices(where: { $0 })
            let flat = places.ranges.flatMap { Array($0) }, sizes = try x.sizes()
            var columns: [[Int]] = []
            var step = 1
            for size in sizes.reversed() {
                columns.insert(flat.map { $0 / step % max(size, 1) }, at: 0)
                step *= max(size, 1)
            }
            return try call.ints64(columns.flatMap { $0 }, [sizes.count, flat.count])
        },
        Operator("Compress", 9) { call in
            let x = try call.tensor(0), mask = try call.tensor(1).cast(to: .bool).elements(Bool.self)
            let axis = try call.int("axis").map { try call.axis($0, rank: x.rank) }
            let y = try axis == nil ? x.reshaped([x.count]) : x, n = try y.size(at: axis ?? 0)
            guard mask.count <= n || !mask[n...].contains(true) else { throw call.wrong("a condition of \(mask.count) for \(n) positions") }
            let places = mask.indices.filter { mask[$0] }
            return try call.same(y.gathered(Tensor(places, [places.count]), axis: axis ?? 0))
        },
    ]
}
