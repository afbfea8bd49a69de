package import Keel
package import KeelNN
internal import KeelProgram

/// A model from elsewhere, as a network that is trained further: its graph with weights of this network's own, and its last layer or a new one.
/// `[batch, 3, height, width]` or `[batch, numbers]` → logits, or a number, `[batch, outputs]`.
///
/// What doesn't learn is as `TrainableGraph` says; batch normalisation goes by the statistics that the file has. A graph that takes grey pictures gets the
/// weighted mean of the three planes (ITU-R BT.601). Its weights are called `backbone.` and as in the file, those of a new last layer `head.`.
package struct ImportedNetwork: Layer {
    /// All that is needed beside the model to make the network.
    package struct Plan: Codable, Hashable, Sendable {
        /// The value of the graph that is its end: the logits, or what a new last layer reads.
        package var output: String
        /// The initialisers that are trained.
        package var weights: [String]
        /// Of a new last layer: how many numbers it reads. Nil where the model's own stays.
        package var features: Int?
        /// The model's own last layer may have one score alone where this is 2: it is the second class's, and the first one's is 0.
        package var outputs: Int
        /// Whether the model's own last layer makes chances, so that their logarithms are the logits; nil where it doesn't.
        package var areChances: Bool?
        /// Of the targets, where the model's own last layer estimates them: what comes out is that number less `mean`, by `deviation`.
        package var mean: Float?
        package var deviation: Float?

        enum CodingKeys: String, CodingKey {
            case output, weights, features, mean, deviation
            case outputs = "classes", areChances = "chances"
        }
    }

    package static let backbone = "backbone."
    /// Shares of red, green and blue in what is grey.
    private static let grey: [Float] = [0.299, 0.587, 0.114]
    /// The logarithm of a smaller chance is that of this one.
    private static let leastChance = 1e-7

    private let graph: TrainableGraph
    private let input: ImportedEstimator.Input
    private let plan: Plan
    private var weights: [Tensor] = []
    private var head: Linear?

    /// - Throws: `UntrainableModel` where the model isn't the plan's; `TensorError`.
    package init(_ estimator: ImportedEstimator, _ plan: Plan, using generator: inout Philox) throws {
        graph = try TrainableGraph(estimator.model, upTo: plan.output, weights: plan.weights)
        (input, self.plan) = (estimator.input, plan)
        // Loading a checkpoint overwrites them in place, and the model's are others' too.
        for weight in graph.weights {
            let own = try Tensor.zeros(weight.tensor.shape)
            try own.assign(weight.tensor)
            weights.append(own)
        }
        if let features = plan.features { head = try Linear(features, plan.outputs, using: &generator) }
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let y = try Self.rows(graph(arranged(x), weights: weights), of: x.shape[0])
        guard let head else { return try answer(y) }
        // A convolution of single places and a mean over them are a mean and a product.
        return try head(y.rank == 4 ? y.globalAveragePool2D().flattened(from: 1) : y, in: context)
    }

    /// What comes in, as the graph takes it.
    private func arranged(_ x: Tensor) throws(TensorError) -> Tensor {
        guard case .pictures(let channels, _, _, let areChannelsLast) = input else { return x }
        let planes = channels == 1 ? try (x * Tensor(Self.grey, [3, 1, 1])).sum([1], keepingAxes: true) : x  // [batch, channels, height, width]
        return areChannelsLast ? try planes.permuted([0, 2, 3, 1]) : planes
    }

    /// What a graph makes of a batch, with an axis for the numbers of each example. Exporters leave that out where there is one number, and some the batch's
    /// where there is one example.
    ///
    /// - Throws: `TensorError.custom` where the first axis isn't the batch's.
    static func rows(_ y: Tensor, of batch: Dimension) throws(TensorError) -> Tensor {
        if y.rank == 0, batch == Dimension(1) { return try y.reshaped([1, 1]) }
        // A program knows what a size of symbols is when it runs.
        guard y.rank > 0, y.shape[0] == batch || y.shape[0].isSymbolic else {
            throw TensorError(.custom("for a batch of \(batch) it makes \(y.shape), whose first axis isn't the batch's"))
        }
        return y.rank == 1 ? try y.withAxis(-1) : y
    }

    /// What the model's own last layer makes, `[batch, outputs]`.
    private func answer(_ y: Tensor) throws(TensorError) -> Tensor {
        let rows = y.rank > 2 ? try y.flattened(from: 1) : y, isAlone = rows.shape[1].number == 1
        if let mean = plan.mean, let deviation = plan.deviation { return try (rows - Double(mean)) / Double(deviation) }
        let logits = plan.areChances == true ? try Self.logits(rows, areAlone: isAlone) : rows
        return plan.outputs == 2 && isAlone ? try logits * Tensor([0, 1] as [Float]) : logits
    }

    /// Of chances; of one alone the other class has the rest.
    private static func logits(_ chances: Tensor, areAlone: Bool) throws(TensorError) -> Tensor {
        let chances = try chances.clipped(from: leastChance, to: areAlone ? 1 - leastChance : 1)
        return areAlone ? try chances.log() - (1 - chances).log() : try chances.log()
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for (i, weight) in graph.weights.enumerated() { try body(Self.backbone + weight.name, .parameter, &weights[i]) }
        guard var last = head else { return }
        try last.forEachState(body, under: "head")
        head = last
    }
}
