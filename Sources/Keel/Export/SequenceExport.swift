// Recurrent layers and attention. Recurrent operators have time first, and one tensor of each kind for all directions.

extension OperatorGraph {
    /// The blocks of `[blocks * hidden, ...]` in another order.
    fileprivate mutating func blocks(_ x: String, _ order: [Int], hidden: Int) throws(TensorError) -> String {
        let parts = node("Split", [x, try ints(order.map { _ in hidden })], outputs: order.count, ["axis": .int(0)])
        return node("Concat", order.map { parts[$0] }, ["axis": .int(0)])
    }

    /// One tensor for each direction, as one.
    fileprivate mutating func directions(_ parts: [String]) throws(TensorError) -> String {
        var lifted: [String] = []
        for part in parts { lifted.append(try unsqueeze(part, [0])) }
        return lifted.count == 1 ? lifted[0] : node("Concat", lifted, ["axis": .int(0)])
    }

    /// Lengths within `0...time`, as int32.
    fileprivate mutating func lengths(_ lengths: String, _ time: Dimension) throws(TensorError) -> String {
        let bounded = node("Min", [node("Max", [lengths, try ints([0])]), try dimension(time)])
        return cast(bounded, to: .int32)
    }

    /// `[time, directions, batch, hidden]` as `[batch, time, directions * hidden]`.
    fileprivate mutating func stepsOfBatches(_ y: String) throws(TensorError) -> String {
        node("Reshape", [transpose(y, [2, 0, 1, 3]), try ints([0, 0, -1])])
    }
}

extension LSTM: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let hidden = try call.specs[2].shape.size(1), order = [0, 3, 1, 2]  // input, output, forget, cell
        var weights: [[String]] = [[], [], []]
        for d in 0..<directions {
            for kind in 0..<3 { weights[kind].append(try graph.blocks(call.inputs[1 + 3 * d + kind], order, hidden: hidden)) }
            // There are two biases, one of the state.
            let none = try graph.constant(.zeros([4 * hidden], call.dtype))
            weights[2][d] = graph.node("Concat", [weights[2][d], none], ["axis": .int(0)])
        }
        var inputs = [graph.transpose(call.inputs[0], [1, 0, 2])]
        for parts in weights { inputs.append(try graph.directions(parts)) }
        let stateAt = 1 + 3 * directions
        inputs.append(hasLengths ? try graph.lengths(call.inputs[stateAt + (hasState ? 2 : 0)], call.specs[0].shape[1]) : "")
        if hasState { inputs += call.inputs[stateAt..<(stateAt + 2)] }
        while inputs.last == "" { inputs.removeLast() }
        let made = graph.node(
            "LSTM", inputs, outputs: 3, ["hidden_size": .int(hidden), "direction": .text(directions == 2 ? "bidirectional" : "forward")])
        return [try graph.stepsOfBatches(made[0]), made[1], made[2]]
    }
}

extension GRU: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let hidden = try call.specs[2].shape.size(1), order = [1, 0, 2]  // update, reset, candidate
        var weights: [[String]] = [[], [], []]
        for d in 0..<directions {
            var parts: [String] = []
            for kind in 0..<4 { parts.append(try graph.blocks(call.inputs[1 + 4 * d + kind], order, hidden: hidden)) }
            weights[0].append(parts[0])
            weights[1].append(parts[1])
            weights[2].append(graph.node("Concat", [parts[2], parts[3]], ["axis": .int(0)]))
        }
        var inputs = [graph.transpose(call.inputs[0], [1, 0, 2])]
        for parts in weights { inputs.append(try graph.directions(parts)) }
        let stateAt = 1 + 4 * directions
        inputs.append(hasLengths ? try graph.lengths(call.inputs[stateAt + (hasState ? 1 : 0)], call.specs[0].shape[1]) : "")
        if hasState { inputs.append(call.inputs[stateAt]) }
        while inputs.last == "" { inputs.removeLast() }
        let made = graph.node(
            "GRU", inputs, outputs: 2,
            [
                "hidden_size": .int(hidden), "direction": .text(directions == 2 ? "bidirectional" : "forward"),
                // The reset gate comes after the recurrent product.
                "linear_before_reset": .int(1),
            ])
        return [try graph.stepsOfBatches(made[0]), made[1]]
    }
}

extension Attention: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let width = try call.outputs[0].shape.size(2), dtype = call.dtype
        var parts = Array(call.inputs[..<(isPacked ? 1 : 3)])
        if isPacked { parts = graph.node("Split", [parts[0], try graph.ints([width, width, width])], outputs: 3, ["axis": .int(2)]) }
        // [batch, time, features] → [batch, time, heads, features / heads], heads before time.
        let split = try graph.ints([0, 0, heads, width / heads])
        let each = parts.map { graph.node("Reshape", [$0, split]) }
        let q = graph.transpose(each[0], [0, 2, 1, 3]), k = graph.transpose(each[1], [0, 2, 3, 1]), v = graph.transpose(each[2], [0, 2, 1, 3])

        let factor = try graph.number(scale ?? 1 / Double(width / heads).squareRoot(), dtype)
        var scores = graph.node("MatMul", [graph.node("Mul", [q, factor]), k])  // [batch, heads, queries, keys]
        if hasBias { scores = graph.node("Add", [scores, call.inputs[call.inputs.count - 1]]) }
        let seen = try seen(call, &graph)
        var shares: String
        if let seen {
            // Far below any score, and finite: a row that sees nothing is no NaN, and is zero in the end.
            let bounded = graph.node("Where", [seen, scores, try graph.number(dtype == .float16 ? -6e4 : -1e30, dtype)])
            shares = graph.node("Where", [seen, graph.node("Softmax", [bounded], ["axis": .int(-1)]), try graph.number(0, dtype)])
        } else {
            shares = graph.node("Softmax", [scores], ["axis": .int(-1)])
        }
        let joined = graph.transpose(graph.node("MatMul", [shares, v]), [0, 2, 1, 3])
        return [graph.node("Reshape", [joined, try graph.ints([0, 0, width])])]
    }

    /// Which keys each query sees, in a shape that stretches over `[batch, heads, queries, keys]`; nil for all.
    private func seen(_ call: ExportCall, _ graph: inout OperatorGraph) throws(TensorError) -> String? {
        var seen: String?
        if hasMask {
            let place = call.inputs.count - (hasBias ? 2 : 1)
            seen = try graph.unsqueeze(call.inputs[place], call.specs[place].shape.rank == 2 ? [1, 2] : [1])
        }
        guard isCausal else { return seen }
        // The last query sees all keys.
        let queries = try graph.dimension(call.specs[0].shape[1]), keys = try graph.dimension(call.specs[isPacked ? 0 : 1].shape[1])
        let zero = try graph.constant(Tensor(Int64(0))), one = try graph.constant(Tensor(Int64(1)))
        func range(_ size: String) throws(TensorError) -> String { graph.node("Range", [zero, try graph.squeeze(size, [0]), one]) }
        let rows = graph.node("Add", [try range(queries), graph.node("Sub", [keys, queries])])
        let past = graph.node("LessOrEqual", [try range(keys), try graph.unsqueeze(rows, [1])])
        return seen.map { graph.node("And", [$0, past]) } ?? past
    }
}
