package import Keel
package import KeelNN
internal import KeelProgram

/// A classifier from elsewhere, as a network that is trained further: its graph with weights of this network's own, and its last layer or a new one.
/// `[batch, 3, height, width]` → logits `[batch, classes]`.
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
        package var channels: Int
        /// Of a new last layer: how many numbers it reads. Nil where the model's own stays.
        package var features: Int?
        package var classes: Int
    }

    package static let backbone = "backbone."
    /// Shares of red, green and blue in what is grey.
    private static let grey: [Float] = [0.299, 0.587, 0.114]

    private let graph: TrainableGraph
    private let channels: Int
    private var weights: [Tensor] = []
    private var head: Linear?

    /// - Throws: `UntrainableModel` where the model isn't the plan's; `TensorError`.
    package init(_ classifier: ImportedClassifier, _ plan: Plan, using generator: inout Philox) throws {
        graph = try TrainableGraph(classifier.model, upTo: plan.output, weights: plan.weights)
        channels = plan.channels
        // Loading a checkpoint overwrites them in place, and the model's are others' too.
        for weight in graph.weights {
            let own = try Tensor.zeros(weight.tensor.shape)
            try own.assign(weight.tensor)
            weights.append(own)
        }
        if let features = plan.features { head = try Linear(features, plan.classes, using: &generator) }
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var pictures = x
        if channels == 1 { pictures = try (x * Tensor(Self.grey, [3, 1, 1])).sum([1], keepingAxes: true) }  // [batch, 1, height, width]
        let y = try graph(pictures, weights: weights)
        guard let head else { return y }
        // A convolution of single places and a mean over them are a mean and a product.
        return try head(y.rank == 4 ? y.globalAveragePool2D().flattened(from: 1) : y, in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for (i, weight) in graph.weights.enumerated() { try body(Self.backbone + weight.name, .parameter, &weights[i]) }
        guard var last = head else { return }
        try last.forEachState(body, under: "head")
        head = last
    }
}
