public import Keel
public import Testing

/// The same spec and the same bits.
package func expectEqual(_ found: [Tensor], _ expected: [Tensor], sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(found.map(\.spec) == expected.map(\.spec), sourceLocation: sourceLocation)
    for (i, (a, b)) in zip(found, expected).enumerated() where a.spec == b.spec {
        let isSame = try a.withBytes { x throws(TensorError) in try b.withBytes { y in x.elementsEqual(y) } }
        #expect(isSame, "result \(i)", sourceLocation: sourceLocation)
    }
}

/// The same spec, and numbers that differ by at most `tolerance` times the largest expected one.
package func expectClose(_ found: [Tensor], _ expected: [Tensor], _ tolerance: Float, sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(found.map(\.spec) == expected.map(\.spec), sourceLocation: sourceLocation)
    for (i, (a, b)) in zip(found, expected).enumerated() where a.spec == b.spec {
        guard b.dtype.isFloat else {
            try expectEqual([a], [b], sourceLocation: sourceLocation)
            continue
        }
        let x = try a.elements(), y = try b.elements(), scale = max(y.map(abs).max() ?? 0, 1e-3)
        for (k, (p, q)) in zip(x, y).enumerated() where !(abs(p - q) <= tolerance * scale) {
            Issue.record("result \(i), number \(k) is \(p), expected \(q)", sourceLocation: sourceLocation)
            break
        }
    }
}
