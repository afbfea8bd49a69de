import Foundation
internal import Keel

extension OperatorCall {
    /// The discrete Fourier transform along an axis of numbers that are real `[..., 1]` or complex `[..., 2]`.
    fileprivate func transformed(_ x: Tensor, axis: Int, length: Int, inverse: Bool, oneSided: Bool) throws -> Tensor {
        let parts = try x.size(at: x.rank - 1), n = try x.size(at: axis)
        guard parts == 1 || parts == 2, axis < x.rank - 1, length >= 1 else { throw wrong("takes [..., 1] or [..., 2], was given \(x.shape), along axis \(axis)") }
        var amounts = [(before: Int, after: Int)](repeating: (0, 0), count: x.rank)
        amounts[axis].after = length - n
        if parts == 1 { amounts[x.rank - 1].after = 1 }
        // In double precision: what cancels out is to be as near to 0 as the input's digits allow.
        let complex = try padded(x, amounts, .constant(0)).cast(to: .float64)
        // Keel's transforms take axes counted without that of the parts.
        let y = try inverse ? complex.inverseFFT([axis]) : complex.fft([axis])
        return oneSided ? try y.sliced(axis, to: length / 2 + 1) : y
    }
}

extension Operators {
    static let signal: [Operator] = [
        Operator("DFT", 17) { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            let named = try call.opset < 20 ? call.int("axis", 1) : call.has(2) ? call.int(2) : -2
            let axis = try call.axis(named, rank: x.rank), length = try call.has(1) ? call.int(1) : x.size(at: axis)
            let isInverse = call.flag("inverse"), isOneSided = call.flag("onesided")
            if isInverse, isOneSided {
                // The half of a spectrum that stands for all of it: the numbers are real.
                throw call.unsupported("inverse and onesided")
            }
            return try call.result(call.transformed(x, axis: axis, length: length, inverse: isInverse, oneSided: isOneSided), kind)
        },
        Operator("STFT", 17) { call in
            var x = try call.tensor(0)
            let kind = try call.kind(0), hop = try call.int(1), window = try call.optional(2)
            if x.rank == 2 { x = try x.withAxis(2) }
            guard x.rank == 3, hop >= 1 else { throw call.wrong("takes [batch, time, 1 or 2] and a step, was given \(x.shape) and \(hop)") }
            let time = try x.size(at: 1), length = try call.has(3) ? call.int(3) : window?.count ?? time
            guard (1...max(time, 1)).contains(length), window?.count ?? length == length else { throw call.wrong("frames of \(length) of \(time)") }
            let count = (time - length) / hop + 1
            let places = try (Tensor.range(count) * Tensor(Int64(hop))).withAxis(1) + Tensor.range(length)
            try call.reserve([x.size(at: 0), count, length, 2], x.dtype)
            var frames = try x.gathered(places, axis: 1)
            if let window { frames = try frames * window.cast(to: x.dtype).reshaped([length, 1]) }
            return try call.result(call.transformed(frames, axis: 2, length: length, inverse: false, oneSided: call.flag("onesided", true)), kind)
        },
        Operator("MelWeightMatrix", 17) { call in
            let bins = try call.int(0), length = try call.int(1), rate = try call.double(2), low = try call.double(3), high = try call.double(4)
            guard bins >= 1, length >= 1, rate.isFinite, rate > 0, low >= 0, high > low, high <= rate else { throw call.wrong("\(bins) bins of \(length) from \(low) to \(high) Hz at \(rate) Hz") }
            let rows = length / 2 + 1
            try call.reserve([rows, bins], .float64)
            func mel(_ hertz: Double) -> Double { 2595 * log10(1 + hertz / 700) }
            let step = (mel(high) - mel(low)) / Double(bins + 2)
            let edges = (0..<(bins + 2)).map { i in
                let hertz = 700 * (pow(10, (mel(low) + Double(i) * step) / 2595) - 1)
                return Int(min(Double(rows - 1), max(0, (Double(length + 1) * hertz / rate).rounded(.down))))
            }
            var matrix = [Double](repeating: 0, count: rows * bins)
            for bin in 0..<bins {
                let (left, centre, right) = (edges[bin], edges[bin + 1], edges[bin + 2])
                if left >= centre {
                    matrix[centre * bins + bin] = 1
                } else {
                    for row in left...centre { matrix[row * bins + bin] = Double(row - left) / Double(centre - left) }
                }
                for row in centre..<max(centre, right) { matrix[row * bins + bin] = Double(right - row) / Double(right - centre) }
            }
            let kind = try call.kind(named: "output_datatype", or: .float32)
            return [.tensor(try kind.settled(Tensor(matrix, [rows, bins])), kind)]
        },
    ]
}
