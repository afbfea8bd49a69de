internal import Keel

extension Pass {
    /// Lets fully connected layers directly behind a rectifier pass over its zeros, half of the numbers or more. A single row, as of one request, has its
    /// weights read once and used once, so the time is that of reading them. An infinite weight times zero would be no number, so weights are finite. Where fewer
    /// than 64 numbers are made, looking for zeros takes as long as it saves.
    public static let zeroSkipping = Pass("zero-skipping", isLast: true) { graph throws(TensorError) in
        let makers = graph.makers
        var isChanged = false
        for place in graph.nodes.indices {
            guard let skipping = graph.nodes[place].primitive.skippingZeros, let maker = makers[graph.nodes[place].inputs[0]],
                graph.nodes[maker].primitive.makesZeros, let weight = graph.constants[graph.nodes[place].inputs[1]], weight.count > 0, try weight.shape.size(0) >= 64
            else { continue }
            let isFinite: Bool = try weight.isFinite()
            guard isFinite else { continue }
            graph.nodes[place].primitive = skipping
            isChanged = true
        }
        return isChanged
    }
}
