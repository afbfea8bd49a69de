public import Keel

/// SpecAugment: time runs faster in one part of a spectrogram and slower in the other, and bands, some across all frames
/// and some across all frequencies, become the spectrogram's mean.
///
/// The defaults are the published ones for LibriSpeech's doubled training (LD).
///
/// - Source: Park and others, *SpecAugment*, 2019, where the warp is a thin-plate spline through the moved point and fixed
///   points at the edges; here it is straight to both sides of the point. Park and others, *SpecAugment on large scale
///   datasets*, 2020, for the share.
public struct SpectrogramAugmentation: Sendable, Hashable, Codable {
    /// The most frames by which a point in time moves; a quarter of all at most.
    public var largestTimeWarp: Int
    /// Bands of frequencies, and the most mels of one.
    public var frequencyMasks, largestFrequencyMask: Int
    /// Bands of time, and the most frames of one.
    public var timeMasks, largestTimeMask: Int
    /// The most frames of one band as a share of all, 0...1.
    public var largestTimeShare: Double

    public init(
        largestTimeWarp: Int = 80, frequencyMasks: Int = 2, largestFrequencyMask: Int = 27, timeMasks: Int = 2,
        largestTimeMask: Int = 100, largestTimeShare: Double = 1
    ) {
        self.largestTimeWarp = largestTimeWarp
        self.frequencyMasks = frequencyMasks
        self.largestFrequencyMask = largestFrequencyMask
        self.timeMasks = timeMasks
        self.largestTimeMask = largestTimeMask
        self.largestTimeShare = largestTimeShare
    }

    /// A changed copy of `[mels, frames]`, float32. First a point, even among those that lie as far from both ends as it
    /// may move, moves by an even distance. Then come the bands: widths are even in 0...the most, places in what is left.
    ///
    /// Takes the same count of numbers from the generator whatever the spectrogram. Give each recording of each epoch a
    /// generator of its own, keyed by seed, epoch and item, and the result doesn't depend on threads or order.
    /// - Errors: `TensorError.rank` unless there are two axes, `TensorError.dtype` unless it's float32.
    public func augmented(
        _ spectrogram: Tensor, using generator: inout some RandomNumberGenerator
    ) throws(TensorError) -> Tensor {
        guard spectrogram.rank == 2 else {
            throw TensorError(
                .rank(primitive: "SpectrogramAugmentation", expected: "[mels, frames]", spectrogram.shape))
        }
        var values = try spectrogram.elements(Float.self)
        let (mels, frames) = (try spectrogram.shape.size(0), try spectrogram.shape.size(1))
        let mean = values.isEmpty ? 0 : Float(values.reduce(0.0) { $0 + Double($1) } / Double(values.count))
        if largestTimeWarp > 0 { warp(&values, frames, generator.unit(), generator.unit()) }
        /// A band of at most `most` of `count`.
        func band(of count: Int, most: Int) -> Range<Int> {
            let width = min(Int(generator.unit() * Double(min(most, count) + 1)), count)
            let start = Int(generator.unit() * Double(count - width + 1))
            return start..<start + width
        }
        for _ in 0..<frequencyMasks {
            for mel in band(of: mels, most: largestFrequencyMask) {
                for frame in 0..<frames { values[mel * frames + frame] = mean }
            }
        }
        let most = min(largestTimeMask, Int(largestTimeShare * Double(frames)))
        for _ in 0..<timeMasks {
            let band = band(of: frames, most: most)
            for mel in 0..<mels {
                for frame in band { values[mel * frames + frame] = mean }
            }
        }
        return try Tensor(values, spectrogram.shape)
    }

    /// Moves a point in time; what lies between it and the ends is stretched evenly, by straight lines between frames.
    private func warp(_ values: inout [Float], _ frames: Int, _ place: Double, _ way: Double) {
        let most = Double(min(largestTimeWarp, frames / 4)), last = Double(frames - 1)
        guard most > 0 else { return }
        let from = most + place * (last - 2 * most), to = from + (2 * way - 1) * most
        let sources = (0..<frames).map { frame in
            let time = Double(frame)
            return time <= to && to > 0 ? time * from / to : from + (time - to) * (last - from) / (last - to)
        }
        let given = values
        for row in stride(from: 0, to: values.count, by: frames) {
            for (frame, source) in sources.enumerated() {
                let before = min(Int(source), frames - 1), share = source - Double(before)
                let (a, b) = (Double(given[row + before]), Double(given[row + min(before + 1, frames - 1)]))
                values[row + frame] = Float(a + share * (b - a))
            }
        }
    }
}
