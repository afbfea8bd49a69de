public import Keel
public import KeelNN

/// A linear map of the window's trend and one of the rest: Zeng, Chen, Zhang and Xu, *Are Transformers Effective for Time Series Forecasting?*, 2023.
///
/// `[batch, window, channels]` → `[batch, horizon, channels]`; all channels alike.
public struct DLinear: Layer, Network {
    public var trend, rest: Linear
    let smoothing: Int

    /// - Parameter smoothing: over how many steps the trend is the mean; odd.
    public init(window: Int, horizon: Int, smoothing: Int = 25, using generator: inout Philox) throws(TensorError) {
        guard smoothing >= 1, smoothing % 2 == 1 else {
            throw TensorError(.argument(primitive: "DLinear", name: "smoothing", given: "\(smoothing)", allowed: "an odd number from 1 up"))
        }
        trend = try Linear(window, horizon, using: &generator)
        rest = try Linear(window, horizon, using: &generator)
        self.smoothing = smoothing
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let series = try x.transposed(), half = smoothing / 2                                     // [batch, channels, window]
        let slow = try series.padded([(0, 0), (0, 0), (half, half)], .edge).averagePool1D(smoothing, stride: 1)
        return try (trend(slow, in: context) + rest(series - slow, in: context)).transposed()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trend.forEachState(body, under: "trend")
        try rest.forEachState(body, under: "rest")
    }
}

/// A linear map of how far the window's steps are from its last one: the same paper's NLinear.
///
/// `[batch, window, channels]` → `[batch, horizon, channels]`; all channels alike.
public struct NLinear: Layer, Network {
    public var map: Linear

    public init(window: Int, horizon: Int, using generator: inout Philox) throws(TensorError) { map = try Linear(window, horizon, using: &generator) }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let series = try x.transposed(), last = try series.sliced(2, from: -1)                    // [batch, channels, window]
        return try (map(series - last, in: context) + last).transposed()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try map.forEachState(body, under: "map") }
}

extension DLinear {
    static let named = [named("dlinear-96", 96), named("dlinear-336", 336)]

    private static func named(_ name: String, _ window: Int) -> NamedNetwork {
        NamedNetwork(
            name, .forecasting, DLinear.self, paper: "Zeng et al., Are Transformers Effective for Time Series Forecasting?, 2023",
            parameters: 2 * denseParameters([window, 96]), inputs: [NetworkPort("window", ["batch", NetworkSize(window), 7])],
            outputs: [NetworkPort("forecast", ["batch", 96, 7])]
        ) { generator throws(TensorError) in try DLinear(window: window, horizon: 96, using: &generator) }
    }
}

extension NLinear {
    static let named = [
        NamedNetwork(
            "nlinear-96", .forecasting, NLinear.self, paper: "Zeng et al., Are Transformers Effective for Time Series Forecasting?, 2023",
            parameters: denseParameters([96, 96]), inputs: [NetworkPort("window", ["batch", 96, 7])], outputs: [NetworkPort("forecast", ["batch", 96, 7])]
        ) { generator throws(TensorError) in try NLinear(window: 96, horizon: 96, using: &generator) }
    ]
}
