internal import Keel

extension Operators {
    static let ordering: [Operator] = [
        Operator("TopK") { call in
            let kind = try call.kind(0), x = try call.inOrder(call.tensor(0), call.kind(0))
            let axis = try call.axis(call.int("axis", -1), rank: x.rank), count = try call.opset < 10 ? call.required(call.int("k"), "k") : call.int(1)
            guard x.rank >= 1, count >= 0, try count <= x.size(at: axis) else { throw call.wrong("the first \(count) of \(x.shape)") }
            let (values, places) = try x.topK(count, axis: axis, largest: call.flag("largest", true))
            return [.tensor(try call.inOrder(values, kind), kind), .tensor(places, .int64)]
        },
        Operator("Unique", 11) { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            let axis = try call.int("axis").map { try call.axis($0, rank: x.rank) }
            // Each part along the axis as a row of numbers that compare as the kind's do.
            let moved = try axis.map { $0 == 0 ? x : try x.permuted([$0] + (0..<x.rank).filter { other in other != axis }) } ?? x.reshaped([x.count, 1])
            try call.reserve([x.count, 6], .int64)
            let n = try moved.size(at: 0), width = n > 0 ? moved.count / n : 0
            let isWhole = !x.dtype.isFloat
            let whole = try isWhole ? call.inOrder(moved.cast(to: .int64), kind).elements(Int64.self) : []
            let floats = try isWhole ? [] : moved.cast(to: .float64).elements(Double.self)
            func isLess(_ a: Int, _ b: Int) -> Bool {
                for i in 0..<width {
                    if isWhole {
                        let (p, q) = (whole[a * width + i], whole[b * width + i])
                        if p != q { return p < q }
                    } else {
                        let (p, q) = (floats[a * width + i], floats[b * width + i])
                        if p != q { return p < q || q.isNaN && !p.isNaN }
                    }
                }
                return false
            }
            let order = (0..<n).sorted { isLess($0, $1) || !isLess($1, $0) && $0 < $1 }
            var firsts: [Int] = [], counts: [Int] = [], group = [Int](repeating: 0, count: n)
            for place in order {
                if let last = firsts.last, !isLess(last, place) {
                    counts[counts.count - 1] += 1
                } else {
                    firsts.append(place)
                    counts.append(1)
                }
                group[place] = firsts.count - 1
            }
            if !call.flag("sorted", true) {
                let ranks = firsts.indices.sorted { firsts[$0] < firsts[$1] }
                var position = [Int](repeating: 0, count: ranks.count)
                for (new, old) in ranks.enumerated() { position[old] = new }
                (firsts, counts) = (ranks.map { firsts[$0] }, ranks.map { counts[$0] })
                group = group.map { position[$0] }
            }
            let picked = try Tensor(firsts, [firsts.count])
            let y = try axis.map { try x.gathered(picked, axis: $0) } ?? x.reshaped([x.count]).gathered(picked)
            return try [.tensor(y, kind)] + call.ints64(firsts) + call.ints64(group) + call.ints64(counts)
        },
    ]
}
