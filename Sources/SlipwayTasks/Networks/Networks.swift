internal import Keel
internal import KeelModels
internal import KeelNN
internal import SlipwayDomain

/// All that is needed to make a network before its state is loaded; stored with the model.
struct NetworkShape: Codable, Sendable, Hashable {
    enum Kind: String, Codable, Sendable { case linear, residualPerceptron = "residual-perceptron", resnet, imported }

    var kind: Kind
    /// Features of a row, or channels of a picture.
    var inputs: Int
    var outputs: Int
    var width = 0
    /// Blocks, or blocks a stage.
    var depth = 0
    var dropout = 0.0
    /// Of the pictures of a residual network.
    var side = 0
    /// Of a model from elsewhere.
    var imported: ImportedNetwork.Plan?

    /// Whether a stranger's file asks for a network of a bearable size.
    var isSound: Bool {
        (1...1_000_000).contains(inputs) && (1...1000).contains(outputs) && (0...1024).contains(width)
            && (0...8).contains(depth) && (0...0.95).contains(dropout) && (0...512).contains(side)
            && (kind == .linear || kind == .imported || width > 0)
            && imported.map { (1...1_000_000).contains($0.features ?? 1) && $0.outputs == outputs && $0.deviation ?? 1 > 0 } ?? (kind != .imported)
    }

    /// - Parameter base: the model that an imported network's plan is of.
    func network(seed: UInt64, base: BaseModel?) throws -> any Layer {
        var generator = Philox(seed: seed)
        return switch kind {
        case .imported:
            if let base, let imported { try ImportedNetwork(base.estimator, imported, using: &generator) } else { throw ModelFault("it lacks its base") }
        case .linear: try Linear(inputs, outputs, using: &generator)
        case .residualPerceptron: try ResidualPerceptron(self, using: &generator)
        case .resnet: try SmallResNet(self, using: &generator)
        }
    }
}

/// A perceptron whose blocks add to what they get. `[batch, inputs]` → `[batch, outputs]`.
///
/// - Source: Gorishniy et al., "Revisiting deep learning models for tabular data", 2021 (ResNet for tables), with layer
///   normalisation, which doesn't depend on the batch.
struct ResidualPerceptron: Layer {
    struct Block: Layer {
        var norm: LayerNorm
        var widen, narrow: Linear
        let dropout: Double

        func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            let inner = try context.dropped(widen(norm(x, in: context), in: context).silu(), rate: dropout)
            return try x + narrow(inner, in: context)
        }

        mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try norm.forEachState(body, under: "norm")
            try widen.forEachState(body, under: "widen")
            try narrow.forEachState(body, under: "narrow")
        }
    }

    var first: Linear
    var blocks: [Block]
    var norm: LayerNorm
    var head: Linear

    init(_ shape: NetworkShape, using generator: inout Philox) throws(TensorError) {
        first = try Linear(shape.inputs, shape.width, using: &generator)
        blocks = []
        for _ in 0..<shape.depth {
            blocks.append(
                Block(
                    norm: try LayerNorm(shape.width), widen: try Linear(shape.width, 2 * shape.width, using: &generator),
                    narrow: try Linear(2 * shape.width, shape.width, using: &generator), dropout: shape.dropout))
        }
        norm = try LayerNorm(shape.width)
        head = try Linear(shape.width, shape.outputs, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try first(x, in: context)                        // [batch, width]
        for block in blocks { x = try block(x, in: context) }
        return try head(norm(x, in: context).silu(), in: context)  // [batch, outputs]
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        for index in blocks.indices { try blocks[index].forEachState(body, under: "blocks.\(index)") }
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

/// A small residual network for pictures. `[batch, channels, side, side]` → logits `[batch, outputs]`.
///
/// Three stages, each twice as wide and half as high as the one before. Larger pictures are halved at the stem.
/// - Source: He et al., "Deep residual learning for image recognition", 2016.
struct SmallResNet: Layer {
    struct Block: Layer {
        var conv1, conv2: Conv2D
        var norm1, norm2: BatchNorm
        var shortcut: Conv2D?
        var shortcutNorm: BatchNorm?

        init(_ from: Int, _ to: Int, stride: Int, using generator: inout Philox) throws(TensorError) {
            conv1 = try Conv2D(from, to, kernel: 3, stride: stride, padding: 1, hasBias: false, using: &generator)
            norm1 = try BatchNorm(to)
            conv2 = try Conv2D(to, to, kernel: 3, padding: 1, hasBias: false, using: &generator)
            norm2 = try BatchNorm(to)
            if stride != 1 || from != to {
                shortcut = try Conv2D(from, to, kernel: 1, stride: stride, hasBias: false, using: &generator)
                shortcutNorm = try BatchNorm(to)
            }
        }

        func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            let inner = try norm1(conv1(x, in: context), in: context).relu()
            let y = try norm2(conv2(inner, in: context), in: context)
            guard let shortcut, let shortcutNorm else { return try (x + y).relu() }
            return try (shortcutNorm(shortcut(x, in: context), in: context) + y).relu()
        }

        mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try conv1.forEachState(body, under: "conv1")
            try norm1.forEachState(body, under: "norm1")
            try conv2.forEachState(body, under: "conv2")
            try norm2.forEachState(body, under: "norm2")
            if var conv = shortcut, var norm = shortcutNorm {
                try conv.forEachState(body, under: "shortcut")
                try norm.forEachState(body, under: "shortcut_norm")
                (shortcut, shortcutNorm) = (conv, norm)
            }
        }
    }

    var stem: Conv2D
    var stemNorm: BatchNorm
    var blocks: [Block]
    var head: Linear
    let dropout: Double

    init(_ shape: NetworkShape, using generator: inout Philox) throws(TensorError) {
        stem = try Conv2D(
            shape.inputs, shape.width, kernel: 3, stride: shape.side >= 40 ? 2 : 1, padding: 1, hasBias: false,
            using: &generator)
        stemNorm = try BatchNorm(shape.width)
        blocks = []
        var width = shape.width
        for stage in 0..<3 {
            for index in 0..<max(shape.depth, 1) {
                let isFirst = index == 0 && stage > 0
                let next = isFirst ? 2 * width : width
                blocks.append(try Block(width, next, stride: isFirst ? 2 : 1, using: &generator))
                width = next
            }
        }
        head = try Linear(width, shape.outputs, using: &generator)
        dropout = shape.dropout
    }

    func callAsFunction(_ pictures: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try stemNorm(stem(pictures, in: context), in: context).relu()  // [batch, width, side, side], or half of it
        for block in blocks { x = try block(x, in: context) }                  // [batch, 4·width, side / 4, side / 4]
        let pooled = try x.globalAveragePool2D().flattened(from: 1)            // [batch, 4·width]
        return try head(context.dropped(pooled, rate: dropout), in: context)   // [batch, outputs]
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        try stemNorm.forEachState(body, under: "stem_norm")
        for index in blocks.indices { try blocks[index].forEachState(body, under: "blocks.\(index)") }
        try head.forEachState(body, under: "head")
    }
}
