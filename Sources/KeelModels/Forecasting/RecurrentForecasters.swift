public import Keel
public import KeelNN

/// What comes next, from what long short-term memory has of the last steps: Hochreiter and Schmidhuber, *Long Short-Term Memory*, 1997.
///
/// `[batch, time, channels]` → `[batch, horizon, channels]`; the window of times is as long as one likes.
public struct LSTMForecaster: Layer, Network {
    public var lstm: LSTM
    public var head: Linear
    let horizon, channels: Int

    public init(channels: Int, hidden: Int, layers: Int, horizon: Int, using generator: inout Philox) throws(TensorError) {
        lstm = try LSTM(channels, hidden, layers: layers, using: &generator)
        head = try Linear(hidden, horizon * channels, using: &generator)
        (self.horizon, self.channels) = (horizon, channels)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let last = try lstm(x, in: context).at(-1, axis: 1)                                     // [batch, hidden]
        return try head(last, in: context).reshaped(Shape(x.shape[0], Dimension(horizon), Dimension(channels)))
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
    }
}

/// What comes next, from convolutions that look back twice as far from layer to layer: Bai, Kolter and Koltun, *An Empirical Evaluation of Generic
/// Convolutional and Recurrent Networks for Sequence Modeling*, 2018.
///
/// `[batch, time, channels]` → `[batch, horizon, channels]`; the window of times is as long as one likes.
public struct TCNForecaster: Layer, Network {
    public var blocks: [Block]
    public var head: Linear
    let horizon, channels: Int

    /// Two causal convolutions with ReLU and dropout, beside the input.
    public struct Block: Layer {
        public var first, second: TemporalConv
        /// Missing where the width stays.
        public var shortcut: Linear?
        let dropout: Double

        init(_ inFeatures: Int, _ outFeatures: Int, taps: Int, dilation: Int, dropout: Double, using generator: inout Philox) throws(TensorError) {
            first = try TemporalConv(inFeatures, outFeatures, kernel: taps, padding: .causal, dilation: dilation, using: &generator)
            second = try TemporalConv(outFeatures, outFeatures, kernel: taps, padding: .causal, dilation: dilation, using: &generator)
            shortcut = inFeatures == outFeatures ? nil : try Linear(inFeatures, outFeatures, using: &generator)
            self.dropout = dropout
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            var y = try context.dropped(first(x, in: context).relu(), rate: dropout)
            y = try context.dropped(second(y, in: context).relu(), rate: dropout)
            return try (y + (shortcut?(x, in: context) ?? x)).relu()
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try first.forEachState(body, under: "first")
            try second.forEachState(body, under: "second")
            try shortcut?.forEachState(body, under: "shortcut")
        }
    }

    /// - Parameters:
    ///   - taps: how many steps a convolution reads.
    ///   - layers: how many blocks; the last one's convolutions look `2^(layers - 1)` steps apart.
    public init(
        channels: Int, width: Int, taps: Int = 3, layers: Int, dropout: Double = 0.1, horizon: Int, using generator: inout Philox
    ) throws(TensorError) {
        blocks = []
        for layer in 0..<layers {
            blocks.append(
                try Block(layer == 0 ? channels : width, width, taps: taps, dilation: 1 << layer, dropout: dropout, using: &generator))
        }
        head = try Linear(width, horizon * channels, using: &generator)
        (self.horizon, self.channels) = (horizon, channels)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var y = x
        for block in blocks { y = try block(y, in: context) }                                   // [batch, time, width]
        return try head(y.at(-1, axis: 1), in: context).reshaped(Shape(x.shape[0], Dimension(horizon), Dimension(channels)))
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        try head.forEachState(body, under: "head")
    }
}

extension LSTMForecaster {
    static let named = [named("lstm-forecaster-64", 64, 1), named("lstm-forecaster-256x2", 256, 2)]

    private static func named(_ name: String, _ hidden: Int, _ layers: Int) -> NamedNetwork {
        NamedNetwork(
            name, .forecasting, LSTMForecaster.self, paper: "Hochreiter and Schmidhuber, Long Short-Term Memory, 1997",
            parameters: 4 * hidden * (7 + hidden + 2) + (layers - 1) * 4 * hidden * (2 * hidden + 2) + 24 * 7 * (hidden + 1),
            inputs: [NetworkPort("window", ["batch", "time", 7])], outputs: [NetworkPort("forecast", ["batch", 24, 7])]
        ) { generator throws(TensorError) in try LSTMForecaster(channels: 7, hidden: hidden, layers: layers, horizon: 24, using: &generator) }
    }
}

extension TCNForecaster {
    static let named = [named("tcn-forecaster-32", 32, 5), named("tcn-forecaster-64", 64, 6)]

    private static func named(_ name: String, _ width: Int, _ layers: Int) -> NamedNetwork {
        let first = (3 * 7 + 1) * width + 8 * width, convolutions = (2 * layers - 1) * (3 * width + 1) * width
        return NamedNetwork(
            name, .forecasting, TCNForecaster.self, paper: "Bai et al., An Empirical Evaluation of Generic Convolutional and Recurrent Networks, 2018",
            parameters: first + convolutions + 24 * 7 * (width + 1), inputs: [NetworkPort("window", ["batch", "time", 7])],
            outputs: [NetworkPort("forecast", ["batch", 24, 7])]
        ) { generator throws(TensorError) in try TCNForecaster(channels: 7, width: width, layers: layers, horizon: 24, using: &generator) }
    }
}
