import Keel

private func bent(_ x: Tensor) throws -> Tensor { try x * x * 0.5 + x }

/// Lengths of every factor, of a prime for Bluestein's convolution (37, 74 as a real one), and of one number; few and many rows, other axes.
private let complexShapes: [[Shape]] = [
    [[1, 2]], [[2, 2]], [[3, 8, 2]], [[9, 12, 2]], [[2, 5, 2]], [[30, 2]], [[11, 7, 2]], [[37, 2]], [[9, 41, 2]], [[2, 3, 16, 2]], [[0, 4, 2]], [[128, 2]], [[5, 62, 2]],
]
private let realShapes: [[Shape]] = [[[1]], [[2]], [[3, 8]], [[9, 12]], [[2, 5]], [[30]], [[11, 7]], [[37]], [[9, 74]], [[2, 3, 16]], [[0, 4]], [[400]], [[3, 101]]]

let signalCases: [PrimitiveCase] = [
    PrimitiveCase(
        names: ["DFT"], shapes: complexShapes, rejects: [([[3, 3]], "complex numbers, [..., n, 2]"), ([[2]], "complex numbers"), ([[0, 2]], "a number at least along axis 0")]
    ) { try bent(bent($0[0]).fft()) - $0[0].inverseFFT() },
    PrimitiveCase(names: ["DFT"], shapes: [[[6, 5, 2]], [[2, 9, 3, 4, 2]], [[1, 37, 2]]], rejects: [([[5, 2]], "has no axis -2"), ([[5, 5, 3]], "complex numbers")]) {
        try bent($0[0].fft([-2, -1], scaling: .orthonormal)) + $0[0].inverseFFT([0], scaling: .forward)
    },
    PrimitiveCase(names: ["RealFFT", "InverseRealFFT"], shapes: realShapes, rejects: [([[]], "has no axis -1"), ([[2, 0]], "a number at least along axis 1")]) {
        try bent($0[0]).realFFT()
    },
    PrimitiveCase(names: ["RealFFT", "InverseRealFFT"], shapes: realShapes) {
        let n = try $0[0].shape.size(-1)
        return try bent($0[0].realFFT(scaling: .orthonormal)).inverseRealFFT(count: n, scaling: .orthonormal)
    },
    PrimitiveCase(
        names: ["InverseRealFFT", "RealFFT"], shapes: [[[3, 5, 2]], [[2, 1, 2]], [[17, 2]], [[9, 20, 2]]],
        rejects: [([[3, 3]], "complex numbers"), ([[1, 0, 2]], "a number at least along axis 1")]
    ) { try bent($0[0]).inverseRealFFT(count: 2 * ($0[0].shape.size(-2) - 1) + 1) },
    PrimitiveCase(names: ["RealFFT", "DFT"], shapes: [[[6, 5]], [[2, 7, 4]], [[3, 37, 6]]], rejects: [([[5]], "has no axis -2")]) {
        try bent($0[0]).realFFT([-2, -1]) * 0.5 + bent($0[0].realFFT([-2, -1], scaling: .forward))
    },
    PrimitiveCase(names: ["RealFFT"], shapes: [[[6, 5]], [[7, 4]], [[8, 9]], [[38, 3]]]) { try bent($0[0]).realFFT([0]) },
    PrimitiveCase(
        names: ["Frames", "OverlapAdd"], shapes: [[[12]], [[2, 13]], [[2, 0, 9]], [[40, 300]], [[5]]], rejects: [([[2, 4]], "length is 5, allowed is 1...4"), ([[]], "one to seven axes")]
    ) { try bent($0[0]).frames(5, hop: 3) },
    PrimitiveCase(names: ["OverlapAdd", "Frames"], shapes: [[[4, 5]], [[2, 3, 5]], [[1, 2]], [[0, 3]], [[20, 9, 64]]], rejects: [([[5]], "[..., frames, length]")]) {
        try bent($0[0]).overlapAdded(hop: 2)
    },
    PrimitiveCase(names: ["Frames", "RealFFT", "Pad"], shapes: [[[40]], [[3, 57]], [[9, 64]]], tolerance: 1e-4, rejects: [([[5]], "padding"), ([[]], "signals [..., t]")]) {
        try bent(ShortTimeFourier(length: 16, hop: 5, windowLength: 12)($0[0]))
    },
    PrimitiveCase(names: ["InverseRealFFT", "OverlapAdd"], shapes: [[[9, 6, 2]], [[2, 9, 5, 2]]], tolerance: 1e-4, rejects: [([[8, 6, 2]], "a transform [..., 9, frames, 2]")]) {
        try ShortTimeFourier(length: 16, hop: 5).inverse(bent($0[0]))
    },
    PrimitiveCase(names: ["RealFFT", "MatMul"], shapes: [[[300]], [[2, 400]]], range: 0.5...2, isTwiceDifferentiable: false, tolerance: 2e-4) {
        let mel = try MelSpectrogram(sampleRate: 8000, mels: 10, transform: ShortTimeFourier(length: 128, hop: 60), scale: .slaney, hasUnitArea: true)
        return try mel.logarithm($0[0]) + mel.cepstrum($0[0], coefficients: 10) * 0.1
    },
]
