internal import Keel

private let takesAlpha: Set = ["affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"]
private let takesBeta: Set = ["affine", "scaledtanh", "hardsigmoid"]

/// The function of a gate, by its name in small letters and up to two numbers.
private func gate(_ name: String, _ alpha: Double?, _ beta: Double?, _ call: OperatorCall) throws -> (Tensor) throws -> Tensor {
    switch name {
    case "relu": return { try $0.relu() }
    case "tanh": return { try $0.tanh() }
    case "sigmoid": return { try $0.sigmoid() }
    case "affine": return { try $0 * (alpha ?? 1) + (beta ?? 0) }
    case "leakyrelu": return { try $0.leakyRelu(slope: alpha ?? 0.01) }
    case "thresholdedrelu": return { try $0.isGreater(than: Tensor.full(alpha ?? 1, [], $0.dtype)).select($0, Tensor.zeros([], $0.dtype)) }
    case "scaledtanh": return { try ($0 * (beta ?? 1)).tanh() * (alpha ?? 1) }
    case "hardsigmoid": return { try ($0 * (alpha ?? 0.2) + (beta ?? 0.5)).clipped(from: 0, to: 1) }
    case "elu": return { x in try x.maximum(Tensor.zeros([], x.dtype)) + x.minimum(Tensor.zeros([], x.dtype)).expm1() * (alpha ?? 1) }
    case "softsign": return { try $0 / ($0.magnitude() + 1) }
    case "softplus": return { x in try x.maximum(Tensor.zeros([], x.dtype)) + x.magnitude().negated().exp().log1p() }
    default: throw call.unsupported("the activation '\(name)'")
    }
}

extension OperatorCall {
    /// A recurrent layer over steps `[steps, batch, features]` whose number only a run has, by Keel's primitive: with the usual functions, forwards or both ways.
    fileprivate func recurrent(_ name: String, overOpen x: Tensor, _ w: Tensor, _ r: Tensor) throws -> [ONNXValue] {
        let isLSTM = name == "LSTM", kind = try kind(0), usual = isLSTM ? ["sigmoid", "tanh", "tanh"] : ["sigmoid", "tanh"]
        let isUsual = (strings("activations") ?? []).enumerated().allSatisfy { $1.lowercased() == usual[$0 % usual.count] }
        let h = try optional(5), c = try isLSTM ? optional(6) : h
        guard isLSTM || name == "GRU" && flag("linear_before_reset"), isUsual, ["forward", "bidirectional"].contains(string("direction", "forward")),
            float("clip") == nil, !flag("input_forget"), !has(7), (h == nil) == (c == nil)
        else { throw unsupported("steps whose number is a symbol, with other functions than the usual ones or backwards alone") }
        // Here input, forget, cell and output, and reset, update and candidate.
        let hidden = try r.size(at: 2), directions = try r.size(at: 0), order = isLSTM ? [0, 2, 3, 1] : [1, 0, 2], rows = order.count * hidden
        func ordered(_ blocks: Tensor) throws -> Tensor { try .concatenated(order.map { try blocks.sliced(0, from: $0 * hidden, to: ($0 + 1) * hidden) }) }
        let biases = try optional(3) ?? .zeros([directions, 2 * rows], x.dtype), lengths = try optional(4)?.cast(to: .int64), steps = try x.permuted([1, 0, 2])
        let weights = try (0..<directions).map { d in
            let bias = try biases.at(d)
            return (input: try ordered(w.at(d)), recurrent: try ordered(r.at(d)), inputBias: try ordered(bias), recurrentBias: try ordered(bias.sliced(0, from: rows)))
        }
        var made: [Tensor]
        if isLSTM {
            let parts = try weights.map { (input: $0.input, recurrent: $0.recurrent, bias: try $0.inputBias + $0.recurrentBias) }
            let (y, last, cell) = try steps.lstm(parts, state: h.flatMap { h in c.map { (h: h, c: $0) } }, lengths: lengths)
            made = [y, last, cell]
        } else {
            let (y, last) = try steps.gru(weights, state: h, lengths: lengths)
            made = [y, last]
        }
        made[0] = try made[0].reshaped(Shape(x.shape[1], x.shape[0], Dimension(directions), Dimension(hidden))).permuted([1, 2, 0, 3])
        return try made.map { .tensor(try kind.settled($0), kind) }
    }
}

