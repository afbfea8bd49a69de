internal import Keel

extension OperatorCall {
    /// Runs a graph of the node's attributes, which sees the names around it.
    func run(_ graph: ONNX.Graph, _ values: [ONNXValue]) throws -> [ONNXValue] {
        guard graph.inputs.count == values.count else { throw wrong("graph '\(graph.name)' takes \(graph.inputs.count) inputs, it is given \(values.count)") }
        var named: [String: ONNXValue] = [:]
        for (info, value) in zip(graph.inputs, values) { named[info.name] = value }
        return try execution.run(graph, scope.opsets, named, outer: scope, depth: scope.depth + 1, attributes: scope.attributes)
    }

    /// Values of each pass along a new first axis, or along `axis`.
    fileprivate func stacked(_ values: [ONNXValue], _ like: ONNX.ValueType?, axis: Int = 0, reversed: Bool = false) throws -> ONNXValue {
        let tensors = try values.map { value in
            guard case .tensor(let tensor, _) = value else { throw wrong("collects what isn't a tensor") }
            return tensor
        }
        guard let first = values.first?.kind else {
            guard case .tensor(let number, let dimensions)? = like, let kind = ElementKind(rawValue: number) else { return .sequence([]) }
            let sizes = (dimensions ?? []).map { if case .size(let size) = $0 { Int(size) } else { 0 } }
            return .tensor(try Tensor.zeros(Shape(checking: [0] + sizes), kind.carrier), kind)
        }
        let place = axis < 0 ? axis + tensors[0].rank + 1 : axis
        guard (0...tensors[0].rank).contains(place), tensors[0].rank < Shape.maximumRank else { throw wrong("axis \(axis) isn't one of \(tensors[0].rank + 1)") }
        try reserve([tensors.count] + tensors[0].sizes(), tensors[0].dtype)
        return .tensor(try Tensor.stacked(reversed ? tensors.reversed() : tensors, axis: place), first)
    }

    /// Keeps what a pass made. `size` counts the bytes of what all passes so far made.
    fileprivate func collect(_ value: ONNXValue, in values: inout [ONNXValue], _ size: inout Int) throws {
        size += value.bytes + MemoryLayout<ONNXValue>.stride
        try execution.reserve(size, for: node)
        values.append(value)
    }

    fileprivate func isTrue(_ value: ONNXValue) throws -> Bool {
        guard case .tensor(let tensor, .bool) = value, tensor.count == 1 else { throw wrong("its condition isn't one bool") }
        return try tensor.elements(Bool.self)[0]
    }

    /// `Scan` of opset 9 and later.
    fileprivate func scanned(_ inputs: [ONNXValue]) throws -> [ONNXValue] {
        let body = try graph("body"), scans = try required(int("num_scan_inputs"), "num_scan_inputs")
        guard scans >= 1, scans <= inputs.count else { throw wrong("\(scans) of \(inputs.count) inputs are scanned") }
        let states = inputs.count - scans
        guard body.outputs.count >= states else { throw wrong("its body has \(body.outputs.count) outputs for \(states) states") }
        func numbers(_ name: String, _ count: Int) throws -> [Int] {
            let given = ints(name) ?? [Int](repeating: 0, count: count)
            guard given.count == count else { throw wrong("\(name) is \(given)") }
            return given
        }
        let axes = try numbers("scan_input_axes", scans), back = try numbers(opset < 9 ? "directions" : "scan_input_directions", scans)
        let scanned: [(Tensor, ElementKind, Int)] = try zip(inputs[states...], axes).map { value, axis in
            guard case .tensor(let tensor, let kind) = value, tensor.rank >= 1 else { throw wrong("scans what isn't a tensor with an axis") }
            return (tensor, kind, try self.axis(axis, rank: tensor.rank))
        }
        let length = try scanned[0].0.size(at: scanned[0].2)
        guard try scanned.allSatisfy({ try $0.0.size(at: $0.2) == length }) else { throw wrong("what it scans isn't equally long") }
        var state = Array(inputs[..<states])
        var collected = [[ONNXValue]](repeating: [], count: max(0, body.outputs.count - states)), size = 0
        for step in 0..<length {
            try execution.step(at: node)
            let parts = try scanned.enumerated().map { i, scan -> ONNXValue in
                .tensor(try scan.0.at(back[i] == 1 ? length - 1 - step : step, axis: scan.2), scan.1)
            }
            let made = try run(body, state + parts)
            state = Array(made[..<states])
            for (i, value) in made[states...].enumerated() { try collect(value, in: &collected[i], &size) }
        }
        let outAxes = try numbers("scan_output_axes", collected.count), outBack = try numbers("scan_output_directions", collected.count)
        return try state + collected.enumerated().map { i, values in
            try stacked(values, body.outputs[states + i].type, axis: outAxes[i], reversed: outBack[i] == 1)
        }
    }
}

