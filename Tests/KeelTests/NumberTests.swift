import Keel
import Testing

// Arithmetic and comparisons with plain numbers.

@Test func aNumberStandsOnEitherSideOfADivision() throws {
    let x = try Tensor([Float(1), 2, -4]).requiringGradient()
    #expect(try (1 / x).elements() == [1, 0.5, -0.25])
    let y = try 2 / x
    #expect(try y.elements() == [2, 1, -0.5])
    // -2 / x²
    #expect(try y.sum().gradients(of: [x])[0].elements() == [-2, -0.5, -0.125])
}

@Test(arguments: [DType.float32, .float64, .bfloat16, .int64, .int32, .uint8])
func tensorsAreComparedWithNumbers(_ dtype: DType) throws {
    let x = try Tensor([Float(0), 1, 2]).cast(to: dtype)
    #expect(try x.isGreater(than: 1).elements(Bool.self) == [false, false, true])
    #expect(try x.isAtLeast(0.5).elements(Bool.self) == [false, true, true])
    #expect(try x.isLess(than: 0.5).elements(Bool.self) == [true, false, false])
    #expect(try x.isAtMost(1).elements(Bool.self) == [true, true, false])
    #expect(try x.equals(2).elements(Bool.self) == [false, false, true])
    #expect(try x.equals(0.5).elements(Bool.self) == [false, false, false])
    #expect(try x.equals(-1).elements(Bool.self) == [false, false, false])
    let clipped = try x.maximum(1)
    #expect(clipped.dtype == dtype)
    #expect(try clipped.cast(to: .float32).elements() == [1, 1, 2])
    #expect(try x.minimum(1).cast(to: .float32).elements() == [0, 1, 1])
}

@Test func aNumberThatATensorCantHoldIsRefused() throws {
    #expect(throws: TensorError.self) { try Tensor([UInt8(1)]).maximum(-1) }
    #expect(try Tensor([Float(1), .nan]).isLess(than: .infinity).elements(Bool.self) == [true, false])
}