/// A recurrent layer of one or two directions, step by step; at once where the number of steps is a symbol.
///
/// - Parameters:
///   - gates: how many rows of `hidden` the weights have.
///   - standard: the activations where the node names none.
///   - step: of the input's part, the state, the cell and the direction's weights: the next state and cell.
private func recurrent(
    _ name: String, gates: Int, standard: [String],
    _ step: @escaping @Sendable (_ input: Tensor, _ state: Tensor, _ cell: Tensor, _ weights: RecurrentDirection) throws -> (Tensor, Tensor)
) -> Operator {
    Operator(name) { call in
        var x = try call.tensor(0)
        let kind = try call.kind(0), isBatchFirst = call.int("layout", 0) == 1
        guard x.rank == 3 else { throw call.wrong("takes [steps, batch, features], was given \(x.shape)") }
        if isBatchFirst { x = try x.permuted([1, 0, 2]) }
        let w = try call.tensor(1), r = try call.tensor(2)
        guard w.rank == 3, r.rank == 3 else { throw call.wrong("weights \(w.shape) and \(r.shape)") }
        if x.shape[0].isSymbolic, !isBatchFirst { return try call.recurrent(name, overOpen: x, w, r) }
        let (time, batch, hidden) = (try x.size(at: 0), x.shape[1], try r.size(at: 2))
        let direction = call.string("direction", "forward"), directions = direction == "bidirectional" ? 2 : 1
        guard try w.sizes() == [directions, gates * hidden, x.size(at: 2)], try r.sizes() == [directions, gates * hidden, hidden] else {
            throw call.wrong("weights \(w.shape) and \(r.shape) for \(x.shape) and \(directions) directions")
        }
        let names = call.strings("activations") ?? [[String]](repeating: standard, count: directions).flatMap { $0 }
        guard names.count == directions * standard.count else { throw call.wrong("has the activations \(names)") }
        // Listed for those activations that take them, in order.
        var alphas = (call.floats("activation_alpha") ?? [])[...], betas = (call.floats("activation_beta") ?? [])[...]
        let clip = call.float("clip")
        var lengths: Tensor?
        if call.has(4) {
            let numbers = try call.ints(4)
            guard numbers.count == batch.number, numbers.allSatisfy({ (0...time).contains($0) }) else { throw call.wrong("lengths \(numbers) of \(time) steps") }
            lengths = try Tensor(numbers, [numbers.count, 1])
        }
        func initial(_ i: Int) throws -> Tensor {
            let shape = Shape(Dimension(directions), batch, Dimension(hidden))
            guard let given = try call.optional(i) else { return try Tensor.filled(0, shape, x.dtype) }
            let state = try isBatchFirst ? given.permuted([1, 0, 2]) : given
            guard state.shape == shape else { throw call.wrong("a state \(given.shape)") }
            return state
        }
        let states = try initial(5), cells = try gates == 4 ? initial(6) : states
        try call.reserve([Dimension(time), Dimension(directions), batch, Dimension(hidden)], x.dtype)

        var outputs: [Tensor] = [], lastStates: [Tensor] = [], lastCells: [Tensor] = []
        for d in 0..<directions {
            let functions = try (0..<standard.count).map { i in
                let name = names[d * standard.count + i].lowercased()
                let alpha = takesAlpha.contains(name) ? alphas.popFirst() : nil, beta = takesBeta.contains(name) ? betas.popFirst() : nil
                return try gate(name, alpha.map(Double.init), beta.map(Double.init), call)
            }
            let bias = try call.optional(3)?.at(d)
            guard bias == nil || bias?.count == 2 * gates * hidden else { throw call.wrong("a bias \(bias?.shape ?? [])") }
            let peepholes = try gates == 4 ? call.optional(7)?.at(d) : nil
            let weights = RecurrentDirection(
                recurrence: try r.at(d).transposed(), recurrentBias: try bias?.sliced(0, from: gates * hidden), peepholes: peepholes, hidden: hidden,
                functions: functions, isLinearBeforeReset: call.flag("linear_before_reset"), couplesGates: call.flag("input_forget"), clip: clip)
            var projected = try x.matmul(w.at(d).transposed())
            if let bias { projected = try projected + bias.sliced(0, to: gates * hidden) }
            var state = try states.at(d), cell = try cells.at(d)
            let isReverse = direction == "reverse" || d == 1
            var steps = [Tensor?](repeating: nil, count: time)
            for t in isReverse ? Array((0..<time).reversed()) : Array(0..<time) {
                try call.execution.step(at: call.node)
                var (nextState, nextCell) = try step(projected.at(t), state, cell, weights)
                if let lengths {
                    // A sequence that has ended, or going back hasn't begun, keeps its state and answers 0.
                    let runs = try lengths.isGreater(than: Tensor(Int64(t)))
                    steps[t] = try runs.select(nextState, Tensor.zeros([], x.dtype))
                    nextState = try runs.select(nextState, state)
                    nextCell = try runs.select(nextCell, cell)
                } else {
                    steps[t] = nextState
                }
                (state, cell) = (nextState, nextCell)
            }
            let made = steps.compactMap { $0 }
            outputs.append(made.isEmpty ? try Tensor.filled(0, Shape(Dimension(0), batch, Dimension(hidden)), x.dtype) : try Tensor.stacked(made))
            lastStates.append(state)
            lastCells.append(cell)
        }
        var y = try Tensor.stacked(outputs, axis: 1), state = try Tensor.stacked(lastStates), cell = try Tensor.stacked(lastCells)
        if isBatchFirst {
            y = try y.permuted([2, 0, 1, 3])
            (state, cell) = (try state.permuted([1, 0, 2]), try cell.permuted([1, 0, 2]))
        }
        return try [y, state, cell].prefix(gates == 4 ? 3 : 2).map { .tensor(try kind.settled($0), kind) }
    }
}

