package import Keel

extension Program {
    /// The range of each of these values over runs on the samples; it holds zero.
    ///
    /// - Throws: `TensorError.argument` for a number that isn't finite; as `run`.
    package func ranges(
        of values: [Graph.Value], _ calibration: Quantisation.Calibration, on samples: some Collection<[Tensor]>
    ) throws -> [Graph.Value: ClosedRange<Float>] {
        guard !values.isEmpty else { return [:] }
        let values = Array(Set(values)).sorted(), watched = try watching(values)
        var ranges = [ClosedRange<Float>](repeating: 0...0, count: values.count)
        for sample in samples {
            for (place, tensor) in try watched.run(sample).enumerated() where tensor.count > 0 {
                let (least, most) = (try tensor.min().item(), try tensor.max().item())
                guard least.isFinite, most.isFinite else {
                    throw TensorError(.argument(primitive: "quantised", name: "samples", given: "numbers that lead to \(least) and \(most)", allowed: "such as lead to finite ones"))
                }
                ranges[place] = min(ranges[place].lowerBound, least)...max(ranges[place].upperBound, most)
            }
        }
        if calibration == .entropy {
            var histograms = ranges.map(MagnitudeHistogram.init)
            for sample in samples {
                for (place, tensor) in try watched.run(sample).enumerated() { try histograms[place].add(tensor) }
            }
            ranges = histograms.map(\.bestRange)
        }
        return Dictionary(uniqueKeysWithValues: zip(values, ranges))
    }

    /// A program of the same inputs that gives these values.
    func watching(_ values: [Graph.Value]) throws -> Program {
        var graph = graph
        graph.outputs = values.map { Graph.Port(name: "\($0)", value: $0) }
        _ = try Pass.deadCode.rewrite(&graph)
        return try Program(graph)
    }
}

/// How often numbers have which magnitude, of 2048 equal steps up to the largest. Zeros aren't counted: they are exact in any range.
package struct MagnitudeHistogram {
    package static let bins = 2048

    package let range: ClosedRange<Float>
    package private(set) var counts = [Int](repeating: 0, count: bins)
    private var largest: Float { max(-range.lowerBound, range.upperBound) }

    package init(over range: ClosedRange<Float>) { self.range = range }

    package mutating func add(_ tensor: Tensor) throws(TensorError) {
        let factor = Float(Self.bins) / largest
        // Of next to nothing the whole range is kept.
        guard factor.isFinite else { return }
        try tensor.contiguous().withBytes { bytes in
            for number in bytes.bindMemory(to: Float.self) where number != 0 { counts[min(Int(number.magnitude * factor), Self.bins - 1)] += 1 }
        }
    }

    /// The range that loses least information. A side has half of the 256 steps, or, where all numbers are on one, all of them.
    package var bestRange: ClosedRange<Float> {
        let isOneSided = range.lowerBound == 0 || range.upperBound == 0
        let most = largest * Float(entropyThreshold(counts, levels: isOneSided ? 256 : 128)) / Float(Self.bins)
        return max(range.lowerBound, -most)...min(range.upperBound, most)
    }
}
