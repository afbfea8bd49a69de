#if canImport(Glibc)
import Glibc
#endif

// Fourier transforms as products with their matrix: the operator `DFT` comes late and runs in few places.

extension OperatorGraph {
    /// The longest transform whose matrix is written.
    static var longestTransform: Int { 4096 }

    /// `x`, whose axis of numbers (real, or complex with a last axis of two) is `axis`, times a matrix of `rows` and `columns`; the result's axis stands
    /// in its place.
    fileprivate mutating func transform(
        _ x: String, _ call: ExportCall, axis: Int, isComplex: Bool, _ matrix: [[Double]], makesComplex: Bool
    ) throws(TensorError) -> String {
        let shape = call.specs[0].shape, axes = isComplex ? shape.rank - 1 : shape.rank, place = axis < 0 ? axis + shape.rank : axis
        var order = Array(0..<shape.rank)
        order.remove(at: place)
        order.insert(place, at: axes - 1)
        let others = order[..<(axes - 1)], columns = matrix.first?.count ?? 0
        var rows = Shape(), made = Shape()
        for axis in others { rows.append(shape[axis]) }
        made = rows
        rows.append(Dimension(matrix.count))
        let lasts = makesComplex ? [columns / 2, 2] : [columns]
        for last in lasts { made.append(Dimension(last)) }

        var y = place == axes - 1 ? x : transpose(x, order)
        if isComplex { y = try reshape(y, to: rows) }
        y = node("MatMul", [y, try constant(Tensor(matrix.flatMap { $0 }, [matrix.count, columns]).cast(to: call.dtype))])
        if makesComplex { y = try reshape(y, to: made) }
        guard place != axes - 1 else { return y }
        var back = Array(0..<made.rank)
        back.remove(at: axes - 1)
        back.insert(axes - 1, at: place)
        return transpose(y, back)
    }
}

/// The angles of a transform of length `n`, exact for large products.
private func turn(_ i: Int, _ k: Int, _ n: Int) -> (cosine: Double, sine: Double) {
    let angle = 2 * Double.pi * Double(i * k % n) / Double(n)
    return (cos(angle), sin(angle))
}

extension Exportable {
    fileprivate func checkLength(_ n: Int) throws(TensorError) {
        guard n <= OperatorGraph.longestTransform else { throw refuse("length", n, allowed: "at most \(OperatorGraph.longestTransform)") }
    }
}

extension FFT: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let n = try call.specs[0].shape.size(axis), sign = isInverse ? 1.0 : -1.0
        try checkLength(n)
        let matrix = (0..<(2 * n)).map { row in
            (0..<(2 * n)).map { column -> Double in
                let (cosine, sine) = turn(row / 2, column / 2, n)
                return scale * (row % 2 == column % 2 ? cosine : row % 2 == 0 ? sign * sine : -sign * sine)
            }
        }
        return [try graph.transform(call.inputs[0], call, axis: axis, isComplex: true, matrix, makesComplex: true)]
    }
}

extension RealFFT: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let n = try call.specs[0].shape.size(axis)
        try checkLength(n)
        let matrix = (0..<n).map { row in
            (0..<(n / 2 + 1)).flatMap { k -> [Double] in
                let (cosine, sine) = turn(row, k, n)
                return [scale * cosine, -scale * sine]
            }
        }
        return [try graph.transform(call.inputs[0], call, axis: axis, isComplex: false, matrix, makesComplex: true)]
    }
}

extension InverseRealFFT: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        try checkLength(count)
        let matrix = (0..<(count / 2 + 1)).flatMap { k -> [[Double]] in
            // All but the first, and the middle one of an even number, stand for their conjugates too.
            let weight = k == 0 || 2 * k == count ? scale : 2 * scale
            let turns = (0..<count).map { turn($0, k, count) }
            return [turns.map { weight * $0.cosine }, turns.map { k == 0 || 2 * k == count ? 0 : -weight * $0.sine }]
        }
        return [try graph.transform(call.inputs[0], call, axis: axis, isComplex: true, matrix, makesComplex: false)]
    }
}

extension Frames: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let count = (try call.specs[0].shape.size(-1) - length) / hop + 1
        let places = (0..<count).flatMap { frame in (0..<length).map { frame * hop + $0 } }
        return [graph.node("Gather", [call.inputs[0], try graph.constant(Tensor(places, [count, length]))], ["axis": .int(-1)])]
    }
}