/// The weights of one direction of a recurrent layer.
private struct RecurrentDirection {
    /// `[hidden, gates * hidden]`
    let recurrence: Tensor
    let recurrentBias: Tensor?
    let peepholes: Tensor?
    let hidden: Int
    let functions: [(Tensor) throws -> Tensor]
    let isLinearBeforeReset: Bool, couplesGates: Bool
    let clip: Double?

    func part(_ x: Tensor, _ i: Int) throws -> Tensor { try x.sliced(-1, from: i * hidden, to: (i + 1) * hidden) }
    func clipped(_ x: Tensor) throws -> Tensor { try clip.map { try x.clipped(from: -$0, to: $0) } ?? x }
    func recurred(_ state: Tensor) throws -> Tensor {
        let product = try state.matmul(recurrence)
        return try recurrentBias.map { try product + $0 } ?? product
    }
}

extension Operators {
    static let recurrent: [Operator] = [
        KeelProgram.recurrent("RNN", gates: 1, standard: ["Tanh"]) { input, state, cell, weights in
            (try weights.functions[0](weights.clipped(input + weights.recurred(state))), cell)
        },
        // Gates z, r, h.
        KeelProgram.recurrent("GRU", gates: 3, standard: ["Sigmoid", "Tanh"]) { input, state, cell, weights in
            let hidden = weights.hidden, recurred = try weights.recurred(state)
            let z = try weights.functions[0](weights.clipped(weights.part(input, 0) + weights.part(recurred, 0)))
            let r = try weights.functions[0](weights.clipped(weights.part(input, 1) + weights.part(recurred, 1)))
            var inner: Tensor
            if weights.isLinearBeforeReset {
                inner = try r * weights.part(recurred, 2)
            } else {
                inner = try (r * state).matmul(weights.recurrence.sliced(1, from: 2 * hidden))
                if let bias = weights.recurrentBias { inner = try inner + bias.sliced(0, from: 2 * hidden) }
            }
            let h = try weights.functions[1](weights.clipped(weights.part(input, 2) + inner))
            return (try (1 - z) * h + z * state, cell)
        },
        // Gates i, o, f, c.
        KeelProgram.recurrent("LSTM", gates: 4, standard: ["Sigmoid", "Tanh", "Tanh"]) { input, state, cell, weights in
            let sum = try input + weights.recurred(state)
            func looking(_ gate: Int, _ hole: Int, at cell: Tensor) throws -> Tensor {
                let own = try weights.part(sum, gate)
                guard let holes = weights.peepholes else { return try weights.clipped(own) }
                return try weights.clipped(own + weights.part(holes, hole) * cell)
            }
            let i = try weights.functions[0](looking(0, 0, at: cell))
            let f = try weights.couplesGates ? 1 - i : weights.functions[0](looking(2, 2, at: cell))
            let next = try f * cell + i * weights.functions[1](weights.clipped(weights.part(sum, 3)))
            let o = try weights.functions[0](looking(1, 1, at: next))
            return (try o * weights.functions[2](next), next)
        },
    ]
}
