import Foundation
import Keel
import KeelData
import KeelDecoders
import Testing

private let fileNames = [
    "wav 8-bit", "wav 16-bit", "wav from a pipe", "wav 24-bit", "wav 32-bit", "wav float", "wav double", "wav mu-law",
    "wav a-law", "flac 16-bit", "flac 24-bit",
]

private func goldenFile(_ name: String) throws -> (bytes: [UInt8], rate: Int, channels: [[Float]]) {
    let files: [String: [String: Any]] = try Golden("waveforms").entry("files")
    let entry = try #require(files[name])
    let bytes = try #require((entry["file"] as? String).flatMap { Data(base64Encoded: $0) })
    let channels = try #require(entry["channels"] as? [[NSNumber]])
    let rate = try #require(entry["rate"] as? Int)
    return (Array(bytes), rate, channels.map { $0.map(\.floatValue) })
}

/// Samples of up to 24 bits are exact in float32; those of 32 and 64 bits are rounded once, as the expected ones are.
@Test(arguments: fileNames)
func aSoundFileHasTheSamplesThatWereWritten(name: String) throws {
    let golden = try goldenFile(name)
    let waveform = try Waveform(decoding: golden.bytes)
    #expect(waveform == Waveform(rate: golden.rate, channels: golden.channels))
    let tensor = try Tensor(waveform)
    #expect(tensor.shape == [golden.channels.count, golden.channels[0].count])
    #expect(try tensor.elements() == golden.channels.flatMap(\.self))
}

@Test(arguments: fileNames.filter { $0 != "wav from a pipe" })
func aSoundFileCutAnywhereIsRefused(name: String) throws {
    let whole = try goldenFile(name).bytes
    // What stands behind the samples of two of them may go: a chunk, and a byte that fills up.
    let end = whole.count - (name == "wav 16-bit" ? 12 : name == "wav 8-bit" ? 1 : 0)
    for count in 0..<end {
        #expect(throws: WaveformError.self, "\(count) bytes") { try Waveform(decoding: Array(whole[..<count])) }
    }
}

@Test func limitsHoldBeforeAndWhileDecoding() throws {
    let stereo = try goldenFile("wav 16-bit").bytes, piped = try goldenFile("wav from a pipe").bytes
    let flac = try goldenFile("flac 16-bit").bytes
    #expect(try Waveform(decoding: stereo, limits: WaveformLimits(samples: 40)).count == 20)
    let seconds = 19.0 / 44100
    #expect(throws: WaveformError.tooLong(limitSeconds: seconds, declaredSeconds: 20.0 / 44100)) {
        try Waveform(decoding: stereo, limits: WaveformLimits(samples: 39))
    }
    #expect(throws: WaveformError.self) { try Waveform(decoding: piped, limits: WaveformLimits(samples: 39)) }
    #expect(throws: WaveformError.tooLong(limitSeconds: 0, declaredSeconds: 20.0 / 44100)) {
        try Waveform(decoding: stereo, limits: WaveformLimits(seconds: 0))
    }
    #expect(throws: WaveformError.unsupported(.wav, reason: "2 channels; 1...1 are allowed")) {
        try Waveform(decoding: stereo, limits: WaveformLimits(channels: 1))
    }
    #expect(throws: WaveformError.unsupported(.flac, reason: "48000 samples a second; 4000...44100 are allowed")) {
        try Waveform(decoding: flac, limits: WaveformLimits(rates: 4000...44100))
    }
}

@Test func aFLACFileThatLiesAboutItsLengthIsFoundOut() throws {
    var flac = try goldenFile("flac 16-bit").bytes
    // The count of samples is the low 36 bits of bytes 21..<26: 40 in all, of which the last byte is enough.
    #expect(flac[25] == 40)
    flac[25] = 41
    #expect(throws: WaveformError.corrupt(.flac, reason: "it ends after 40 of 41 samples")) {
        try Waveform(decoding: flac)
    }
    flac[22] = 0xFF
    #expect(throws: WaveformError.self) { try Waveform(decoding: flac) }
    (flac[22], flac[25]) = (0, 0)  // left open
    #expect(throws: WaveformError.tooLong(limitSeconds: 39.0 / 48000, declaredSeconds: nil)) {
        try Waveform(decoding: flac, limits: WaveformLimits(samples: 39))
    }
}

