import COpenBLAS

/// The routines of BLAS and LAPACK that linear algebra needs, in one precision.
///
/// LAPACK's matrices lie column by column, Keel's row by row: what Keel calls `a`, LAPACK reads as `aᵀ`, and the routines are chosen so
/// that nothing has to be turned over.
protocol LAPACKNumber: BinaryFloatingPoint, BitwiseCopyable, Sendable {
    typealias Numbers = UnsafeMutablePointer<Self>

    static var routines: LAPACKRoutines<Self> { get }
}

extension Float: LAPACKNumber {
    static var routines: LAPACKRoutines<Float> {
        LAPACKRoutines(
            potrf: spotrf_, getrf: sgetrf_, trsm: cblas_strsm, gelqf: sgelqf_, orglq: sorglq_, gesdd: sgesdd_, syevd: ssyevd_, geev: sgeev_)
    }
}

extension Double: LAPACKNumber {
    static var routines: LAPACKRoutines<Double> {
        LAPACKRoutines(
            potrf: dpotrf_, getrf: dgetrf_, trsm: cblas_dtrsm, gelqf: dgelqf_, orglq: dorglq_, gesdd: dgesdd_, syevd: dsyevd_, geev: dgeev_)
    }
}

/// The library's functions for one kind of number, as C declares them.
struct LAPACKRoutines<T> {
    typealias Text = UnsafePointer<CChar>?
    typealias Size = UnsafePointer<Int32>?
    typealias Info = UnsafeMutablePointer<Int32>?
    typealias Read = UnsafePointer<T>?
    typealias Numbers = UnsafeMutablePointer<T>?

    let potrf: (Text, Size, Numbers, Size, Info, Int) -> Void
    let getrf: (Size, Size, Numbers, Size, Info, Info) -> Void
    let trsm: (CBLAS_ORDER, CBLAS_SIDE, CBLAS_UPLO, CBLAS_TRANSPOSE, CBLAS_DIAG, Int32, Int32, T, Read, Int32, Numbers, Int32) -> Void
    let gelqf: (Size, Size, Numbers, Size, Numbers, Numbers, Size, Info) -> Void
    let orglq: (Size, Size, Size, Numbers, Size, Read, Numbers, Size, Info) -> Void
    let gesdd: (Text, Size, Size, Numbers, Size, Numbers, Numbers, Size, Numbers, Size, Numbers, Size, Info, Info, Int) -> Void
    let syevd: (Text, Text, Size, Numbers, Size, Numbers, Numbers, Size, Info, Size, Info, Int, Int) -> Void
    let geev: (Text, Text, Size, Numbers, Size, Numbers, Numbers, Numbers, Size, Numbers, Size, Numbers, Size, Info, Int, Int) -> Void
}

/// Asks a routine how much room it wants, and calls it with that.
private func withWork<T: LAPACKNumber>(_ type: T.Type, _ call: (T.Numbers, Int32) -> Int32) -> Int {
    var best = T.zero
    let query = call(&best, -1)
    guard query == 0 else { return Int(query) }
    let length = max(1, Int(best.nextUp.rounded(.up)))  // a float may be a little less than the length that it stands for
    return withUnsafeTemporaryAllocation(of: T.self, capacity: length) { work in
        work.baseAddress.map { Int(call($0, Int32(length))) } ?? -1
    }
}

private func withIntegers(_ count: Int, _ body: (UnsafeMutablePointer<Int32>) -> Int) -> Int {
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: max(count, 1)) { $0.baseAddress.map(body) ?? -1 }
}

extension LAPACKNumber {
    /// The upper factor of a positive definite matrix, column by column. Above 0: that leading minor isn't positive.
    static func potrf(_ n: Int, _ a: Numbers) -> Int {
        var (n, info) = (Int32(n), Int32(0))
        routines.potrf("U", &n, a, &n, &info, 1)
        return Int(info)
    }

    /// `P L U`. Above 0: that pivot is 0.
    static func getrf(_ n: Int, _ a: Numbers, _ pivots: UnsafeMutablePointer<Int32>) -> Int {
        var (n, info) = (Int32(n), Int32(0))
        routines.getrf(&n, &n, a, &n, pivots, &info)
        return Int(info)
    }

    /// `b := a⁻¹ b` (or `b := b a⁻¹`) with a triangular `a`, both row by row.
    static func trsm(onLeft: Bool, upper: Bool, unit: Bool, _ n: Int, _ columns: Int, _ a: Numbers, _ b: Numbers) {
        routines.trsm(
            onLeft ? CblasRowMajor : CblasColMajor, onLeft ? CblasLeft : CblasRight, upper ? CblasUpper : CblasLower, CblasNoTrans,
            unit ? CblasUnit : CblasNonUnit, Int32(onLeft ? n : columns), Int32(onLeft ? columns : n), 1, a, Int32(n), b, Int32(columns))
    }

    /// `L Q` of an m x n matrix: its factor in the lower triangle, and the first min(m, n) rows of `Q`.
    static func gelqf(_ m: Int, _ n: Int, _ a: Numbers, _ tau: Numbers) -> Int {
        var (m, n, info) = (Int32(m), Int32(n), Int32(0))
        return withWork(Self.self) { work, length in
            routines.gelqf(&m, &n, a, &m, tau, work, [length], &info)
            return info
        }
    }

    static func orglq(_ k: Int, _ n: Int, _ a: Numbers, _ tau: Numbers) -> Int {
        var (k, n, info) = (Int32(k), Int32(n), Int32(0))
        return withWork(Self.self) { work, length in
            routines.orglq(&k, &n, &k, a, &k, tau, work, [length], &info)
            return info
        }
    }

    static func gesdd(_ m: Int, _ n: Int, _ a: Numbers, _ s: Numbers, _ u: Numbers, _ vt: Numbers) -> Int {
        var (m, n, k, info) = (Int32(m), Int32(n), Int32(min(m, n)), Int32(0))
        return withIntegers(8 * Int(k)) { integers in
            withWork(Self.self) { work, length in
                routines.gesdd("S", &m, &n, a, &m, s, u, &m, vt, &k, work, [length], integers, &info, 1)
                return info
            }
        }
    }

    static func syevd(_ n: Int, _ a: Numbers, _ w: Numbers) -> Int {
        var (size, info) = (Int32(n), Int32(0))
        let integers = 3 + 5 * n
        return withIntegers(integers) { room in
            withWork(Self.self) { work, length in
                routines.syevd("V", "U", &size, a, &size, w, work, [length], room, [length < 0 ? -1 : Int32(integers)], &info, 1, 1)
                return info
            }
        }
    }

    static func geev(_ n: Int, _ a: Numbers, _ real: Numbers, _ imaginary: Numbers) -> Int {
        var (n, one, info) = (Int32(n), Int32(1), Int32(0))
        return withWork(Self.self) { work, length in
            routines.geev("N", "N", &n, a, &n, real, imaginary, nil, &one, nil, &one, work, [length], &info, 1, 1)
            return info
        }
    }
}
