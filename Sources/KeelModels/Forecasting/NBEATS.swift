public import Keel
public import KeelNN

#if canImport(Glibc)
import Glibc
#endif

/// N-BEATS: Oreshkin, Carpov, Chapados and Bengio, *N-BEATS: Neural basis expansion analysis for interpretable time series forecasting*, 2020. Each
/// block explains a part of the window, which the blocks after it don't see any more, and says what that part means for the future; the forecast is the sum.
///
/// `[batch, window]` → `[batch, horizon]`.
public struct NBEATS: Layer, Network {
    public var blocks: [Block]
    /// Which block comes when: a stack may come back to its one block.
    let order: [Int]

    /// What a block's numbers stand for.
    public enum Basis: Sendable, Hashable {
        /// Whatever is learned.
        case generic
        /// A polynomial of time, of this degree.
        case trend(degree: Int)
        /// Sines and cosines, from one turn in the window or horizon on.
        case season
    }

    /// Four linear maps with ReLU, then the coefficients of what the window was and of what comes.
    public struct Block: Module {
        public var hidden: [Linear]
        public var past, future: Linear
        /// `[coefficients, steps]`; nil where the maps give the steps themselves.
        let pastBasis, futureBasis: Tensor?

        init(_ basis: Basis, window: Int, horizon: Int, width: Int, using generator: inout Philox) throws(TensorError) {
            hidden = []
            for layer in 0..<4 { hidden.append(try Linear(layer == 0 ? window : width, width, using: &generator)) }
            (pastBasis, futureBasis) = (try basis.table(window, of: horizon), try basis.table(horizon, of: horizon))
            past = try Linear(width, pastBasis?.shape.size(0) ?? window, hasBias: basis == .generic, using: &generator)
            future = try Linear(width, futureBasis?.shape.size(0) ?? horizon, hasBias: basis == .generic, using: &generator)
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> (past: Tensor, future: Tensor) {
            var y = x
            for layer in hidden { y = try layer(y, in: context).relu() }
            let (was, comes) = (try past(y, in: context), try future(y, in: context))
            return (try pastBasis.map { basis throws(TensorError) in try was.matmul(basis) } ?? was,
                try futureBasis.map { basis throws(TensorError) in try comes.matmul(basis) } ?? comes)
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            for place in hidden.indices { try hidden[place].forEachState(body, under: "hidden.\(place)") }
            try past.forEachState(body, under: "past")
            try future.forEachState(body, under: "future")
        }
    }

    /// - Parameters:
    ///   - stacks: the kinds of blocks, in their order.
    ///   - blocks: how many times each comes.
    ///   - sharesWeights: whether it is the same block each time.
    public init(
        window: Int, horizon: Int, stacks: [(basis: Basis, blocks: Int, width: Int)], sharesWeights: Bool, using generator: inout Philox
    ) throws(TensorError) {
        var made: [Block] = [], order: [Int] = []
        for stack in stacks {
            for block in 0..<stack.blocks {
                if block == 0 || !sharesWeights {
                    made.append(try Block(stack.basis, window: window, horizon: horizon, width: stack.width, using: &generator))
                }
                order.append(made.count - 1)
            }
        }
        (blocks, self.order) = (made, order)
    }

    public func callAsFunction(_ window: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var rest = window, forecast: Tensor?
        for place in order {
            let part = try blocks[place](rest, in: context)
            rest = try rest - part.past
            forecast = try forecast.map { sum throws(TensorError) in try sum + part.future } ?? part.future
        }
        guard let forecast else { throw TensorError(.argument(primitive: "NBEATS", name: "stacks", given: "none", allowed: "one at least")) }
        return forecast
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
    }
}

extension NBEATS.Basis {
    /// `[coefficients, steps]`, nil for what is learned; a season of `horizon` steps has `horizon / 2 - 1` harmonics.
    func table(_ steps: Int, of horizon: Int) throws(TensorError) -> Tensor? {
        let times = (0..<steps).map { Double($0) / Double(steps) }
        switch self {
        case .generic: return nil
        case .trend(let degree): return try Tensor((0...degree).flatMap { power in times.map { Float(pow($0, Double(power))) } }, [degree + 1, steps])
        case .season:
            let turns = Array(0...max(horizon / 2 - 1, 0)).map { 2 * Double.pi * Double($0) }
            let waves = turns.map { turn in times.map { Float(cos(turn * $0)) } } + turns.map { turn in times.map { Float(sin(turn * $0)) } }
            return try Tensor(waves.flatMap { $0 }, [waves.count, steps])
        }
    }
}

extension NBEATS {
    static let named = [
        named("n-beats-generic", [(.generic, 30, 512)], sharesWeights: false), named("n-beats-generic-small", [(.generic, 6, 128)], sharesWeights: false),
        named("n-beats-interpretable", [(.trend(degree: 2), 3, 256), (.season, 3, 2048)], sharesWeights: true),
    ]

    private static func named(_ name: String, _ stacks: [(basis: Basis, blocks: Int, width: Int)], sharesWeights: Bool) -> NamedNetwork {
        let parameters = stacks.reduce(0) { sum, stack in
            let coefficients = switch stack.basis {
            case .generic: denseParameters([stack.width, 90]) + denseParameters([stack.width, 18])
            case .trend(let degree): 2 * stack.width * (degree + 1)
            case .season: 2 * stack.width * 18
            }
            return sum + (sharesWeights ? 1 : stack.blocks) * (denseParameters([90, stack.width, stack.width, stack.width, stack.width]) + coefficients)
        }
        return NamedNetwork(
            name, .forecasting, NBEATS.self, paper: "Oreshkin et al., N-BEATS, 2020", parameters: parameters,
            inputs: [NetworkPort("window", ["batch", 90])], outputs: [NetworkPort("forecast", ["batch", 18])]
        ) { generator throws(TensorError) in try NBEATS(window: 90, horizon: 18, stacks: stacks, sharesWeights: sharesWeights, using: &generator) }
    }
}
