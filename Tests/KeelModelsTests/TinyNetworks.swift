import Keel
import KeelModels
import KeelNN
import Testing

/// A network of one of the library's types that is small enough to be trained in a test, and a batch that it has to learn by heart.
struct TinyNetwork: Sendable, CustomTestStringConvertible {
    let type: String
    /// Which of several of the type it is.
    let variant: String?
    let steps: Int
    let learningRate: Double
    let make: @Sendable (inout Philox) throws -> any Network
    /// What it takes, and after that what it is to give.
    let batch: @Sendable (inout Philox) throws -> [Tensor]
    /// The first and the last loss.
    private let train: @Sendable (TinyNetwork) throws -> (first: Float, last: Float)
    /// Whether a fall from the first loss to the last one is enough.
    let isDone: @Sendable (_ first: Float, _ last: Float) -> Bool

    var testDescription: String { variant.map { "\(type) \($0)" } ?? type }

    init<M: Network>(
        _ type: M.Type, variant: String? = nil, steps: Int = 30, learningRate: Double = 0.01, _ make: @escaping @Sendable (inout Philox) throws -> M,
        batch: @escaping @Sendable (inout Philox) throws -> [Tensor], loss: @escaping @Sendable (M, [Tensor], Context) throws -> Tensor,
        isDone: @escaping @Sendable (Float, Float) -> Bool = { $1 < 0.1 * $0 }
    ) {
        self.type = String("\(type)".prefix { $0 != "<" })
        self.variant = variant
        self.steps = steps
        self.learningRate = learningRate
        self.isDone = isDone
        self.make = make
        self.batch = batch
        train = { tiny in
            var generator = Philox(seed: 1)
            var network = try make(&generator)
            let batch = try batch(&generator)
            let optimizer = try Adam(ParameterStore(&network), learningRate: tiny.learningRate)
            var losses: [Float] = []
            for step in 0..<tiny.steps {
                let loss = try loss(network, batch, .training(seed: 1, step: step))
                losses.append(try loss.item())
                try optimizer.minimise(loss)
            }
            return (losses[0], losses[losses.count - 1])
        }
    }

    /// One that tells classes apart: four inputs, a class each.
    init<M: Layer & Network>(
        classifier type: M.Type, input: [Int], steps: Int = 30, learningRate: Double = 0.01, _ make: @escaping @Sendable (inout Philox) throws -> M
    ) {
        self.init(
            type, steps: steps, learningRate: learningRate, make,
            batch: { generator in [try .normal(Shape([4] + input), using: &generator), try Tensor([0, 1, 2, 3] as [Int64])] },
            loss: { network, batch, context in try network(batch[0], in: context).softmaxCrossEntropy(batch[1]) })
    }

    /// One that says what comes next: three windows of noise.
    init<M: Layer & Network>(
        forecaster type: M.Type, window: [Int], horizon: [Int], steps: Int, _ make: @escaping @Sendable (inout Philox) throws -> M
    ) {
        self.init(
            type, steps: steps, make,
            batch: { [try .normal(Shape([3] + window), using: &$0), try .normal(Shape([3] + horizon), using: &$0)] },
            loss: { network, batch, context in try network(batch[0], in: context).meanSquaredError(batch[1]) })
    }

    func losses() throws -> (first: Float, last: Float) { try train(self) }
}

