public import Keel

/// How `Program.quantised` makes the layers of a program smaller and faster: weights become bytes, each row of them (a channel of the output) with a
/// scale of its own and zero in the middle.
public struct Quantisation: Sendable, Hashable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// Convolutions, fully connected and recurrent layers multiply bytes. The range of what each reads is known beforehand, from samples.
        case `static`
        /// Fully connected and recurrent layers multiply bytes. The range of what each reads is looked at in each run; no samples are needed.
        case dynamic
        /// Weights of fully connected layers and tables lie as bytes, and are multiplied as floats.
        case weights
    }

    /// What of a layer's inputs in the samples becomes its range.
    public enum Calibration: String, Sendable, Codable, CaseIterable {
        /// The least and the largest number.
        case minMax = "minmax"
        /// The range that loses least information, by the Kullback-Leibler divergence; what lies beyond is clipped.
        ///
        /// - Source: Migacz, *8-bit Inference with TensorRT*, GTC 2017.
        case entropy
    }

    public var kind: Kind
    public var calibration: Calibration
    /// How much of the score may be lost: 0.01 is a point of a hundred.
    public var greatestLoss: Double

    public init(_ kind: Kind = .static, calibration: Calibration = .minMax, greatestLoss: Double = 0.01) {
        (self.kind, self.calibration, self.greatestLoss) = (kind, calibration, greatestLoss)
    }
}

extension Program {
    /// The same function, optimised, with layers that multiply bytes.
    ///
    /// Where a score is given and the program loses more of it than it may, layers become floats again, those first whose own results suffer most (by
    /// the signal to noise ratio of each, measured on the samples, or of its weights where there are none): 1, 2, 4 and so on until the score holds, and
    /// then as few as hold by bisection. So the score is asked for twice the logarithm of the number of layers, and three times more, at most.
    ///
    /// ```swift
    /// let (small, report) = try program.quantised(calibratedBy: samples) { program in try accuracy(of: program) }
    /// print(report)
    /// ```
    ///
    /// ONNX has no recurrent layer of bytes: written to a file, its state is multiplied by floats, which rounds less than what the report measured.
    ///
    /// - Parameters:
    ///   - samples: inputs of runs, as the program will be given; some hundred are enough. They are gone through a few times, one after another, and memory is
    ///     taken for one at a time.
    ///   - score: how good a program is, the larger the better; NaN is worse than all else.
    /// - Throws: `TensorError.argument` for static quantisation without samples, for numbers in them that aren't finite, and for a program with state; what runs and
    ///   `score` throw.
    public func quantised(
        _ options: Quantisation = Quantisation(), calibratedBy samples: some Collection<[Tensor]> = [[Tensor]](), score: ((Program) throws -> Double)? = nil
    ) throws -> (program: Program, report: QuantisationReport) {
        func refuse(_ name: String, _ given: String, _ allowed: String) -> TensorError {
            TensorError(.argument(primitive: "quantised", name: name, given: given, allowed: allowed))
        }
        guard graph.states.isEmpty else { throw refuse("program", "\(graph.states.count) tensors of state", "a program without state") }
        guard options.kind != .static || !samples.isEmpty else { throw refuse("samples", "none", "1 and more: static quantisation needs them") }
        let whole = try optimised()
        var layers = try ByteLayer.all(in: whole.graph, options.kind)
        if options.kind == .static {
            let ranges = try whole.ranges(of: layers.map(\.input), options.calibration, on: samples)
            for place in layers.indices { layers[place].range = ranges[layers[place].input] ?? 0...0 }
        }
        try whole.measureNoise(of: &layers, on: samples.prefix(ByteLayer.measuredSamples))

        let worstFirst = layers.indices.sorted { (layers[$0].signalToNoise, $0) < (layers[$1].signalToNoise, $1) }
        func program(floats count: Int) throws -> Program {
            let floats = Set(worstFirst.prefix(count))
            return try whole.rewritten(layers.indices.filter { !floats.contains($0) }.map { layers[$0] })
        }
        var (quantised, floats, scores) = (try program(floats: 0), 0, QuantisationReport.Scores?.none)
        if let score {
            let before = try score(whole)
            var evaluations = 1
            let found = try Fallback.fewest(of: layers.count) { count in
                let tried = try program(floats: count), after = try score(tried)
                evaluations += 1
                return before - after <= options.greatestLoss ? (tried, after) : nil
            }
            (quantised, floats) = (found?.result.0 ?? whole, found?.count ?? layers.count)
            scores = QuantisationReport.Scores(before: before, after: found?.result.1 ?? before, greatestLoss: options.greatestLoss, evaluations: evaluations)
        }
        let fallen = Set(worstFirst.prefix(floats)), graph = whole.graph
        let rows = layers.enumerated().map { QuantisationReport.Layer($1, in: graph, fellBack: fallen.contains($0)) }
        let report = QuantisationReport(
            options, rows + QuantisationReport.Layer.others(in: graph, beside: layers), bytes: .init(before: whole.constantBytes, after: quantised.constantBytes),
            milliseconds: try samples.first.map { try QuantisationReport.milliseconds(of: whole, and: quantised, on: $0) }, scores: scores)
        return (quantised, report)
    }

    fileprivate var constantBytes: Int { graph.constants.values.reduce(0) { $0 + $1.count * $1.dtype.width } }
}

/// How many of the worst layers have to be what they were.
package enum Fallback {
    /// The least count for which the trial succeeds, if what succeeds with some also does with more: tried are 0, 1, 2, 4 and so on, then by bisection.
    ///
    /// - Returns: nil where only all of them would do, which isn't tried.
    package static func fewest<Result>(of layers: Int, _ trial: (Int) throws -> Result?) rethrows -> (count: Int, result: Result)? {
        guard layers > 0 else { return try trial(0).map { (0, $0) } }
        if let result = try trial(0) { return (0, result) }
        var failing = 0, found: (count: Int, result: Result)?, next = 1
        while next < layers, found == nil {
            if let result = try trial(next) { found = (next, result) } else { failing = next }
            next *= 2
        }
        while failing + 1 < found?.count ?? layers {
            let middle = (failing + (found?.count ?? layers)) / 2
            if let result = try trial(middle) { found = (middle, result) } else { failing = middle }
        }
        return found
    }
}
