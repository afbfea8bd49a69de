internal import Keel

extension Pass {
    /// Does attention as one step where it is written out for several heads: `softmax(q · kᵀ * factor + bias) · v`, of queries, keys and values that were cut
    /// into heads, whose results are joined again. Where a query sees nothing at all, its row is 0 and not NaN.
    public static let attentionRecognition = Pass("attention-recognition") { graph throws(TensorError) in
        let around = Surroundings(graph)
        var found: [(end: Int, attention: Surroundings.Attention)] = []
        for place in graph.nodes.indices where around.meaning(place) == .softmaxOfRows {
            if let (end, attention) = around.attention(place, graph.specs) { found.append((end, attention)) }
        }
        // From the end, so that what is put in before a node moves none that is still to come.
        for (end, attention) in found.sorted(by: { $0.end > $1.end }) {
            var made: [Graph.Node] = []
            func shaped(_ value: Graph.Value, _ shape: Shape) -> Graph.Value {
                if graph.specs[value].shape == shape { return value }
                let new = graph.value(TensorSpec(shape, graph.specs[value].dtype))
                made.append(Graph.Node(primitive: Fused.reshape(to: shape), inputs: [value], outputs: [new], origin: graph.nodes[end].origin))
                return new
            }
            var inputs = attention.parts.map { shaped($0.value, $0.joined) }
            if let bias = attention.bias {
                let own = graph.specs[bias].shape
                var shape = Shape(Dimension(1), Dimension(1), Dimension(1), Dimension(1))
                for axis in 1...own.rank { shape[-axis] = own[-axis] }
                inputs.append(shaped(bias, shape))
            }
            let last = graph.nodes[end].outputs[0], joined = attention.parts[0].joined
            let isWhole = graph.specs[last].shape == joined
            let output = isWhole ? last : graph.value(TensorSpec(joined, graph.specs[last].dtype))
            made.append(
                Graph.Node(
                    primitive: Fused.attention(heads: attention.heads, scale: attention.scale, hasBias: attention.bias != nil), inputs: inputs,
                    outputs: [output], origin: graph.nodes[end].origin))
            if !isWhole { made.append(Graph.Node(primitive: Fused.reshape(to: graph.specs[last].shape), inputs: [output], outputs: [last])) }
            graph.nodes.replaceSubrange(end...end, with: made)
        }
        return !found.isEmpty
    }
}

extension Surroundings {
    /// What was cut into heads, `[batch, time, features]`: the value, which may have another shape, and this one.
    typealias Part = (value: Graph.Value, joined: Shape, heads: Int)

    struct Attention {
        let parts: [Part]
        let heads: Int
        let scale: Double
        let bias: Graph.Value?
    }

    /// The attention whose probabilities this node makes, and the node that makes its result.
    func attention(_ softmax: Int, _ specs: [TensorSpec]) -> (end: Int, attention: Attention)? {
        // Down: times the values, and the heads side by side again.
        guard let product = onlyReader(outputs(softmax)[0]), meaning(product) == .matMul, inputs(product)[0] == outputs(softmax)[0],
            let swap = onlyReader(outputs(product)[0]), meaning(swap) == .permute([0, 2, 1, 3]), let end = onlyReader(outputs(swap)[0]),
            meaning(end) == .reshape, areAlike(softmax, end)
        else { return nil }
        // Up: the scores with what is added to them.
        let scores = inputs(softmax)[0]
        guard specs[scores].dtype == .float32, specs[scores].shape.rank == 4 else { return nil }
        var sum = (products: scores, bias: Graph.Value?.none)
        if let addition = maker(scores), meaning(addition) == .add {
            let operands = inputs(addition)
            guard let place = operands.firstIndex(where: { isProduct($0) && specs[$0] == specs[scores] }) else { return nil }
            sum = (operands[place], operands[1 - place])
        }
        let (factor, whole) = scaled(sum.products)
        guard let scoring = maker(whole), meaning(scoring) == .matMul, areAlike(scoring, end) else { return nil }
        let (q, k) = (scaled(inputs(scoring)[0]), scaled(inputs(scoring)[1]))
        guard let queries = part(q.value, [0, 2, 1, 3], specs), let keys = part(k.value, [0, 2, 3, 1], specs),
            let values = part(inputs(product)[1], [0, 2, 1, 3], specs), queries.value.heads == keys.value.heads, keys.value.heads == values.value.heads,
            keys.value.joined == values.value.joined, queries.value.joined[0] == keys.value.joined[0], queries.value.joined[2] == keys.value.joined[2]
        else { return nil }
        if let bias = sum.bias {
            let (own, all) = (specs[bias].shape, specs[scores].shape)
            guard specs[bias].dtype == .float32, own.rank >= 1, own.rank <= 4, own[-1] == all[-1],
                (1...own.rank).allSatisfy({ own[-$0] == all[-$0] || own[-$0].number == 1 })
            else { return nil }
        }
        let scale = factor * q.factor * k.factor * queries.factor * keys.factor
        guard values.factor == 1, scale.isFinite else { return nil }
        return (end, Attention(parts: [queries.value, keys.value, values.value], heads: queries.value.heads, scale: scale, bias: sum.bias))
    }

    private func isProduct(_ value: Graph.Value) -> Bool { maker(scaled(value).value).map { meaning($0) == .matMul } ?? false }

    /// What was cut into heads and then turned as `order` says, and a factor that it was multiplied by before.
    private func part(_ value: Graph.Value, _ order: [Int], _ specs: [TensorSpec]) -> (value: Part, factor: Double)? {
        var turned = value, turns = [0, 1, 2, 3]
        while let place = maker(turned), case .permute(let next) = meaning(place), next.count == 4 {
            turns = turns.map { next[$0] }
            turned = inputs(place)[0]
        }
        let inner = scaled(turned)
        guard turns == order, let cut = maker(inner.value), meaning(cut) == .reshape else { return nil }
        let shape = specs[inner.value].shape
        guard shape.rank == 4, let heads = shape[2].number, shape[3].number != nil, heads > 0 else { return nil }
        return ((inputs(cut)[0], Shape(shape[0], shape[1], shape[2] * shape[3]), heads), inner.factor)
    }
}
