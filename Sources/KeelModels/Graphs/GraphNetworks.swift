public import Keel
public import KeelNN

/// Graph convolutions: Kipf and Welling, *Semi-Supervised Classification with Graph Convolutional Networks*, 2017. Each node's features are a map of
/// its own and its neighbours', each link counting less the more of them its ends have.
///
/// `features [nodes, features]` and `links [nodes, nodes]`, float, 1 where two nodes are linked → logits `[nodes, classes]`.
public struct GCN: Network {
    public var first, second: Linear
    let dropout: Double

    public init(features: Int, hidden: Int, dropout: Double = 0.5, classes: Int, using generator: inout Philox) throws(TensorError) {
        first = try Linear(features, hidden, using: &generator)
        second = try Linear(hidden, classes, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "GCN")
        return [try self(inputs[0], links: inputs[1], in: context)]
    }

    public func callAsFunction(_ features: Tensor, links: Tensor, in context: Context) throws(TensorError) -> Tensor {
        // Of A + I, each row and column over the root of its sum: x counts itself once among its neighbours.
        let scale = try (links.sum([1], keepingAxes: true) + 1).squareRoot().reciprocal()                 // [nodes, 1]
        func spread(_ x: Tensor) throws(TensorError) -> Tensor {
            let even = try x * scale
            return try (links.matmul(even) + even) * scale
        }
        let hidden = try spread(first(context.dropped(features, rate: dropout), in: context)).relu()
        return try spread(second(context.dropped(hidden, rate: dropout), in: context))
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}

/// GraphSAGE: Hamilton, Ying and Leskovec, *Inductive Representation Learning on Large Graphs*, 2017, with the mean over the neighbours. A node and
/// its neighbours have maps of their own, so that it fits graphs that weren't seen in training.
///
/// Inputs and outputs as `GCN`'s.
public struct GraphSAGE: Network {
    public var own, neighbours: [Linear]
    let dropout: Double

    /// - Parameter widths: from the features to the classes.
    public init(widths: [Int], dropout: Double = 0.5, using generator: inout Philox) throws(TensorError) {
        (own, neighbours) = ([], [])
        for (from, to) in zip(widths, widths.dropFirst()) {
            own.append(try Linear(from, to, using: &generator))
            neighbours.append(try Linear(from, to, hasBias: false, using: &generator))
        }
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "GraphSAGE")
        return [try self(inputs[0], links: inputs[1], in: context)]
    }

    public func callAsFunction(_ features: Tensor, links: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let count = try links.sum([1], keepingAxes: true).maximum(Tensor(Float(1)))
        var x = features
        for layer in own.indices {
            if layer > 0 { x = try context.dropped(x.relu(), rate: dropout) }
            x = try own[layer](x, in: context) + neighbours[layer](links.matmul(x) / count, in: context)
        }
        return x
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for layer in own.indices {
            try own[layer].forEachState(body, under: "own.\(layer)")
            try neighbours[layer].forEachState(body, under: "neighbours.\(layer)")
        }
    }
}

/// Graph attention: Veličković et al., *Graph Attention Networks*, 2018. Each node weighs its neighbours by what they and it are like.
///
/// Inputs and outputs as `GCN`'s.
public struct GAT: Network {
    public var first, second: Attention
    let dropout: Double

    /// Heads side by side, or their mean.
    public struct Attention: Module {
        public var map: Linear
        /// `[heads, width]` each: what speaks for being looked at, and for looking.
        public var source, target: Tensor
        public var bias: Tensor
        let heads: Int
        let isMean: Bool

        init(_ features: Int, heads: Int, width: Int, isMean: Bool, using generator: inout Philox) throws(TensorError) {
            map = try Linear(features, heads * width, hasBias: false, using: &generator)
            source = try .xavierUniform([heads, width], using: &generator)
            target = try .xavierUniform([heads, width], using: &generator)
            bias = try .zeros([isMean ? width : heads * width])
            (self.heads, self.isMean) = (heads, isMean)
        }

        public func callAsFunction(_ x: Tensor, links: Tensor, in context: Context) throws(TensorError) -> Tensor {
            let nodes = x.shape[0], width = source.shape[1]
            let y = try map(x, in: context).reshaped(Shape(nodes, Dimension(heads), width)).permuted([1, 0, 2])       // [heads, nodes, width]
            let given = try (y * source.withAxis(1)).sum([2]).withAxis(1)                                             // [heads, 1, nodes]
            let asked = try (y * target.withAxis(1)).sum([2]).withAxis(2)                                             // [heads, nodes, 1]
            let isSeen = try links.isGreater(than: Tensor(Float(0)))
            let scores = try isSeen.select((given + asked).leakyRelu(slope: 0.2), Tensor(Float(-1e9)))
            let seen = try scores.softmax().matmul(y)                                                                 // [heads, nodes, width]
            if isMean { return try seen.mean([0]) + bias }
            return try seen.permuted([1, 0, 2]).flattened(from: 1) + bias
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try map.forEachState(body, under: "map")
            try body("source", .parameter, &source)
            try body("target", .parameter, &target)
            try body("bias", .parameter, &bias)
        }
    }

    public init(features: Int, heads: Int = 8, width: Int = 8, dropout: Double = 0.6, classes: Int, using generator: inout Philox) throws(TensorError) {
        first = try Attention(features, heads: heads, width: width, isMean: false, using: &generator)
        second = try Attention(heads * width, heads: 1, width: classes, isMean: true, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "GAT")
        return [try self(inputs[0], links: inputs[1], in: context)]
    }

    /// - Parameter links: each node should be linked to itself, too.
    public func callAsFunction(_ features: Tensor, links: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let hidden = try first(context.dropped(features, rate: dropout), links: links, in: context).elu()
        return try second(context.dropped(hidden, rate: dropout), links: links, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}

/// Of the size of the Cora citations.
private let coraInputs = [NetworkPort("features", ["nodes", 1433]), NetworkPort("links", ["nodes", "nodes"])]
private let coraOutputs = [NetworkPort("logits", ["nodes", 7])]

extension GCN {
    static let named = [
        NamedNetwork(
            "gcn-16", .graphs, GCN.self, paper: "Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, 2017",
            parameters: 23_063, published: .exact(23_063, "PyTorch Geometric's example"), inputs: coraInputs, outputs: coraOutputs, classes: 7
        ) { (classes, generator) throws(TensorError) in try GCN(features: 1433, hidden: 16, classes: classes, using: &generator) }
    ]
}

extension GraphSAGE {
    static let named = [
        NamedNetwork(
            "graphsage-64", .graphs, GraphSAGE.self, paper: "Hamilton et al., Inductive Representation Learning on Large Graphs, 2017",
            parameters: 2 * 1433 * 64 + 64 + 2 * 64 * 7 + 7, inputs: coraInputs, outputs: coraOutputs, classes: 7
        ) { (classes, generator) throws(TensorError) in try GraphSAGE(widths: [1433, 64, classes], using: &generator) }
    ]
}

extension GAT {
    static let named = [
        NamedNetwork(
            "gat-8x8", .graphs, GAT.self, paper: "Veličković et al., Graph Attention Networks, 2018", parameters: 1433 * 64 + 3 * 64 + 64 * 7 + 3 * 7,
            inputs: coraInputs, outputs: coraOutputs, classes: 7
        ) { (classes, generator) throws(TensorError) in try GAT(features: 1433, classes: classes, using: &generator) }
    ]
}
