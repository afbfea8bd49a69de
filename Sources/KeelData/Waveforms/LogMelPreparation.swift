public import Keel

/// All that lies between a recording and a speech network's input: one channel, one rate, and the logarithm of its mel
/// spectra. Training and serving call the same one, so they can't differ.
///
/// - Shapes: a waveform → `[mels, frames]`, float32, `frames = 1 + samples / hop`; natural logarithm of power.
public struct LogMelPreparation: Sendable, Hashable, Codable {
    /// In Hz.
    public var rate: Int
    public var mels: Int
    /// Samples of a Fourier transform, of the Hann window in its middle, and from one frame to the next.
    public var length, window, hop: Int
    /// Power below this counts as this.
    public var floor: Double

    /// The defaults are frames of 25 ms, every 10 ms.
    public init(
        rate: Int = 16_000, mels: Int = 80, length: Int = 512, window: Int = 400, hop: Int = 160, floor: Double = 1e-10
    ) {
        self.rate = rate
        self.mels = mels
        self.length = length
        self.window = window
        self.hop = hop
        self.floor = floor
    }

    /// The transform that these settings describe; make it once for many recordings.
    ///
    /// - Errors: `TensorError.argument` for settings that fit no transform.
    public func spectrogram() throws(TensorError) -> MelSpectrogram {
        let transform = try ShortTimeFourier(length: length, hop: hop, window: .hann, windowLength: window)
        return try MelSpectrogram(sampleRate: Double(rate), mels: mels, transform: transform)
    }

    /// A recording that is shorter than half a transform is filled up with silence.
    ///
    /// - Parameter spectrogram: what `spectrogram()` gave.
    public func features(_ waveform: Waveform, with spectrogram: MelSpectrogram) throws(TensorError) -> Tensor {
        var samples = waveform.mono().resampled(to: rate).channels[0]
        if samples.count <= length / 2 { samples += repeatElement(0, count: length / 2 + 1 - samples.count) }
        return try spectrogram.logarithm(Tensor(samples), floor: floor)
    }
}
