import KeelKernels

/// What keeps a matrix from being factored.
public enum MatrixFault: Sendable, Hashable, CustomStringConvertible {
    case singular, notPositiveDefinite, notFinite, notConverged, coinciding

    public var description: String {
        switch self {
        case .singular: "is singular"
        case .notPositiveDefinite: "isn't positive definite"
        case .notFinite: "holds NaN or infinity"
        case .notConverged: "didn't converge"
        case .coinciding: "has values that coincide, so its vectors have no gradient"
        }
    }
}

extension Tensor {
    /// How many matrices the last two axes make.
    var matrixCount: Int {
        var count = 1
        for axis in 0..<(rank - 2) { count *= size(axis) }
        return count
    }

    /// The numbers of matrix `index` of a dense stack.
    @inline(__always) func matrix<T>(_ index: Int, _ type: T.Type) -> UnsafeMutablePointer<T> {
        pointer(type) + index * size(-2) * size(-1)
    }
}

extension TensorSpec {
    /// Checks that this is a stack of float matrices, and tells their sizes.
    func matrices(in name: String, square: Bool = false) throws(TensorError) -> (rows: Dimension, columns: Dimension) {
        guard dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", dtype) }
        guard shape.rank >= 2 else { throw .rank(primitive: name, expected: "two axes at least", shape) }
        guard !square || shape[-1] == shape[-2] else { throw .shape(primitive: name, expected: "square matrices", shape) }
        return (shape[-2], shape[-1])
    }
}

/// Does something with each matrix of a stack, on the team, and throws for the first one that has a fault.
///
/// - Parameter work: floating-point operations for one of them; a thread is worth 200,000.
func forEachMatrix(
    _ count: Int, work: Int, in name: String, _ body: (Int) -> MatrixFault?
) throws(TensorError) {
    precondition(Threads.blasIsSingleThreaded, "OpenBLAS keeps to one thread")
    guard count > 0 else { return }
    let faults = UnsafeMutableBufferPointer<MatrixFault?>.allocate(capacity: count)
    defer { faults.deallocate() }
    faults.initialize(repeating: nil)
    withoutActuallyEscaping(body) { body in
        var job = Job(body: body, faults: faults)
        withUnsafeMutablePointer(to: &job) { pointer in
            keel_parallel(
                Int64(count), Int64(max(1, 200_000 / max(work, 1))),
                { context, begin, end in
                    guard let job = context?.assumingMemoryBound(to: Job.self).pointee else { return }
                    for index in Int(begin)..<Int(end) { job.faults[index] = job.body(index) }
                }, pointer)
        }
    }
    for (index, fault) in faults.enumerated() {
        if let fault { throw TensorError(.matrix(primitive: name, index: index, fault)) }
    }
}

private struct Job {
    let body: (Int) -> MatrixFault?
    let faults: UnsafeMutableBufferPointer<MatrixFault?>
}

extension LAPACKNumber {
    static func areFinite(_ numbers: Numbers, _ count: Int) -> Bool {
        for i in 0..<count where !numbers[i].isFinite { return false }
        return true
    }

    /// `to[i, j] = (from[i, j] + from[j, i]) / 2`
    static func symmetricPart(_ n: Int, of from: Numbers, to: Numbers) {
        for i in 0..<n { for j in 0..<n { to[i * n + j] = (from[i * n + j] + from[j * n + i]) / 2 } }
    }
}

extension Tensor {
    /// `1 / (values[j] - values[i])` for the values along the last axis, 0 where `i` is `j`.
    ///
    /// - Throws: `TensorError.matrix` where two values are the same.
    func reciprocalDifferences(in name: String) throws(TensorError) -> Tensor {
        let differences = try withAxis(-2) - withAxis(-1), n = try shape.size(-1)
        let numbers = try differences.detached().cast(to: .float64).moved(to: CPU.shared).elements(Double.self)
        for (place, number) in numbers.enumerated() where number == 0 && place / n % n != place % n {
            throw TensorError(.matrix(primitive: name, index: place / (n * n), .coinciding))
        }
        let identity = try differences.identities()
        return try (differences + identity).reciprocal() - identity
    }

    /// The identity, once for each matrix of a stack of square ones.
    func identities() throws(TensorError) -> Tensor {
        let n = try shape.size(-1)
        let ones = try Tensor.ones([n, n], dtype, on: device)
        return try (ones.lowerTriangle() - ones.lowerTriangle(diagonal: -1)).expanded(to: shape)
    }
}
