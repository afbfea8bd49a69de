internal import Keel

extension Pass {
    /// Hides a normalisation by constant statistics, `y * factor + shift` for each channel, in the constant weights and bias of the convolution, the
    /// fully connected layer or the normalisation before it; a factor or a shift alone, too, as other tools write them. What were roundings of `y` are
    /// roundings of weights then.
    public static let normalisationFolding = Pass("normalisation-folding") { graph throws(TensorError) in
        let (makers, uses) = (graph.makers, graph.uses)
        var folded: Set<Int> = []
        for place in graph.nodes.indices {
            guard let norm = try graph.channelAffine(graph.nodes[place]), uses[norm.input] == 1, let maker = makers[norm.input], !folded.contains(maker),
                let primitive = graph.nodes[maker].primitive as? any ChannelScalable
            else { continue }
            let weights = graph.nodes[maker].inputs.dropFirst(), constants = weights.compactMap { graph.constants[$0] }
            guard constants.count == weights.count,
                let scaled = try primitive.scaled(constants, factor: norm.factor, shift: norm.shift, output: graph.specs[graph.nodes[place].outputs[0]].shape)
            else { continue }
            graph.nodes[maker].inputs = [graph.nodes[maker].inputs[0]] + scaled.map { graph.constant($0) }
            graph.nodes[maker].outputs = graph.nodes[place].outputs
            folded.insert(place)
        }
        graph.nodes = graph.nodes.enumerated().filter { !folded.contains($0.offset) }.map(\.element)
        return !folded.isEmpty
    }
}

extension Graph {
    /// What the node gives as `input * factor + shift`, with constants for each channel (axis 1); nil for another node.
    fileprivate func channelAffine(_ node: Node) throws(TensorError) -> (input: Value, factor: Tensor, shift: Tensor)? {
        if node.primitive.isChannelAffine {
            guard let factor = constants[node.inputs[1]], let shift = constants[node.inputs[2]] else { return nil }
            return (node.inputs[0], factor, shift)
        }
        guard node.inputs.count == 2, node.outputs.count == 1, let own = node.inputs.indices.first(where: { constants[node.inputs[$0]] != nil }),
            let constant = constants[node.inputs[own]], case let input = node.inputs[1 - own], specs[input] == specs[node.outputs[0]],
            specs[input].shape.rank >= 2, let channels = specs[input].shape[1].number, constant.count == channels, constant.dtype == specs[input].dtype
        else { return nil }
        // All its numbers lie along the axis that meets axis 1.
        let axis = 1 + constant.rank - specs[input].shape.rank
        guard axis >= 0, try constant.shape.size(axis) == channels else { return nil }
        let numbers = try constant.reshaped([channels])
        return switch node.primitive.meaning(of: specs[input]) {
        case .multiply: (input, numbers, try .zeros([channels], numbers.dtype))
        case .add: (input, try .full(1, [channels], numbers.dtype), numbers)
        default: nil
        }
    }
}