private let pictureNetworks = [
    TinyNetwork(classifier: ResNet.self, input: [3, 32, 32]) { generator in
        try ResNet(
            ResNet.Trunk(blocks: [1, 1], isBottleneck: true, inner: 8, groups: 2, width: 8, using: &generator), classes: 4, using: &generator)
    },
    TinyNetwork(classifier: ThinResNet.self, input: [3, 16, 16]) { try ThinResNet(blocks: 1, width: 8, classes: 4, using: &$0) },
    TinyNetwork(classifier: MobileNetV2.self, input: [3, 32, 32]) { try MobileNetV2(width: 0.1, classes: 4, using: &$0) },
    TinyNetwork(classifier: MobileNetV3.self, input: [3, 32, 32]) { try MobileNetV3(.small, width: 0.25, classes: 4, using: &$0) },
    TinyNetwork(classifier: EfficientNetLite.self, input: [3, 33, 33]) { try EfficientNetLite(width: 0.1, depth: 0.5, classes: 4, using: &$0) },
    TinyNetwork(classifier: ConvNeXt.self, input: [3, 16, 16]) { try ConvNeXt(blocks: [1, 1], channels: [8, 16], classes: 4, using: &$0) },
    TinyNetwork(classifier: VisionTransformer.self, input: [3, 16, 16]) { generator in
        try VisionTransformer(side: 16, patch: 8, features: 16, layers: 2, heads: 2, classes: 4, using: &generator)
    },
    TinyNetwork(
        UNet.self, steps: 60, { try UNet(width: 4, classes: 2, using: &$0) },
        batch: { generator in
            let pictures = try Tensor.normal([2, 3, 32, 32], using: &generator)
            return [pictures, try pictures.at(0, axis: 1).isGreater(than: Tensor(Float(0))).cast(to: .int64)]
        },
        loss: { network, batch, context in try placewiseLoss(network(batch[0], in: context), batch[1]) }),
    TinyNetwork(
        DeepLabV3Plus<ResNet.Trunk>.self, steps: 60,
        { generator in
            let trunk = try ResNet.Trunk(blocks: [1, 1, 1, 1], isBottleneck: false, width: 8, keepsSixteenth: true, using: &generator)
            return try DeepLabV3Plus(trunk, width: 16, classes: 3, using: &generator)
        }, batch: plainPictures, loss: { network, batch, context in try placewiseLoss(network(batch[0], in: context), batch[1]) }),
    TinyNetwork(
        DeepLabV3Plus<MobileNetV2.Trunk>.self, variant: "over MobileNetV2", steps: 60,
        { generator in
            let trunk = try MobileNetV2.Trunk(width: 0.1, keepsSixteenth: true, using: &generator)
            return try DeepLabV3Plus(trunk, width: 16, classes: 3, using: &generator)
        }, batch: plainPictures, loss: { network, batch, context in try placewiseLoss(network(batch[0], in: context), batch[1]) }),
    TinyNetwork(
        FCOS<ResNet.Trunk>.self, steps: 60,
        { generator in
            let trunk = try ResNet.Trunk(blocks: [1, 1, 1, 1], isBottleneck: false, width: 8, using: &generator)
            return try FCOS(trunk, width: 16, groups: 4, classes: 2, using: &generator)
        }, batch: { [try .normal([1, 3, 128, 128], using: &$0)] },
        loss: { network, batch, context in
            let boxes = [LabelledBox(label: 1, left: 16, top: 24, right: 60, bottom: 64), LabelledBox(label: 0, left: 70, top: 64, right: 120, bottom: 100)]
            return try network.loss(batch[0], [boxes], in: context)
        }, isDone: { _, last in last < 1 }),
    TinyNetwork(
        TextLineCRNN.self, steps: 120, learningRate: 0.02, { try TextLineCRNN(characters: 5, width: 4, hidden: 8, using: &$0) },
        batch: { [try .normal([2, 1, 32, 40], using: &$0), try Tensor([1, 2, 3, 4, 4, 1] as [Int64], [2, 3]), try Tensor([3, 3] as [Int64])] },
        loss: { network, batch, context in try network(batch[0], in: context).logSoftmax().ctcLoss(batch[1], targetLengths: batch[2]) }),
]

