import Keel
import Testing

private func worst(_ a: Tensor, _ b: Tensor) throws -> Double { try (a - b).magnitude().max().cast(to: .float64).item(Double.self) }

/// There and back is the identity at every length from 1 to 200, in any precision; float32 rounds by 6e-8 a pass, of which there are eight.
@Test(arguments: [(DType.float32, 3e-6), (.float64, 1e-14)])
func aTransformAndItsInverseGiveBackWhatWasGiven(_ dtype: DType, _ tolerance: Double) throws {
    var generator = Philox(seed: 4)
    for n in 1...200 {
        let x = try Tensor.normal([2, n], using: &generator).cast(to: dtype), z = try Tensor.normal([5, n, 2], using: &generator).cast(to: dtype)
        #expect(try worst(x.realFFT().inverseRealFFT(count: n), x) < tolerance * 5, "\(n) real numbers")
        #expect(try worst(z.fft().inverseFFT(), z) < tolerance * 5, "\(n) complex numbers")
    }
}

/// A row's numbers depend on its own input alone, and the thread count changes nothing, to the last bit.
@Test func rowsDoNotTouchEachOther() throws {
    var generator = Philox(seed: 5)
    let quiet = try Tensor.normal([9, 240], using: &generator), loud = try Tensor.normal([9, 240], deviation: 1e30, using: &generator)
    let both = try Tensor.concatenated([quiet, loud, quiet * .nan])
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let alone = try quiet.realFFT().elements()
    #expect(try both.realFFT().sliced(0, to: 9).contiguous().elements() == alone)
    let many = try Tensor.normal([400, 240], using: &generator), one = try many.realFFT().elements()
    Threads.count = 2
    #expect(try many.realFFT().elements() == one)
}

@Test(arguments: [WindowShape.hann, .hamming], [true, false])
func aSignalComesBackFromItsShortTimeTransform(_ window: WindowShape, _ isNormalised: Bool) throws {
    var generator = Philox(seed: 6)
    let x = try Tensor.normal([3, 1000], using: &generator).cast(to: .float64)
    let transform = try ShortTimeFourier(length: 64, window: window, windowLength: 60, isNormalised: isNormalised)
    let z = try transform(x)
    #expect(z.shape == [3, 33, 63, 2])
    #expect(try worst(transform.inverse(z, count: 1000), x) < 1e-12)
}

/// A call that must be refused, and the whole text of the refusal.
private struct Refusal: Sendable {
    let text: String
    let call: @Sendable () throws -> Void

    init(_ text: String, _ call: @escaping @Sendable () throws -> Void) { (self.text, self.call) = (text, call) }
}

private let refusals: [Refusal] = [
    Refusal("ShortTimeFourier: windowLength is 9, allowed is 1...8") { _ = try ShortTimeFourier(length: 8, windowLength: 9) },
    Refusal("ShortTimeFourier: hop is 0, allowed is 1 and more") { _ = try ShortTimeFourier(length: 8, hop: 0) },
    Refusal("ShortTimeFourier: length is 0, allowed is 1 and more") { _ = try ShortTimeFourier(length: 0) },
    Refusal("ShortTimeFourier: needs floats, was given int64") { _ = try ShortTimeFourier(length: 8)(.zeros([20], .int64)) },
    Refusal("ShortTimeFourier: hop is 9, allowed is one whose windows leave no place uncovered") { _ = try ShortTimeFourier(length: 8, hop: 9).inverse(.zeros([5, 3, 2])) },
    Refusal("ShortTimeFourier: count is 100, allowed is 0...8") { _ = try ShortTimeFourier(length: 8, hop: 2).inverse(.zeros([5, 3, 2]), count: 100) },
    Refusal("MelSpectrogram: limits is 500.0...100.0 Hz, allowed is 0...4000.0 Hz, in order") {
        _ = try MelSpectrogram(sampleRate: 8000, transform: ShortTimeFourier(length: 64), lowest: 500, highest: 100)
    },
    Refusal("MelSpectrogram: coefficients is 11, allowed is 1...10") {
        _ = try MelSpectrogram(sampleRate: 8000, mels: 10, transform: ShortTimeFourier(length: 64)).cepstrum(.zeros([100]), coefficients: 11)
    },
    Refusal("DFT: axes is [0, -2], allowed is one at least, each once") { _ = try Tensor.zeros([4, 4, 2]).fft([0, -2]) },
    Refusal("InverseRealFFT: needs 4 numbers along axis 0 for a count of 7, was given [3, 2]") { _ = try Tensor.zeros([3, 2]).inverseRealFFT(count: 7) },
]

@Test(arguments: refusals.indices)
func aWrongTransformIsRefusedWithTheReason(_ place: Int) throws {
    let error = #expect(throws: TensorError.self) { try refusals[place].call() }
    #expect(error?.description == refusals[place].text)
}
