internal import KeelDataKernels
public import Keel

/// Sound as numbers: `count` samples a channel, full scale being −1...1.
public struct Waveform: Sendable, Equatable {
    /// Samples a second, in Hz.
    public let rate: Int
    /// Each channel's samples, equally many.
    public let channels: [[Float]]

    /// - Precondition: the rate is positive, and there is a channel; all have equally many samples.
    public init(rate: Int, channels: [[Float]]) {
        precondition(rate > 0 && !channels.isEmpty, "a waveform has a rate and a channel")
        precondition(channels.allSatisfy { $0.count == channels[0].count }, "channels have equally many samples")
        self.rate = rate
        self.channels = channels
    }

    /// Samples of each channel.
    public var count: Int { channels[0].count }

    /// The mean of the channels, as one.
    public func mono() -> Waveform {
        guard channels.count > 1 else { return self }
        let share = 1 / Float(channels.count)
        var mean = [Float](repeating: 0, count: count)
        for channel in channels {
            for (index, sample) in channel.enumerated() { mean[index] += sample * share }
        }
        return Waveform(rate: rate, channels: [mean])
    }
}

/// How much sound a file may hold.
public struct WaveformLimits: Sendable, Equatable {
    /// Samples of all channels together; each takes four bytes.
    public var samples: Int
    /// Which bounds, too, what another rate makes of the samples.
    public var seconds: Int
    public var channels: Int
    /// In Hz.
    public var rates: ClosedRange<Int>

    public init(
        samples: Int = 50_000_000, seconds: Int = 3600, channels: Int = 8, rates: ClosedRange<Int> = 4000...384_000
    ) {
        self.samples = samples
        self.seconds = seconds
        self.channels = channels
        self.rates = rates
    }
}

extension Waveform {
    /// Decodes a WAV or FLAC file, told apart by its bytes.
    ///
    /// - Whole numbers of `b` bits are divided by `2^(b - 1)`; floating-point samples and G.711's stay as they are.
    /// - Whatever length a header tells, memory is taken for samples that are there.
    /// - Errors: `WaveformError`. A cut file is corrupt; so is one without samples, or with one that isn't finite.
    public init(decoding bytes: [UInt8], limits: WaveformLimits = WaveformLimits()) throws(WaveformError) {
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(WaveformError) in
            try Waveform(decoding: UnsafeRawBufferPointer(bytes), limits: limits)
        }
    }

    /// As `init(decoding:limits:)`, of memory that stays valid during the call.
    public init(
        decoding bytes: UnsafeRawBufferPointer, limits: WaveformLimits = WaveformLimits()
    ) throws(WaveformError) {
        let format = try WaveformFormat(of: ByteReading(bytes: bytes))
        self = try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(KEEL_DATA_MESSAGE)) {
            (message) throws(WaveformError) in
            let file = try SoundFile(bytes, format, message)
            defer { file.close() }
            return try file.waveform(within: limits)
        }
    }
}

/// A file that libsndfile reads.
private struct SoundFile {
    private let sound: OpaquePointer
    private let info: keel_sound_info
    private let format: WaveformFormat
    private let message: UnsafeMutableBufferPointer<CChar>

    /// - Parameter message: room for libsndfile's messages.
    init(
        _ bytes: UnsafeRawBufferPointer, _ format: WaveformFormat, _ message: UnsafeMutableBufferPointer<CChar>
    ) throws(WaveformError) {
        var info = keel_sound_info()
        let start = bytes.bindMemory(to: UInt8.self).baseAddress
        guard let sound = keel_sound_open(start, bytes.count, &info, message.baseAddress) else {
            throw .corrupt(format, reason: SoundFile.text(message))
        }
        self.sound = sound
        self.info = info
        self.format = format
        self.message = message
    }

    func close() { keel_sound_close(sound) }

    private static func text(_ message: UnsafeMutableBufferPointer<CChar>) -> String {
        let text = message.baseAddress.map { String(cString: $0) } ?? ""
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    func waveform(within limits: WaveformLimits) throws(WaveformError) -> Waveform {
        let (channelCount, rate) = (Int(info.channels), Int(info.rate))
        guard channelCount >= 1, channelCount <= limits.channels else {
            throw .unsupported(format, reason: "\(channelCount) channels; 1...\(limits.channels) are allowed")
        }
        guard limits.rates.contains(rate) else {
            let allowed = "\(limits.rates.lowerBound)...\(limits.rates.upperBound)"
            throw .unsupported(format, reason: "\(rate) samples a second; \(allowed) are allowed")
        }
        let (lasting, isBeyond) = rate.multipliedReportingOverflow(by: limits.seconds)
        let most = min(limits.samples / channelCount, isBeyond ? .max : lasting)
        let declared = info.frames == .max ? nil : Int(info.frames)  // FLAC may leave it open
        let tooLong = WaveformError.tooLong(
            limitSeconds: Double(most) / Double(rate), declaredSeconds: declared.map { Double($0) / Double(rate) })
        guard declared ?? 0 <= most else { throw tooLong }
        var channels = [[Float]](repeating: [], count: channelCount)
        var block = [Float](repeating: 0, count: 4096 * channelCount)
        while true {
            let read = Int(keel_sound_read(sound, &block, 4096, message.baseAddress))
            guard read >= 0 else { throw .corrupt(format, reason: SoundFile.text(message)) }
            guard read > 0 else { break }
            guard channels[0].count + read <= most else { throw tooLong }
            for channel in 0..<channelCount {
                let start = channels[channel].count
                for frame in 0..<read { channels[channel].append(block[frame * channelCount + channel]) }
                if let place = channels[channel][start...].firstIndex(where: { !$0.isFinite }) {
                    throw .corrupt(format, reason: "sample \(place) of channel \(channel) isn't a finite number")
                }
            }
        }
        let found = channels[0].count
        guard found > 0 else { throw .corrupt(format, reason: "it has no samples") }
        guard found >= declared ?? 0 else {
            throw .corrupt(format, reason: "it ends after \(found) of \(declared ?? 0) samples")
        }
        return Waveform(rate: rate, channels: channels)
    }
}

extension Tensor {
    /// The samples as `[channels, count]`, float32.
    public init(_ waveform: Waveform) throws(TensorError) {
        try self.init(waveform.channels.flatMap(\.self), [waveform.channels.count, waveform.count])
    }
}