@Test func whatIsNoSoundIsNamed() throws {
    func expect(_ error: WaveformError, _ bytes: [UInt8]) {
        #expect(throws: error) { try Waveform(decoding: bytes) }
    }
    expect(.corrupt(nil, reason: "it has no bytes"), [])
    expect(.mismatch(found: "an MP3 recording"), Array("ID3\u{4}abcdefgh".utf8))
    expect(.mismatch(found: "a WebP picture"), Array("RIFF    WEBPVP8 ".utf8))
    expect(.corrupt(.wav, reason: "it ends before its samples"), Array("RIFF\u{4}\0\0\0WAVE".utf8))
    let adpcm = try #require(Data(base64Encoded: try Golden("waveforms").entry("adpcm", as: String.self)))
    expect(.unsupported(.wav, reason: "its codec isn't PCM or G.711"), Array(adpcm))
    // The codec that an extended header names, at byte 12 + 8 + 24: ADPCM instead of PCM.
    var extended = try goldenFile("wav 24-bit").bytes
    #expect(extended[44] == 1)
    extended[44] = 2
    expect(.unsupported(.wav, reason: "its codec isn't PCM or G.711"), extended)
    var float = try goldenFile("wav float").bytes
    float.replaceSubrange(float.count - 4..<float.count, with: [0, 0, 0x80, 0x7F])
    expect(.corrupt(.wav, reason: "sample 19 of channel 0 isn't a finite number"), float)
}

