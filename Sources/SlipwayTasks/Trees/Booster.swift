internal import CXGBoost
internal import Foundation

/// A failed call of XGBoost's.
struct BoosterError: Error, CustomStringConvertible {
    var description: String

    static func check(_ code: Int32) throws {
        guard code == 0 else { throw BoosterError(description: String(cString: XGBGetLastError())) }
    }
}

/// Rows of floats with labels, as XGBoost holds them. NaN is a missing value.
final class BoosterMatrix {
    let handle: DMatrixHandle
    let rows: Int
    /// The sums that a booster starts from, `outputs` a row; empty: XGBoost's own base score.
    private(set) var base: [Float] = []

    /// - Parameter categories: whether each column holds codes of a category.
    init(_ values: [Float], width: Int, labels: [Float], categories: [Bool]) throws {
        precondition(values.count == width * labels.count, "a label a row")
        rows = labels.count
        var made: DMatrixHandle?
        try values.withUnsafeBufferPointer { values in
            try BoosterError.check(
                XGDMatrixCreateFromMat(values.baseAddress, bst_ulong(labels.count), bst_ulong(width), .nan, &made))
        }
        guard let made else { throw BoosterError(description: "no matrix was made") }
        handle = made
        try BoosterError.check(XGDMatrixSetFloatInfo(handle, "label", labels, bst_ulong(labels.count)))
        let (numeric, category) = (strdup("q"), strdup("c"))
        defer {
            free(numeric)
            free(category)
        }
        var types: [UnsafePointer<CChar>?] = categories.map { UnsafePointer($0 ? category : numeric) }
        try BoosterError.check(XGDMatrixSetStrFeatureInfo(handle, "feature_type", &types, bst_ulong(types.count)))
    }

    deinit { XGDMatrixFree(handle) }

    func setBase(_ sums: [Float]) throws {
        base = sums
        try BoosterError.check(XGDMatrixSetFloatInfo(handle, "base_margin", sums, bst_ulong(sums.count)))
    }
}

/// A growing ensemble of trees.
final class Booster {
    private let handle: BoosterHandle
    private let matrices: [BoosterMatrix]

    /// - Parameter matrices: those that will be predicted while training: XGBoost keeps their sums.
    init(_ parameters: [String: String], matrices: [BoosterMatrix]) throws {
        self.matrices = matrices
        var made: BoosterHandle?
        let handles: [DMatrixHandle?] = matrices.map(\.handle)
        try BoosterError.check(XGBoosterCreate(handles, bst_ulong(handles.count), &made))
        guard let made else { throw BoosterError(description: "no booster was made") }
        handle = made
        for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
            try BoosterError.check(XGBoosterSetParam(handle, name, value))
        }
    }

    deinit { XGBoosterFree(handle) }

    func train(round: Int, on matrix: BoosterMatrix) throws {
        try BoosterError.check(XGBoosterUpdateOneIter(handle, Int32(round), matrix.handle))
    }

    /// Sums of the trees' leaves, before any link function.
    func margins(_ matrix: BoosterMatrix) throws -> [Float] {
        var count: bst_ulong = 0
        var result: UnsafePointer<Float>?
        try BoosterError.check(XGBoosterPredict(handle, matrix.handle, 1, 0, 0, &count, &result))
        return Array(UnsafeBufferPointer(start: result, count: Int(count)))
    }

    /// XGBoost's own JSON.
    func json() throws -> Data {
        var count: bst_ulong = 0
        var bytes: UnsafePointer<CChar>?
        try BoosterError.check(XGBoosterSaveModelToBuffer(handle, "{\"format\":\"json\"}", &count, &bytes))
        guard let bytes else { throw BoosterError(description: "no model was written") }
        return Data(bytes: bytes, count: Int(count))
    }
}