private let textNetworks = [
    TinyNetwork(
        TextCNN.self, steps: 100, { try TextCNN(tokens: 20, features: 8, width: 8, classes: 4, using: &$0) },
        batch: { [try labels([4, 9], of: 20, &$0), try Tensor([0, 1, 2, 3] as [Int64])] },
        loss: { network, batch, context in try network(batch[0], in: context).softmaxCrossEntropy(batch[1]) }),
    TinyNetwork(
        BiLSTM.self, steps: 80, { try BiLSTM(tokens: 20, features: 8, hidden: 8, layers: 2, dropout: 0, classes: 4, using: &$0) },
        batch: { [try labels([4, 9], of: 20, &$0), try Tensor([9, 7, 5, 9] as [Int64]), try Tensor([0, 1, 2, 3] as [Int64])] },
        loss: { network, batch, context in try network(batch[0], lengths: batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
    TinyNetwork(
        BiLSTMCRF.self, steps: 120, learningRate: 0.05, { try BiLSTMCRF(tokens: 20, features: 8, hidden: 8, dropout: 0, tags: 3, using: &$0) },
        batch: { [try labels([4, 9], of: 20, &$0), try Tensor([9, 7, 5, 9] as [Int64]), try labels([4, 9], of: 3, &$0)] },
        loss: { network, batch, context in try network.loss(batch[0], batch[2], lengths: batch[1], in: context) }),
    TinyNetwork(
        BERT.self, { try BERT(tokens: 20, longest: 12, features: 16, layers: 2, heads: 2, dropout: 0, using: &$0) },
        batch: { [try labels([4, 9], of: 20, &$0), try Tensor([9, 7, 5, 9] as [Int64]).lengthMask(9).cast(to: .int64), try .uniform([4, 16], in: -0.9...0.9, using: &$0)] },
        loss: { network, batch, context in try network([batch[0], batch[1]], in: context)[1].meanSquaredError(batch[2]) }),
    TinyNetwork(
        GPT.self, steps: 60, { try GPT(tokens: 20, longest: 12, features: 16, layers: 2, heads: 2, dropout: 0, using: &$0) },
        batch: { [try labels([2, 9], of: 20, &$0)] },
        loss: { network, batch, context in
            let logits = try network(batch[0].sliced(1, to: 8), in: context)
            return try logits.flattened(through: 1).softmaxCrossEntropy(batch[0].sliced(1, from: 1).contiguous().flattened())
        }),
    TinyNetwork(
        RecurrentSeq2Seq.self, steps: 120, learningRate: 0.02, { try RecurrentSeq2Seq(sourceTokens: 20, targetTokens: 12, features: 8, hidden: 16, dropout: 0, using: &$0) },
        batch: { [try labels([2, 7], of: 20, &$0), try Tensor([7, 5] as [Int64]), try labels([2, 6], of: 12, &$0), try labels([2, 6], of: 12, &$0)] },
        loss: { network, batch, context in
            try network(Array(batch[..<3]), in: context)[0].flattened(through: 1).softmaxCrossEntropy(batch[3].flattened())
        }),
    TinyNetwork(
        TransformerSeq2Seq.self, { try TransformerSeq2Seq(tokens: 20, features: 16, heads: 2, inner: 32, layers: 1, dropout: 0, using: &$0) },
        batch: { [try labels([2, 7], of: 20, &$0), try Tensor([7, 5] as [Int64]).lengthMask(7).cast(to: .int64), try labels([2, 6], of: 20, &$0), try labels([2, 6], of: 20, &$0)] },
        loss: { network, batch, context in
            try network(Array(batch[..<3]), in: context)[0].flattened(through: 1).softmaxCrossEntropy(batch[3].flattened())
        }),
]

private let choiceNetworks = [
    TinyNetwork(
        WideAndDeep.self, steps: 60, { try WideAndDeep(rows: 30, fields: 3, numbers: 2, features: 4, widths: [16], using: &$0) },
        batch: clicks, loss: { network, batch, context in try network(batch[0], batch[1], in: context).binaryCrossEntropy(batch[2]) }),
    TinyNetwork(
        DeepFM.self, { try DeepFM(rows: 30, features: 4, fields: 3, numbers: 2, widths: [16], using: &$0) },
        batch: clicks, loss: { network, batch, context in try network(batch[0], batch[1], in: context).binaryCrossEntropy(batch[2]) }),
    TinyNetwork(
        DCNv2.self, { try DCNv2(rows: 30, fields: 3, numbers: 2, features: 4, crosses: 2, rank: 3, widths: [16], using: &$0) },
        batch: clicks, loss: { network, batch, context in try network(batch[0], batch[1], in: context).binaryCrossEntropy(batch[2]) }),
    TinyNetwork(
        DIN.self, steps: 60, { try DIN(items: 30, profiles: 10, fields: 2, features: 4, interestWidths: [8], widths: [16], using: &$0) },
        batch: { generator in
            [
                try labels([6], of: 30, &generator), try labels([6, 5], of: 30, &generator), try Tensor([5, 3, 1, 5, 2, 4] as [Int64]),
                try labels([6, 2], of: 10, &generator), try Tensor([0, 1, 1, 0, 1, 0] as [Float], [6, 1]),
            ]
        },
        loss: { network, batch, context in
            try network(batch[0], history: batch[1], lengths: batch[2], person: batch[3], in: context).binaryCrossEntropy(batch[4])
        }),
    TinyNetwork(
        TwoTower.self,
        { try TwoTower(personRows: 30, personFields: 2, itemRows: 30, itemFields: 1, features: 4, widths: [8], using: &$0) },
        batch: { [try labels([6, 2], of: 30, &$0), try Tensor([3, 9, 27, 1, 4, 11] as [Int64], [6, 1])] },
        loss: { network, batch, context in try network.loss(batch[0], batch[1], in: context) }),
    TinyNetwork(
        NeuralCollaborativeFiltering.self, steps: 60,
        { try NeuralCollaborativeFiltering(people: 10, items: 10, factors: 4, widths: [8, 8], using: &$0) },
        batch: { [try labels([6], of: 10, &$0), try Tensor([0, 1, 2, 3, 4, 5] as [Int64]), try Tensor([0, 1, 1, 0, 1, 0] as [Float], [6, 1])] },
        loss: { network, batch, context in try network(batch[0], batch[1], in: context).binaryCrossEntropy(batch[2]) }),
]

private let tableNetworks = [
    TinyNetwork(
        TableMLP.self, { try TableMLP(numbers: 2, rows: 30, fields: 3, features: 4, widths: [16, 16], dropout: 0, classes: 4, using: &$0) }, batch: rows,
        loss: { network, batch, context in try network(batch[0], batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
    TinyNetwork(
        TableResNet.self,
        { try TableResNet(numbers: 2, rows: 30, fields: 3, features: 4, width: 16, inner: 16, blocks: 2, dropout: 0, classes: 4, using: &$0) }, batch: rows,
        loss: { network, batch, context in try network(batch[0], batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
    TinyNetwork(
        FTTransformer.self,
        { try FTTransformer(numbers: 2, rows: 30, fields: 3, features: 16, layers: 1, heads: 2, dropout: 0, classes: 4, using: &$0) }, batch: rows,
        loss: { network, batch, context in try network(batch[0], batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
]

private let forecasters = [
    TinyNetwork(forecaster: LSTMForecaster.self, window: [12, 2], horizon: [4, 2], steps: 120) {
        try LSTMForecaster(channels: 2, hidden: 16, layers: 2, horizon: 4, using: &$0)
    },
    TinyNetwork(forecaster: TCNForecaster.self, window: [12, 2], horizon: [4, 2], steps: 60) {
        try TCNForecaster(channels: 2, width: 16, layers: 3, dropout: 0, horizon: 4, using: &$0)
    },
    TinyNetwork(forecaster: NBEATS.self, window: [12], horizon: [4], steps: 60) { generator in
        try NBEATS(
            window: 12, horizon: 4, stacks: [(.trend(degree: 2), 2, 16), (.season, 2, 16), (.generic, 1, 16)], sharesWeights: true, using: &generator)
    },
    TinyNetwork(forecaster: DLinear.self, window: [12, 2], horizon: [4, 2], steps: 300) { try DLinear(window: 12, horizon: 4, smoothing: 5, using: &$0) },
    TinyNetwork(forecaster: NLinear.self, window: [12, 2], horizon: [4, 2], steps: 300) { try NLinear(window: 12, horizon: 4, using: &$0) },
    TinyNetwork(forecaster: PatchTST.self, window: [12, 2], horizon: [4, 2], steps: 60) {
        try PatchTST(window: 12, horizon: 4, patch: 4, features: 16, layers: 1, heads: 2, inner: 32, dropout: 0, using: &$0)
    },
]

private let speechNetworks = [
    TinyNetwork(
        DeepSpeech2.self, steps: 60, { try DeepSpeech2(frequencies: 20, channels: 4, hidden: 8, layers: 1, characters: 5, using: &$0) },
        batch: { [try .normal([2, 24, 20], using: &$0), try Tensor([1, 2, 3, 4, 4, 1] as [Int64], [2, 3]), try Tensor([3, 3] as [Int64])] },
        loss: { network, batch, context in try network(batch[0], in: context).logSoftmax().ctcLoss(batch[1], targetLengths: batch[2]) }),
    TinyNetwork(
        Conformer.self, steps: 60, { try Conformer(bands: 12, features: 16, layers: 1, heads: 2, kernel: 5, dropout: 0, characters: 5, using: &$0) },
        batch: { [try .normal([2, 40, 12], using: &$0), try Tensor([1, 2, 3, 4, 4, 1] as [Int64], [2, 3]), try Tensor([3, 3] as [Int64])] },
        loss: { network, batch, context in try network(batch[0], in: context).logSoftmax().ctcLoss(batch[1], targetLengths: batch[2]) }),
    TinyNetwork(classifier: KeywordCRNN.self, input: [40, 10]) {
        try KeywordCRNN(steps: 40, bands: 10, channels: 4, width: 8, inner: 16, dropout: 0, classes: 4, using: &$0)
    },
]

private let otherNetworks = [
    TinyNetwork(
        Autoencoder.self, steps: 120, { try Autoencoder(widths: [8, 16, 6], using: &$0) }, batch: { [try .normal([4, 8], using: &$0)] },
        loss: { network, batch, context in try network(batch[0], in: context).meanSquaredError(batch[0]) }),
    TinyNetwork(
        VariationalAutoencoder.self, steps: 60, { try VariationalAutoencoder(widths: [8, 16], code: 2, using: &$0) },
        batch: { [try .uniform([4, 8], using: &$0), try .normal([4, 2], using: &$0)] },
        // The code has to cost something: what four things need to be told apart, and how certain each number is.
        loss: { network, batch, context in try network.loss(batch[0].isGreater(than: Tensor(Float(0.5))).cast(to: .float32), noise: batch[1], in: context) },
        isDone: { first, last in last < 0.75 * first }),
    TinyNetwork(
        DCGANGenerator.self, { try DCGANGenerator(noise: 4, width: 4, using: &$0) },
        batch: { [try .normal([2, 4], using: &$0), try .full(0.5, [2, 3, 64, 64])] },
        loss: { network, batch, context in try network(batch[0], in: context).meanSquaredError(batch[1]) }),
    TinyNetwork(
        DCGANDiscriminator.self, { try DCGANDiscriminator(width: 4, using: &$0) },
        batch: { [try .normal([4, 3, 64, 64], using: &$0), try Tensor([0, 1, 0, 1] as [Float], [4, 1])] },
        loss: { network, batch, context in try network(batch[0], in: context).binaryCrossEntropy(batch[1]) }),
    TinyNetwork(
        GCN.self, steps: 120, { try GCN(features: 8, hidden: 16, dropout: 0, classes: 3, using: &$0) }, batch: graph,
        loss: { network, batch, context in try network(batch[0], links: batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
    TinyNetwork(
        GraphSAGE.self, { try GraphSAGE(widths: [8, 16, 3], dropout: 0, using: &$0) }, batch: graph,
        loss: { network, batch, context in try network(batch[0], links: batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
    TinyNetwork(
        GAT.self, steps: 60, { try GAT(features: 8, heads: 2, width: 8, dropout: 0, classes: 3, using: &$0) }, batch: graph,
        loss: { network, batch, context in try network(batch[0], links: batch[1], in: context).softmaxCrossEntropy(batch[2]) }),
]

let tinyNetworks = pictureNetworks + textNetworks + choiceNetworks + tableNetworks + forecasters + speechNetworks + otherNetworks

/// Numbers from 0 up to `count`.
private func labels(_ shape: Shape, of count: Int, _ generator: inout Philox) throws -> Tensor {
    try Tensor.uniform(shape, in: 0...Float(count), using: &generator).cast(to: .int64)
}

/// Of logits `[batch, classes, h, w]` and labels `[batch, h, w]`.
private func placewiseLoss(_ logits: Tensor, _ labels: Tensor) throws -> Tensor {
    try logits.permuted([0, 2, 3, 1]).flattened(through: 2).softmaxCrossEntropy(labels.flattened())
}

/// Three pictures, each of one class, which the batch's statistics let be told.
private func plainPictures(_ generator: inout Philox) throws -> [Tensor] {
    [try .normal([3, 3, 32, 32], using: &generator), try Tensor((0..<3).flatMap { [Int64](repeating: $0, count: 1024) }, [3, 32, 32])]
}

/// Six rows of three categories and two numbers, and whether each was chosen.
private func clicks(_ generator: inout Philox) throws -> [Tensor] {
    [try labels([6, 3], of: 30, &generator), try .normal([6, 2], using: &generator), try Tensor([0, 1, 1, 0, 1, 0] as [Float], [6, 1])]
}

/// Four rows of two numbers and three categories, a class each.
private func rows(_ generator: inout Philox) throws -> [Tensor] {
    [try .normal([4, 2], using: &generator), try labels([4, 3], of: 30, &generator), try Tensor([0, 1, 2, 3] as [Int64])]
}

/// Six nodes of three classes: two lines of three, each node linked to itself.
private func graph(_ generator: inout Philox) throws -> [Tensor] {
    var links = [Float](repeating: 0, count: 36)
    for (a, b) in [(0, 1), (1, 2), (3, 4), (4, 5)] { (links[6 * a + b], links[6 * b + a]) = (1, 1) }
    for node in 0..<6 { links[7 * node] = 1 }
    return [try .normal([6, 8], using: &generator), try Tensor(links, [6, 6]), try Tensor([0, 1, 2, 2, 1, 0] as [Int64])]
}

@Test func everyTypeIsTrainedInATest() {
    #expect(Set(tinyNetworks.map(\.type)) == Set(NamedNetwork.all.map(\.type)))
}

/// A tenth of the first loss, where nothing else is said, is far below what a network reaches that only learns how often each class occurs.
@Test(arguments: tinyNetworks)
func eachTypeLearnsABatchByHeart(_ tiny: TinyNetwork) throws {
    let (first, last) = try tiny.losses()
    #expect(tiny.isDone(first, last), "\(first) to \(last)")
}
