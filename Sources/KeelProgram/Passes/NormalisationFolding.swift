internal import Keel

extension Pass {
    /// Hides a normalisation by constant statistics, `y * factor + shift` for each channel, in the constant weights and bias of the convolution, the
    /// fully connected layer or the normalisation before it. What were roundings of `y` are roundings of weights then.
    public static let normalisationFolding = Pass("normalisation-folding") { graph throws(TensorError) in
        let (makers, uses) = (graph.makers, graph.uses)
        var folded: Set<Int> = []
        for place in graph.nodes.indices {
            let norm = graph.nodes[place]
            guard norm.primitive.isChannelAffine, uses[norm.inputs[0]] == 1, let maker = makers[norm.inputs[0]], !folded.contains(maker),
                let factor = graph.constants[norm.inputs[1]], let shift = graph.constants[norm.inputs[2]],
                let primitive = graph.nodes[maker].primitive as? any ChannelScalable
            else { continue }
            let weights = graph.nodes[maker].inputs.dropFirst(), constants = weights.compactMap { graph.constants[$0] }
            guard constants.count == weights.count,
                let scaled = try primitive.scaled(constants, factor: factor, shift: shift, output: graph.specs[norm.outputs[0]].shape)
            else { continue }
            graph.nodes[maker].inputs = [graph.nodes[maker].inputs[0]] + scaled.map { graph.constant($0) }
            graph.nodes[maker].outputs = norm.outputs
            folded.insert(place)
        }
        graph.nodes = graph.nodes.enumerated().filter { !folded.contains($0.offset) }.map(\.element)
        return !folded.isEmpty
    }
}
