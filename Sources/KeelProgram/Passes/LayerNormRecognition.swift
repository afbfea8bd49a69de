internal import Keel

extension Pass {
    /// Does a normalisation of rows as one step where it is written out: `(x - mean) / √(mean((x - mean)²) + ε) * scale + bias`.
    public static let layerNormRecognition = Pass("layer-norm-recognition") { graph throws(TensorError) in
        let around = Surroundings(graph)
        var isChanged = false
        for place in graph.nodes.indices {
            guard around.meaning(place) == .divide || around.meaning(place) == .multiply, let found = around.normalised(place) else { continue }
            let spec = graph.specs[found.x]
            guard graph.specs[graph.nodes[place].outputs[0]] == spec, let width = spec.shape[-1].number, width > 0 else { continue }
            let vector = TensorSpec([width], spec.dtype)
            // What follows, if it is a scale of each column, and then a bias.
            var end = place, scale: Graph.Value?, bias: Graph.Value?
            func follow(_ meaning: Meaning) -> Graph.Value? {
                let made = graph.nodes[end].outputs[0]
                guard let next = around.onlyReader(made), around.meaning(next) == meaning, around.areAlike(place, next) else { return nil }
                let inputs = graph.nodes[next].inputs
                guard let other = inputs.first(where: { $0 != made }), graph.specs[other] == vector, graph.specs[graph.nodes[next].outputs[0]] == spec
                else { return nil }
                end = next
                return other
            }
            scale = follow(.multiply)
            bias = follow(.add)
            let (ones, zeros) = (try Tensor.ones(vector.shape, vector.dtype), try Tensor.zeros(vector.shape, vector.dtype))
            graph.nodes[end].primitive = Fused.layerNorm(epsilon: found.epsilon)
            graph.nodes[end].inputs = [found.x, scale ?? graph.constant(ones), bias ?? graph.constant(zeros)]
            isChanged = true
        }
        return isChanged
    }
}

extension Surroundings {
    /// Of what the node is the normalisation, if it is one.
    fileprivate func normalised(_ place: Int) -> (x: Graph.Value, epsilon: Double)? {
        let operands = inputs(place)
        if meaning(place) == .divide { return deviation(operands[1], at: place).flatMap { centred(operands[0], $0) } }
        for (i, factor) in operands.enumerated() {
            // Times the reciprocal, or the power of -1/2, in place of divided.
            guard let maker = maker(factor) else { continue }
            let inner = inputs(maker)
            if meaning(maker) == .reciprocal, let found = deviation(inner[0], at: place) { return centred(operands[1 - i], found) }
            if meaning(maker) == .divide, number(inner[0]) == 1, let found = deviation(inner[1], at: place) { return centred(operands[1 - i], found) }
            if meaning(maker) == .power, number(inner[1]) == -0.5, let found = variance(inner[0], at: place) { return centred(operands[1 - i], found) }
        }
        return nil
    }

    private typealias Variance = (difference: Graph.Value, x: Graph.Value, epsilon: Double)

    /// `√(variance + ε)`.
    private func deviation(_ value: Graph.Value, at place: Int) -> Variance? {
        guard let maker = maker(value) else { return nil }
        let isRoot = meaning(maker) == .squareRoot || meaning(maker) == .power && number(inputs(maker)[1]) == 0.5
        return isRoot ? variance(inputs(maker)[0], at: place) : nil
    }

    /// `mean(difference²) + ε`, with `difference = x - mean(x)`, over rows.
    private func variance(_ value: Graph.Value, at place: Int) -> Variance? {
        var mean = value, epsilon = 0.0
        if let maker = maker(value) {
            switch meaning(maker) {
            case .scale(1, let offset): (mean, epsilon) = (inputs(maker)[0], offset)
            case .add:
                let operands = inputs(maker)
                for (i, operand) in operands.enumerated() {
                    if let offset = number(operand) { (mean, epsilon) = (operands[1 - i], offset) }
                }
            default: break
            }
        }
        guard epsilon >= 0, let means = maker(mean), meaning(means) == .meanOfRows, areAlike(means, place) else { return nil }
        let square = inputs(means)[0]
        guard let squares = maker(square), let difference = inputs(squares).first, let subtraction = maker(difference),
            meaning(subtraction) == .subtract, polynomial(square, x: difference, depth: 1)?.isNearly(squared) == true
        else { return nil }
        let (x, centre) = (inputs(subtraction)[0], inputs(subtraction)[1])
        guard let centres = maker(centre), meaning(centres) == .meanOfRows, inputs(centres)[0] == x else { return nil }
        return (difference, x, epsilon)
    }

    private var squared: Polynomial { Polynomial(terms: [Polynomial.Powers(x: 2, t: 0): 1]) }

    /// `x`, if this is its difference from its mean, be it another node's that does the same.
    private func centred(_ value: Graph.Value, _ variance: Variance) -> (x: Graph.Value, epsilon: Double)? {
        if value == variance.difference { return (variance.x, variance.epsilon) }
        guard let subtraction = maker(value), meaning(subtraction) == .subtract, inputs(subtraction) == inputs(variance.difference, of: .subtract) else { return nil }
        return (variance.x, variance.epsilon)
    }

    private func inputs(_ value: Graph.Value, of meaning: Meaning) -> [Graph.Value]? {
        maker(value).flatMap { self.meaning($0) == meaning ? inputs($0) : nil }
    }
}
