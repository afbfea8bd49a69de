import Keel

/// Rows of rounding to bytes and back, and of tables of bytes.
let roundingCases: [PrimitiveCase] = [
    PrimitiveCase(
        names: ["ByteTable"], shapes: [[[5, 3]], [[4, 1]], [[7, 0]], [[4, 200]]], isDifferentiable: false,
        rejects: [([[2, 3]], "index 3 at position 0"), ([[4, 3, 1]], "[rows, width]")]
    ) { try .rows(of: QuantisedWeights($0[0], bits: 8), at: Tensor([Int64(3), 0, -1, 3], [2, 2]).moved(to: $0[0].device)) },
    PrimitiveCase(
        names: ["FakeQuantised"], shapes: PrimitiveCase.unaryShapes, isDifferentiable: false,
        function: { try $0[0].fakeQuantised(ByteScale(covering: -1...1.5)) }),
    PrimitiveCase(
        names: ["FakeQuantised"], shapes: PrimitiveCase.unaryShapes, isDifferentiable: false, function: { try $0[0].fakeQuantised(nil) }),
]
