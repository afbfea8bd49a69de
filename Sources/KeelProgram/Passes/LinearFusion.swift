internal import Keel

extension Pass {
    /// Makes a product with constant weights, what is added to each of its rows, and the function of one number that follows, one fully connected layer,
    /// which keeps its weights in the form that its kernel reads.
    public static let linearFusion = Pass("linear-fusion") { graph throws(TensorError) in
        let around = Surroundings(graph)
        var isChanged = false, done: Set<Int> = [], turned: [Graph.Value: Graph.Value] = [:]
        for place in graph.nodes.indices where !done.contains(place) {
            guard let layer = try graph.layer(place, around, &turned) else { continue }
            // Steps that only it needs, each of which makes what the layer then makes.
            var end = layer.end, inputs = layer.inputs, primitive = Fused.affine
            if inputs.count == 2, let next = around.follower(end, at: place), around.meaning(next) == .add {
                let made = graph.nodes[end].outputs[0], bias = graph.nodes[next].inputs.first { $0 != made }
                let width = graph.specs[made].shape[-1]
                if let bias, graph.specs[bias] == TensorSpec(Shape(width), graph.specs[made].dtype), graph.isSame(made, graph.nodes[next].outputs[0]) {
                    (end, inputs) = (next, inputs + [bias])
                }
            }
            if let next = around.follower(end, at: place), let finished = Fused.affine(endingWith: graph.nodes[next].primitive) {
                (end, primitive) = (next, finished)
            }
            for step in layer.steps where step != end { done.insert(step) }
            graph.nodes[end].primitive = primitive
            graph.nodes[end].inputs = inputs
            done.insert(end)
            isChanged = true
        }
        return isChanged
    }
}

extension Surroundings {
    /// The only reader of what the node makes, where the state is the same.
    fileprivate func follower(_ end: Int, at place: Int) -> Int? {
        guard let next = onlyReader(outputs(end)[0]), outputs(next).count == 1, areAlike(place, next) else { return nil }
        return next
    }
}

extension Graph {
    fileprivate typealias Layer = (end: Int, inputs: [Value], steps: [Int])

    fileprivate func isSame(_ a: Value, _ b: Value) -> Bool { specs[a] == specs[b] }

    /// The fully connected layer whose product this node is: its weights are constants.
    ///
    /// - Parameter turned: for each matrix that was one's weights already, its transpose.
    fileprivate mutating func layer(_ place: Int, _ around: Surroundings, _ turned: inout [Value: Value]) throws(TensorError) -> Layer? {
        let node = nodes[place]
        guard node.outputs.count == 1 else { return nil }
        if node.primitive.isAffine, constants[node.inputs[1]]?.dtype == .float32 { return (place, node.inputs, [place]) }
        if node.primitive.isUnfinishedAffine {
            // Found before: what follows may be known by now.
            guard let next = around.follower(place, at: place) else { return nil }
            let isBias = node.inputs.count == 2 && around.meaning(next) == .add && nodes[next].inputs.contains { value in
                value != node.outputs[0] && specs[value] == TensorSpec(Shape(specs[node.outputs[0]].shape[-1]), specs[value].dtype)
            }
            return isBias || Fused.affine(endingWith: nodes[next].primitive) != nil ? (place, node.inputs, [place]) : nil
        }
        guard around.meaning(place) == .matMul, let matrix = constants[node.inputs[1]], matrix.rank == 2, matrix.dtype == .float32 else { return nil }
        let weight: Value
        if let known = turned[node.inputs[1]] {
            weight = known
        } else {
            weight = constant(try matrix.transposed().contiguous())
            turned[node.inputs[1]] = weight
        }
        // Leading axes that are made one for the product, and then again what they were.
        let x = node.inputs[0]
        if let flattening = around.own(x, at: place), around.meaning(flattening) == .reshape, let back = around.follower(place, at: place),
            around.meaning(back) == .reshape
        {
            let whole = nodes[flattening].inputs[0], (before, after) = (specs[whole].shape, specs[nodes[back].outputs[0]].shape)
            if before.rank == after.rank, before[-1] == specs[x].shape[-1], after[-1] == specs[node.outputs[0]].shape[-1],
                (0..<before.rank - 1).allSatisfy({ before[$0] == after[$0] })
            {
                return (back, [whole, weight], [place, back])
            }
        }
        return (place, [x, weight], [place])
    }
}
