import Keel
import Testing

private let halves: [DType] = [.bfloat16, .float16]

@Test(arguments: halves)
func castsToHalfFloatsAreThoseOfTorch(_ half: DType) throws {
    let file = try GoldenFile("golden_half")
    for name in ["cast", "whole"] {
        let given = try file.tensor("\(name)/in"), expected = try file.tensor("\(name)/\(half)")
        #expect(expected.dtype == half)
        for device in [CPU.shared, Reference.shared] as [any Device] {
            let found = try given.moved(to: device).cast(to: half).moved(to: CPU.shared)
            for (i, (a, b)) in zip(try found.elements(), try expected.elements()).enumerated() {
                #expect(a.bitPattern == b.bitPattern || a.isNaN && b.isNaN, "\(name), number \(i) is \(a), expected \(b)")
            }
        }
    }
}

@Test func promotionsAreThoseOfTorch() throws {
    let table = try GoldenFile("golden_half").tensor("promotion").elements(Int64.self), kinds = DType.allCases
    #expect(table.count == kinds.count * kinds.count)
    for (i, a) in kinds.enumerated() {
        for (k, b) in kinds.enumerated() { #expect(a.promoted(with: b) == kinds[Int(table[i * kinds.count + k])], "\(a), \(b)") }
    }
}

/// Torch rounds inside of its gradients, Keel between them: of a dozen roundings, each of up to 2^-9 or 2^-12 of a number, 2^-5 or 2^-8 of the
/// largest one may come.
@Test(arguments: zip(halves, [Float(0x1p-5), 0x1p-8]))
func aNetworkOfHalfFloatsIsNearlyTorchs(_ half: DType, _ tolerance: Float) throws {
    let file = try GoldenFile("golden_half"), v = try file.tensors("\(half)/in").map { $0.requiringGradient() }
    let gradients = try file.tensors("\(half)/grad"), labels = try file.tensor("\(half)/labels")
    let hidden = try v[0].affine(v[1], bias: v[2]).gelu().layerNormalised(scale: v[3], bias: v[4], epsilon: 1e-5)
    let logits = try hidden.affine(v[5], bias: v[6]), loss = try logits.softmaxCrossEntropy(labels), found = try loss.gradients(of: v)
    #expect(logits.dtype == half && loss.dtype == half && found.allSatisfy { $0.dtype == half })
    try expectGolden(logits, file.tensor("\(half)/logits"), "logits", tolerance: tolerance)
    try expectGolden(loss, file.tensor("\(half)/loss"), "loss", tolerance: tolerance)
    #expect(found.count == gradients.count)
    for (i, (a, b)) in zip(found, gradients).enumerated() { try expectGolden(a, b, "gradient \(i)", tolerance: tolerance) }
}