extension Operators {
    static let control: [Operator] = [
        Operator("If") { call in
            try call.run(call.graph(call.isTrue(call.value(0)) ? "then_branch" : "else_branch"), [])
        },
        Operator("Loop") { call in
            let body = try call.graph("body"), most = try call.has(0) ? call.int(0) : Int.max
            var goesOn = try call.has(1) ? call.isTrue(call.value(1)) : true
            var carried = try (2..<max(2, call.inputs.count)).map { call.has($0) ? try call.value($0) : .none }
            let count = carried.count
            guard body.outputs.count >= 1 + count else { throw call.wrong("its body has \(body.outputs.count) outputs for \(count) carried values") }
            var collected = [[ONNXValue]](repeating: [], count: body.outputs.count - 1 - count)
            var step = 0, size = 0
            while goesOn, step < most {
                try call.execution.step(at: call.node)
                let made = try call.run(body, [ONNXValue(Tensor(step)), .tensor(Tensor(goesOn), .bool)] + carried)
                goesOn = try call.isTrue(made[0])
                carried = Array(made[1..<(1 + count)])
                for (i, value) in made[(1 + count)...].enumerated() { try call.collect(value, in: &collected[i], &size) }
                step += 1
            }
            return try carried + collected.enumerated().map { i, values in try call.stacked(values, body.outputs[1 + count + i].type) }
        },
        Operator("Scan", 9) { call in try call.scanned(call.inputs.indices.map(call.value)) },
        Operator("Scan", 8, until: 8) { call in
            // The first form: each example of a batch by itself, with an optional input of lengths first.
            if call.has(0) { throw call.unsupported("sequence lengths") }
            let inputs = try (1..<max(1, call.inputs.count)).map(call.value)
            guard case .tensor(let first, _)? = inputs.first, first.rank >= 1 else { throw call.wrong("has no batch") }
            var rows: [[ONNXValue]] = []
            for row in 0..<(try first.size(at: 0)) {
                rows.append(
                    try call.scanned(
                        inputs.map { value in
                            guard case .tensor(let tensor, let kind) = value, tensor.rank >= 1, row < (try tensor.size(at: 0)) else { throw call.wrong("its batches differ") }
                            return .tensor(try tensor.at(row), kind)
                        }))
            }
            return try (0..<(rows.first?.count ?? 0)).map { i in try call.stacked(rows.map { $0[i] }, nil) }
        },
    ]

