public import Keel
public import KeelNN

/// A reader of text lines in pictures: Shi, Bai and Yao, *An End-to-End Trainable Neural Network for Image-based Sequence Recognition*, 2017. Convolutions
/// make a sequence of columns of the picture, two bidirectional recurrent layers read it, and connectionist temporal classification aligns it with the text.
///
/// Grey lines `[batch, 1, 32, width]` → logits `[batch, ⌊width / 4⌋ - 1, characters]`, of which number 0 is the blank.
public struct TextLineCRNN: Layer, Network {
    public var convs: [Conv2D]
    public var norms: [BatchNorm]
    public var first, second: LSTM
    public var between, head: Linear

    /// - Parameters:
    ///   - characters: how many there are, with the blank.
    ///   - width: the channels of the first convolution; the last have eight times as many.
    public init(characters: Int, width: Int = 64, hidden: Int = 256, using generator: inout Philox) throws(TensorError) {
        convs = []
        var from = 1
        for (place, factor) in [1, 2, 4, 4, 8, 8].enumerated() {
            convs.append(try Conv2D(from, factor * width, kernel: 3, padding: 1, using: &generator))
            from = factor * width
            if place == 5 { convs.append(try Conv2D(from, from, kernel: 2, using: &generator)) }
        }
        norms = [try BatchNorm(from, rectifier: .relu), try BatchNorm(from, rectifier: .relu)]
        first = try LSTM(from, hidden, isBidirectional: true, using: &generator)
        between = try Linear(2 * hidden, hidden, using: &generator)
        second = try LSTM(hidden, hidden, isBidirectional: true, using: &generator)
        head = try Linear(2 * hidden, characters, using: &generator)
    }

    public func callAsFunction(_ lines: Tensor, in context: Context) throws(TensorError) -> Tensor {
        // Halves the height alone: a line is long, and each of its columns may be a letter.
        let flat = Sliding(stride: (2, 1), padding: (0, 0, 0, 0))
        var x = try convs[0](lines, in: context).relu().maxPool2D(2)                             // [batch, 64, 16, width/2]
        x = try convs[1](x, in: context).relu().maxPool2D(2)                                     // [batch, 128, 8, width/4]
        x = try convs[3](convs[2](x, in: context).relu(), in: context).relu()                    // [batch, 256, 8, width/4]
        x = try x.maxPool2D(kernel: (2, 1), sliding: flat)                                       // [batch, 256, 4, width/4]
        x = try norms[0](convs[4](x, in: context), in: context)
        x = try norms[1](convs[5](x, in: context), in: context)                                  // [batch, 512, 4, width/4]
        x = try convs[6](x.maxPool2D(kernel: (2, 1), sliding: flat), in: context).relu()         // [batch, 512, 1, width/4 - 1]
        x = try x.withoutAxis(2).transposed()                                                    // [batch, width/4 - 1, 512]
        x = try second(between(first(x, in: context), in: context), in: context)
        return try head(x, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in convs.indices { try convs[place].forEachState(body, under: "convs.\(place)") }
        for place in norms.indices { try norms[place].forEachState(body, under: "norms.\(place)") }
        try first.forEachState(body, under: "first")
        try between.forEachState(body, under: "between")
        try second.forEachState(body, under: "second")
        try head.forEachState(body, under: "head")
    }
}

extension TextLineCRNN {
    static let named = [
        named("text-line-crnn", 37, 64, 256, 8_330_789, .rounded(8.3e6, to: 0.1e6, "the paper, section 3.4")),
        named("text-line-crnn-small", 97, 16, 128, 934_049),
    ]

    private static func named(
        _ name: String, _ characters: Int, _ width: Int, _ hidden: Int, _ parameters: Int, _ published: NamedNetwork.Count? = nil
    ) -> NamedNetwork {
        NamedNetwork(
            name, .pictures, TextLineCRNN.self, paper: "Shi et al., An End-to-End Trainable Neural Network for Image-based Sequence Recognition, 2017",
            parameters: parameters, published: published, inputs: [NetworkPort("lines", ["batch", 1, 32, "width"])],
            outputs: [NetworkPort("logits", ["batch", NetworkSize(.symbol("width").divided(by: 4) - Dimension(1)), NetworkSize(characters)])], classes: characters
        ) { (classes, generator) throws(TensorError) in try TextLineCRNN(characters: classes, width: width, hidden: hidden, using: &generator) }
    }
}
