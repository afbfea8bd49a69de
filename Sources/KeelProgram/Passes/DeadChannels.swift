internal import Keel

extension Pass {
    /// Leaves out channels that are zero whatever comes in, because a layer's constant filter and bias for them are, and what the layers after it make of
    /// them. Between the two may stand what works number by number and makes zero of zero, sums of several layers that all have zeros there, pooling and means of
    /// pictures. The numbers left are added in another order, perhaps.
    public static let deadChannels = Pass("dead-channels") { graph throws(TensorError) in
        let around = Surroundings(graph)
        var isChanged = false
        for place in graph.nodes.indices {
            guard try graph.deadChannels(of: place).contains(true),
                let region = ChannelRegion(from: graph.nodes[place].outputs[0], in: graph, around), try region.passesZerosOn(in: graph)
            else { continue }
            if try region.narrow(&graph) { isChanged = true }
        }
        return isChanged
    }
}

extension Graph {
    /// Whether the node is a layer with constant weights, of which channels may be left out.
    fileprivate func isLayer(_ place: Int) -> Bool {
        let node = nodes[place]
        return node.primitive.channelAxis != nil && node.outputs.count == 1 && node.inputs.dropFirst().allSatisfy { constants[$0] != nil }
    }

    /// For each output channel of a layer, whether its filter and its bias are zero; empty for other nodes.
    fileprivate func deadChannels(of place: Int) throws(TensorError) -> [Bool] {
        guard isLayer(place) else { return [] }
        var isDead: [Bool] = []
        for value in nodes[place].inputs.dropFirst() {
            guard let weights = constants[value] else { continue }
            let isZero = try weights.zeroRows()
            isDead = isDead.isEmpty ? isZero : zip(isDead, isZero).map { $0 && $1 }
        }
        return isDead
    }

    fileprivate func isScalar(_ value: Value) -> Bool { (try? constants[value]?.shape.elementCount()) == 1 }
}

/// Values that have the same channels: what some layers make, and what is made of that, up to the layers that read it.
private struct ChannelRegion {
    /// Where the channels lie in each value.
    private let axes: [Graph.Value: Int]
    private let makers, functions, readers: Set<Int>

    /// - Returns: nil where the channels are also seen by what isn't a layer, or where no layer reads them.
    init?(from value: Graph.Value, in graph: Graph, _ around: Surroundings) {
        var axes: [Graph.Value: Int] = [:], makers: Set<Int> = [], functions: Set<Int> = [], readers: Set<Int> = []
        let given = Set(graph.outputs.map(\.value) + graph.states.map(\.last))
        var pending = [value]
        func channelAxis(of layer: Int, in value: Graph.Value) -> Int? {
            graph.nodes[layer].primitive.channelAxis.map { $0 < 0 ? $0 + graph.specs[value].shape.rank : $0 }
        }
        guard let first = around.maker(value), let axis = channelAxis(of: first, in: value) else { return nil }
        axes[value] = axis
        /// Whether the value may have its channels there; it is looked at if it is new.
        func add(_ value: Graph.Value, _ axis: Int) -> Bool {
            if let known = axes[value] { return known == axis }
            axes[value] = axis
            pending.append(value)
            return true
        }
        /// A function's inputs and its output, if the channels lie at `axis` of one of these.
        func add(function place: Int) -> Bool {
            let node = graph.nodes[place]
            guard functions.insert(place).inserted else { return true }
            guard node.outputs.count == 1 else { return false }
            let output = node.outputs[0], inputs = node.inputs.filter { !graph.isScalar($0) }
            guard let input = inputs.first(where: { axes[$0] != nil }) ?? inputs.first else { return false }
            let rank = graph.specs[input].shape.rank
            let from = axes[input] ?? axes[output].flatMap { after in (0..<rank).first { node.primitive.axis(after: $0, of: rank) == after } }
            guard let from, let after = node.primitive.axis(after: from, of: rank), inputs.allSatisfy({ graph.specs[$0] == graph.specs[input] }),
                !node.primitive.isNumberByNumber || graph.specs[input] == graph.specs[output]
            else { return false }
            return inputs.allSatisfy { add($0, from) } && add(output, after)
        }
        while let value = pending.popLast() {
            guard !given.contains(value), let maker = around.maker(value) else { return nil }
            if graph.isLayer(maker) {
                guard channelAxis(of: maker, in: value) == axes[value] else { return nil }
                makers.insert(maker)
            } else {
                guard add(function: maker) else { return nil }
            }
            for reader in around.readers(value) {
                if graph.isLayer(reader), graph.nodes[reader].inputs[0] == value, channelAxis(of: reader, in: value) == axes[value] {
                    readers.insert(reader)
                } else {
                    guard add(function: reader) else { return nil }
                }
            }
        }
        guard !readers.isEmpty else { return nil }
        (self.axes, self.makers, self.functions, self.readers) = (axes, makers, functions, readers)
    }

    /// Whether all readers get zeros where all makers make them.
    func passesZerosOn(in graph: Graph) throws(TensorError) -> Bool {
        var numbers: [Graph.Value: Tensor] = [:]
        for place in makers.union(functions).sorted() {
            let node = graph.nodes[place]
            var number = try Tensor(Float(0))
            if functions.contains(place) {
                var inputs: [Tensor] = []
                for value in node.inputs {
                    if let number = numbers[value] {
                        inputs.append(number)
                    } else if let constant = graph.constants[value] {
                        inputs.append(try constant.reshaped([]))
                    }
                }
                if node.primitive.isNumberByNumber {
                    number = try node.primitive.runStep(inputs, outputs: 1, residuals: 0)[0]
                } else if try inputs[0].item() != 0 {
                    return false
                }
            }
            numbers[node.outputs[0]] = number
        }
        for place in readers { if try numbers[graph.nodes[place].inputs[0]]?.item() != 0 { return false } }
        return true
    }

    /// Leaves out the channels that all makers leave zero; one stays in any case.
    ///
    /// - Returns: whether there are any.
    func narrow(_ graph: inout Graph) throws(TensorError) -> Bool {
        var isDead: [Bool] = []
        for place in makers {
            let own = try graph.deadChannels(of: place)
            isDead = isDead.isEmpty ? own : zip(isDead, own).map { $0 && $1 }
        }
        var kept = isDead.indices.filter { !isDead[$0] }
        if kept.isEmpty { kept = [0] }
        guard kept.count < isDead.count else { return false }
        let places = try Tensor(kept.map(Int64.init))
        func cut(_ place: Int, input: Int, axis: Int) throws(TensorError) {
            guard let weights = graph.constants[graph.nodes[place].inputs[input]] else { preconditionFailure("a layer's weights are constants") }
            graph.nodes[place].inputs[input] = graph.constant(try weights.gathered(places, axis: axis))
        }
        for place in makers { for input in graph.nodes[place].inputs.indices.dropFirst() { try cut(place, input: input, axis: 0) } }
        for place in readers { try cut(place, input: 1, axis: 1) }
        for (value, axis) in axes { graph.specs[value].shape[axis] = Dimension(kept.count) }
        return true
    }
}