    static let sequences: [Operator] = [
        Operator("SequenceConstruct", 11) { call in [.sequence(try call.inputs.indices.map(call.value))] },
        Operator("SequenceEmpty", 11) { _ in [.sequence([])] },
        Operator("SequenceLength", 11) { call in try call.ints64([call.sequence(0).count], []) },
        Operator("SequenceAt", 11) { call in
            let parts = try call.sequence(0), place = try call.int(1), at = place < 0 ? place + parts.count : place
            guard parts.indices.contains(at) else { throw call.wrong("position \(place) of \(parts.count)") }
            return [parts[at]]
        },
        Operator("SequenceInsert", 11) { call in
            var parts = try call.sequence(0)
            let place = try call.has(2) ? call.int(2) : parts.count, at = place < 0 ? place + parts.count : place
            guard (0...parts.count).contains(at) else { throw call.wrong("position \(place) of \(parts.count)") }
            parts.insert(try call.value(1), at: at)
            return [.sequence(parts)]
        },
        Operator("SequenceErase", 11) { call in
            var parts = try call.sequence(0)
            let place = try call.has(1) ? call.int(1) : parts.count - 1, at = place < 0 ? place + parts.count : place
            guard parts.indices.contains(at) else { throw call.wrong("position \(place) of \(parts.count)") }
            parts.remove(at: at)
            return [.sequence(parts)]
        },
        Operator("SplitToSequence", 11) { call in
            let x = try call.tensor(0), kind = try call.kind(0), axis = try call.axis(call.int("axis", 0), rank: x.rank), n = try x.size(at: axis)
            /// Each part is a tensor of its own, whatever it holds.
            func reserve(_ count: Int) throws { try call.reserve([count, 32], .int64) }
            guard call.has(1) else {
                try reserve(n)
                let parts = try x.split([Int](repeating: 1, count: n), axis: axis)
                return [.sequence(try parts.map { .tensor(call.flag("keepdims", true) ? $0 : try $0.withoutAxis(axis), kind) })]
            }
            var sizes = try call.ints(1)
            if try call.tensor(1).rank == 0 {
                guard sizes[0] >= 1 else { throw call.wrong("parts of \(sizes[0])") }
                let size = min(sizes[0], max(n, 1))
                try reserve((n + size - 1) / size)
                sizes = (0..<((n + size - 1) / size)).map { min(size, n - $0 * size) }
            }
            guard sizes.allSatisfy((0...n).contains), sizes.reduce(0, +) == n else { throw call.wrong("parts of \(sizes) don't make \(n)") }
            try reserve(sizes.count)
            return [.sequence(try x.split(sizes, axis: axis).map { .tensor($0, kind) })]
        },
        Operator("ConcatFromSequence", 11) { call in
            let parts = try call.sequence(0).map { part in
                guard case .tensor(let tensor, _) = part else { throw call.wrong("joins what isn't a tensor") }
                return tensor
            }
            guard let first = parts.first, case .tensor(_, let kind)? = try call.sequence(0).first else { throw call.wrong("an empty sequence has no shape") }
            let isNew = call.flag("new_axis"), axis = try call.axis(call.required(call.int("axis"), "axis"), rank: first.rank + (isNew ? 1 : 0))
            return [.tensor(try isNew ? Tensor.stacked(parts, axis: axis) : Tensor.concatenated(parts, axis: axis), kind)]
        },
        Operator("SequenceMap", 17) { call in
            let body = try call.graph("body"), first = try call.sequence(0)
            var made = [[ONNXValue]](repeating: [], count: body.outputs.count), size = 0
            for place in first.indices {
                try call.execution.step(at: call.node)
                let values = try call.inputs.indices.map { i -> ONNXValue in
                    guard case .sequence(let parts) = try call.value(i) else { return try call.value(i) }
                    guard parts.count == first.count else { throw call.wrong("its sequences aren't equally long") }
                    return parts[place]
                }
                for (i, value) in try call.run(body, values).enumerated() { try call.collect(value, in: &made[i], &size) }
            }
            return made.map { .sequence($0) }
        },
        Operator("Optional", 15) { call in [call.has(0) ? try call.value(0) : .none] },
        Operator("OptionalHasElement", 15) { call in call.bools(try Tensor(call.has(0))) },
        Operator("OptionalGetElement", 15) { call in [try call.value(0)] },
    ]
}

extension OperatorCall {
    fileprivate func sequence(_ i: Int) throws -> [ONNXValue] {
        guard case .sequence(let parts) = try value(i) else { throw wrong("input \(i) isn't a sequence") }
        return parts
    }
}
