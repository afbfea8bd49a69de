internal import Keel

/// What quantisation did to a program: layer by layer, and to its size, its time and its score.
public struct QuantisationReport: Codable, Sendable, CustomStringConvertible {
    public struct Layer: Codable, Sendable, Equatable {
        /// The place of its node in the optimised program, from 0.
        public let place: Int
        public let primitive: String
        /// Of its largest weight.
        public let shape: [Int]
        public let isQuantised: Bool
        /// Why it isn't; empty where it is.
        public let reason: String
        /// Of its own result, in decibels: 20 more is a tenth of the error. Nil where it has no form of bytes.
        public let signalToNoise: Double?
        /// Bytes of its weights.
        public let bytes: Change<Int>
    }

    public struct Change<Value: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
        public let before, after: Value
    }

    public struct Scores: Codable, Sendable, Equatable {
        public let before, after: Double
        /// How much was allowed to be lost.
        public let greatestLoss: Double
        /// How often a program's score was asked for.
        public let evaluations: Int
    }

    public let kind: Quantisation.Kind
    /// Of static quantisation.
    public let calibration: Quantisation.Calibration?
    /// In the program's order.
    public let layers: [Layer]
    /// Of all constants.
    public let bytes: Change<Int>
    /// Milliseconds of a run on the first sample: the median of several. Nil without samples.
    public let milliseconds: Change<Double>?
    /// Nil where no score was given.
    public let scores: Scores?

    /// Layers that can multiply bytes and don't, because too much of the score would be lost.
    public var fallenBack: [Layer] { layers.filter { !$0.isQuantised && $0.signalToNoise != nil } }

    public var description: String {
        var table = TextTable(["layer", "weights", "form", "signal to noise", "bytes before", "after"])
        for layer in layers {
            table.add([
                "\(layer.place) \(layer.primitive)", layer.shape.map(String.init).joined(separator: "x"), layer.isQuantised ? "int8" : "float32: \(layer.reason)",
                layer.signalToNoise.map { "\(fixed($0, 1)) dB" } ?? "", "\(layer.bytes.before)", "\(layer.bytes.after)",
            ])
        }
        var sums = TextTable([calibration.map { "\(kind.rawValue), \($0.rawValue)" } ?? kind.rawValue, "before", "after", "ratio"])
        sums.add(["weights and other constants, bytes", "\(bytes.before)", "\(bytes.after)", Self.ratio(Double(bytes.before), Double(bytes.after))])
        if let milliseconds {
            sums.add(["run, ms", fixed(milliseconds.before, 3), fixed(milliseconds.after, 3), Self.ratio(milliseconds.before, milliseconds.after)])
        }
        if let scores { sums.add(["score", fixed(scores.before, 4), fixed(scores.after, 4), "loses \(fixed(scores.before - scores.after, 4))"]) }
        return "\(table)\n\n\(sums)"
    }

    private static func ratio(_ before: Double, _ after: Double) -> String { after > 0 ? fixed(before / after, 2) : "" }
}

extension QuantisationReport {
    init(
        _ options: Quantisation, _ layers: [Layer], bytes: Change<Int>, milliseconds: Change<Double>?, scores: Scores?
    ) {
        kind = options.kind
        calibration = options.kind == .static ? options.calibration : nil
        self.layers = layers.sorted { $0.place < $1.place }
        (self.bytes, self.milliseconds, self.scores) = (bytes, milliseconds, scores)
    }

    /// Milliseconds of a run of each, in turn, after one that warms up: the medians of nine.
    static func milliseconds(of before: Program, and after: Program, on sample: [Tensor]) throws -> Change<Double> {
        func time(_ program: Program) throws -> Double {
            let start = ContinuousClock.now
            _ = try program.run(sample)
            return (ContinuousClock.now - start) / .milliseconds(1)
        }
        _ = (try time(before), try time(after))
        let times = try (0..<9).map { _ in (try time(before), try time(after)) }
        return Change(before: times.map(\.0).sorted()[4], after: times.map(\.1).sorted()[4])
    }
}

extension QuantisationReport.Layer {
    init(_ layer: ByteLayer, in graph: Graph, fellBack: Bool) {
        let before = layer.weights.keys.reduce(0) { $0 + graph.bytes(of: layer.node.inputs[$1]) }
        self.init(
            layer.place, layer.node, graph, reason: fellBack ? "the score" : "", signalToNoise: layer.signalToNoise,
            .init(before: before, after: fellBack ? before : layer.weights.values.reduce(0) { $0 + $1.size }))
    }

    /// Layers with weights that have no form of bytes.
    static func others(in graph: Graph, beside layers: [ByteLayer]) -> [Self] {
        let known = Set(layers.map(\.place))
        return graph.nodes.enumerated().compactMap { place, node in
            let weights = node.inputs.filter { graph.constants[$0]?.dtype == .float32 && graph.specs[$0].shape.rank >= 2 }
            let bytes = weights.reduce(0) { $0 + graph.bytes(of: $1) }
            guard !known.contains(place), bytes >= 1024 else { return nil }
            return Self(place, node, graph, reason: "no form of bytes", signalToNoise: nil, .init(before: bytes, after: bytes))
        }
    }

    private init(
        _ place: Int, _ node: Graph.Node, _ graph: Graph, reason: String, signalToNoise: Double?, _ bytes: QuantisationReport.Change<Int>
    ) {
        let largest = node.inputs.filter { graph.constants[$0] != nil }.max { graph.bytes(of: $0) < graph.bytes(of: $1) }
        self.init(
            place: place, primitive: type(of: node.primitive).name, shape: largest.flatMap { graph.specs[$0].shape.sizes } ?? [], isQuantised: reason.isEmpty,
            reason: reason, signalToNoise: signalToNoise, bytes: bytes)
    }
}

extension Graph {
    /// Of a constant.
    fileprivate func bytes(of value: Value) -> Int { constants[value].map { $0.count * $0.dtype.width } ?? 0 }
}