/// Sums of up to 380 products below 1 in float32: an error of 1e-6 at most.
@Test func anotherRateEqualsThePolyphaseFilterOfScipy() throws {
    let golden = try Golden("waveforms")
    let source = try golden.numbers("source").map { Float($0) }
    for entry in try golden.entry("resampled", as: [[String: Any]].self) {
        let (rate, to) = (try #require(entry["rate"] as? Int), try #require(entry["to"] as? Int))
        let expected = try #require(entry["samples"] as? [NSNumber]).map(\.floatValue)
        let found = Waveform(rate: rate, channels: [source]).resampled(to: to)
        #expect(found.rate == to && found.count == expected.count, "\(rate) to \(to)")
        #expect(zip(found.channels[0], expected).allSatisfy { abs($0 - $1) < 1e-6 }, "\(rate) to \(to)")
    }
}

/// What the filter promises: 1e-4 of ripple where it passes, 90 dB (3e-5) where it stops; float32 sums add 1e-6.
@Test(
    arguments: [
        (44100, 16000), (16000, 44100), (48000, 44100), (8000, 48000), (44100, 44100),
        // Filters between those of the table.
        (383_999, 16000), (16000, 44101), (44101, 44100), (192_000, 11_025),
    ])
func aToneStaysWhatItIsOrVanishes(rate: Int, to: Int) {
    func tone(_ hertz: Double, _ rate: Int, _ count: Int) -> [Float] {
        (0..<count).map { Float(sin(2 * .pi * hertz * Double($0) / Double(rate))) }
    }
    let nyquist = Double(min(rate, to)) / 2
    for share in [0.02, 0.31, 0.9] {
        let found = Waveform(rate: rate, channels: [tone(share * nyquist, rate, rate / 10)]).resampled(to: to)
        let expected = tone(share * nyquist, to, found.count)
        let middle = found.count / 4..<found.count * 3 / 4
        #expect(middle.allSatisfy { abs(found.channels[0][$0] - expected[$0]) < 1e-4 }, "\(share)")
    }
    guard to < rate, 1.02 * nyquist < Double(rate) / 2 else { return }
    let found = Waveform(rate: rate, channels: [tone(1.02 * nyquist, rate, rate / 10)]).resampled(to: to).channels[0]
    #expect(found[found.count / 4..<found.count * 3 / 4].allSatisfy { abs($0) < 3e-5 })
}

/// Rates without a common divisor have as many filters as an output second has samples: 16,000 of 3,236 numbers for the
/// first pair, 200 MB.
@Test(arguments: [(383_999, 16_000), (16_000, 383_999), (383_999, 384_000), (383_999, 4_000), (44_100, 16_000), (44_101, 44_100)])
func aResamplersTableIsBounded(from: Int, to: Int) {
    let place = 2 * Int((64 / 0.95 * max(1, Double(from) / Double(to))).rounded(.up)) + 2
    #expect(Resampler(from: from, to: to).tableCount <= 135_200 + 2 * place)
}

/// Float32 transforms leave noise 120 dB below the loudest bin; the floor is 90 dB below it, so that powers are off by
/// 1e-3 of themselves at most.
@Test func aLogMelSpectrumEqualsThatOfNumPy() throws {
    let expected = try Golden("waveforms").entry("logmel", as: [[NSNumber]].self).map { $0.map(\.floatValue) }
    let channels = (1...2).map { channel in
        (0..<4410).map { place -> Float in
            let (x, factor) = (Double(place), Double(channel))
            return Float(0.5 * sin(0.05 * x * factor) + 0.2 * sin(1e-4 * x * x))
        }
    }
    let preparation = LogMelPreparation(mels: 20, floor: 1e-6)
    let spectrogram = try preparation.spectrogram()
    let found = try preparation.features(Waveform(rate: 44100, channels: channels), with: spectrogram)
    #expect(found.shape == [20, expected[0].count])
    #expect(zip(try found.elements(), expected.flatMap(\.self)).allSatisfy { abs($0 - $1) < 1e-3 })
    let blink = try preparation.features(Waveform(rate: 16000, channels: [[1]]), with: spectrogram)
    #expect(blink.shape == [20, 2])
    #expect(throws: TensorError.self) { try LogMelPreparation(window: 513).spectrogram() }
}

@Test func bandsOfASpectrogramAreMaskedAsTheGoldenScriptDoes() throws {
    let augmentation = SpectrogramAugmentation(
        largestTimeWarp: 0, frequencyMasks: 2, largestFrequencyMask: 4, timeMasks: 2, largestTimeMask: 6, largestTimeShare: 0.4)
    let spectrogram = try Tensor((0..<9 * 14).map { Float($0) }, [9, 14])
    let expected = try Golden("waveforms").entry("augmented", as: [[[NSNumber]]].self)
    for (stream, rows) in expected.enumerated() {
        var generator = Philox(seed: 3, stream: UInt64(stream))
        let found = try augmentation.augmented(spectrogram, using: &generator)
        #expect(try found.elements() == rows.flatMap { $0.map(\.floatValue) }, "stream \(stream)")
        #expect(generator.position == 8)
    }
    var generator = Philox(seed: 3)
    #expect(throws: TensorError.self) { try augmentation.augmented(Tensor([Float(1), 2]), using: &generator) }
}

/// Numbers of up to 130,000, the expected ones with six decimals: half a unit of float32's last place is 4e-3.
@Test(arguments: [(0, 2), (1, 9), (2, 4), (3, 7)])
func timeIsWarpedAsTheGoldenScriptDoes(stream: Int, most: Int) throws {
    let augmentation = SpectrogramAugmentation(
        largestTimeWarp: most, frequencyMasks: 2, largestFrequencyMask: 4, timeMasks: 2, largestTimeMask: 6,
        largestTimeShare: 0.4)
    let expected = try Golden("waveforms").entry("warped", as: [[[NSNumber]]].self)[stream].map { $0.map(\.floatValue) }
    let (mels, frames) = (expected.count, expected[0].count)
    var generator = Philox(seed: 3, stream: UInt64(stream))
    let found = try augmentation.augmented(Tensor((0..<mels * frames).map { Float($0 * $0) }, [mels, frames]), using: &generator)
    #expect(zip(try found.elements(), expected.flatMap(\.self)).allSatisfy { abs($0 - $1) < 1e-2 })
    #expect(generator.position == 10)
}

/// Bands of no width and a warp change nothing but the places of frames: the ends stay, and time goes forwards.
@Test(arguments: 0..<20)
func aWarpKeepsEndsAndOrder(seed: UInt64) throws {
    let augmentation = SpectrogramAugmentation(largestTimeWarp: 1000, frequencyMasks: 0, timeMasks: 0)
    var generator = Philox(seed: seed)
    let frames = [1, 2, 3, 4, 5, 50, 301][Int(seed) % 7]
    let found = try augmentation.augmented(Tensor((0..<frames).map { Float($0) }, [1, frames]), using: &generator).elements()
    #expect(found.first == 0 && found.last == Float(frames - 1))
    #expect(zip(found, found.dropFirst()).allSatisfy { $0 <= $1 })
    var empty = Philox(seed: seed)
    #expect(try augmentation.augmented(.zeros([4, 0]), using: &empty).shape == [4, 0])
}
