import Keel

private func signal(
    _ name: String, _ primitives: [String], tolerance: Float = 5e-6, _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor
) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_signal"
    golden.tolerance = tolerance
    return golden
}

private func scaledIdentity(_ a: Tensor, _ factor: Double) throws(TensorError) -> Tensor {
    let n = try a.shape.size(-1)
    let numbers: [Double] = (0..<n * n).map { $0 % (n + 1) == 0 ? factor : 0 }
    return try Tensor(numbers, [n, n]).cast(to: a.dtype).moved(to: a.device)
}

private func definite(_ a: Tensor) throws(TensorError) -> Tensor {
    try a.matmul(a.transposed()) * (1 / Double(a.shape.size(-1))) + scaledIdentity(a, 2)
}

private func regular(_ a: Tensor) throws(TensorError) -> Tensor { try a + scaledIdentity(a, 6) }

private func spread(_ a: Tensor) throws(TensorError) -> Tensor {
    let (m, n) = (try a.shape.size(-2), try a.shape.size(-1))
    var diagonal = [Double](repeating: 0, count: m * n)
    for i in 0..<min(m, n) { diagonal[i * n + i] = 3 * Double(i + 1) }
    return try a * 0.3 + Tensor(diagonal, [m, n]).cast(to: a.dtype).moved(to: a.device)
}

private func joined(_ parts: Tensor...) throws(TensorError) -> Tensor {
    var flat: [Tensor] = []
    for part in parts { flat.append(try part.flattened()) }
    return try .concatenated(flat)
}

private func qr(_ x: [Tensor]) throws(TensorError) -> Tensor {
    let (q, r) = try spread(x[0]).qr()
    return try joined(q, r)
}

private func svd(_ x: [Tensor]) throws(TensorError) -> Tensor {
    let (u, s, vt) = try spread(x[0]).svd()
    return try joined(u, s, vt)
}

private func mel(_ lowest: Double, _ highest: Double, _ scale: MelScale, hasUnitArea: Bool = false) throws(TensorError) -> MelSpectrogram {
    try MelSpectrogram(
        sampleRate: 8000, mels: 10, transform: ShortTimeFourier(length: 128, hop: 60), lowest: lowest, highest: highest, scale: scale,
        hasUnitArea: hasUnitArea)
}

/// The cases of `golden_signal.py`. Factors in float32 are right to some ten roundings, and gradients divide by differences of
/// values, which are about 3 apart: 2e-5.
let signalGoldenCases: [GoldenCase] = [
    signal("cholesky", ["Cholesky", "TriangularSolve"], tolerance: 2e-5) { x throws(TensorError) in try definite(x[0]).cholesky() },
    signal("solveUpper", ["TriangularSolve"], tolerance: 2e-5) { x throws(TensorError) in try regular(x[0]).solvedTriangular(x[1], upper: true) },
    signal("solveLower", ["TriangularSolve"], tolerance: 2e-5) { x throws(TensorError) in try regular(x[0]).solvedTriangular(x[1], upper: false) },
    signal("solve", ["Solve"], tolerance: 2e-5) { x throws(TensorError) in try regular(x[0]).solved(x[1]) },
    signal("inverse", ["Solve"], tolerance: 2e-5) { x throws(TensorError) in try regular(x[0]).inverse() },
    signal("determinant", ["Det", "Solve"], tolerance: 2e-5) { x throws(TensorError) in try x[0].determinant() },
    signal("logDeterminant", ["LogDeterminant", "Solve"], tolerance: 2e-5) { x throws(TensorError) in try regular(x[0]).logDeterminant().logarithm },
    signal("qrTall", ["QR"], tolerance: 2e-5) { x throws(TensorError) in try qr(x) },
    signal("qrWide", ["QR"], tolerance: 2e-5) { x throws(TensorError) in try qr(x) },
    signal("svdTall", ["SVD"], tolerance: 2e-5) { x throws(TensorError) in try svd(x) },
    signal("svdWide", ["SVD"], tolerance: 2e-5) { x throws(TensorError) in try svd(x) },
    signal("leastSquaresTall", ["QR", "TriangularSolve"], tolerance: 2e-5) { x throws(TensorError) in try spread(x[0]).leastSquares(x[1]) },
    signal("leastSquaresWide", ["QR", "TriangularSolve"], tolerance: 2e-5) { x throws(TensorError) in try spread(x[0]).leastSquares(x[1]) },
    signal("symmetricEigen", ["SymmetricEigen"], tolerance: 2e-5) { x throws(TensorError) in
        let (w, v) = try spread(x[0]).symmetricEigen()
        return try joined(w, v)
    },
    signal("fft", ["DFT"]) { x throws(TensorError) in try x[0].fft() },
    signal("fftPrime", ["DFT"]) { x throws(TensorError) in try x[0].fft(scaling: .forward) },
    signal("inverseFFT", ["DFT"]) { x throws(TensorError) in try x[0].inverseFFT(scaling: .orthonormal) },
    signal("fft2", ["DFT"]) { x throws(TensorError) in try x[0].fft([0, 1]) },
    signal("realFFT", ["RealFFT", "InverseRealFFT"]) { x throws(TensorError) in try x[0].realFFT() },
    signal("realFFTOdd", ["RealFFT", "InverseRealFFT"]) { x throws(TensorError) in try x[0].realFFT(scaling: .orthonormal) },
    signal("realFFT2", ["RealFFT", "InverseRealFFT"]) { x throws(TensorError) in try x[0].realFFT([0, 1]) },
    signal("inverseRealFFT", ["InverseRealFFT", "RealFFT"]) { x throws(TensorError) in try x[0].inverseRealFFT() },
    signal("inverseRealFFTOdd", ["InverseRealFFT", "RealFFT"]) { x throws(TensorError) in try x[0].inverseRealFFT(count: 13) },
    signal("frames", ["Frames", "OverlapAdd"]) { x throws(TensorError) in try x[0].frames(5, hop: 3) },
    signal("overlapAdd", ["OverlapAdd", "Frames"]) { x throws(TensorError) in try x[0].overlapAdded(hop: 2) },
    signal("stft", ["Frames", "RealFFT"]) { x throws(TensorError) in try ShortTimeFourier(length: 16, hop: 5, windowLength: 12)(x[0]) },
    signal("stftPlain", ["Frames", "RealFFT"]) { x throws(TensorError) in
        try ShortTimeFourier(length: 16, hop: 4, window: .hamming, isCentred: false, isNormalised: true)(x[0])
    },
    signal("inverseSTFT", ["OverlapAdd", "InverseRealFFT"]) { x throws(TensorError) in
        try ShortTimeFourier(length: 16, hop: 5, windowLength: 12).inverse(x[0], count: 23)
    },
    signal("mel", ["RealFFT"]) { x throws(TensorError) in try mel(100, 4000, .htk)(x[0]) },
    signal("logMel", ["RealFFT"], tolerance: 2e-5) { x throws(TensorError) in try mel(0, 3800, .slaney, hasUnitArea: true).logarithm(x[0]) },
    signal("cepstrum", ["RealFFT"], tolerance: 2e-5) { x throws(TensorError) in try mel(100, 4000, .htk).cepstrum(x[0], coefficients: 7) },
]
