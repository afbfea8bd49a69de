import Keel
import Testing

/// The table of `DType.promoted(with:)`, as torch's `promote_types` has it.
@Test func kindsOfNumbersHaveTheirCommonKind() {
    let order: [DType] = [.bool, .uint8, .int32, .int64, .float32, .float64]
    for (i, a) in order.enumerated() {
        for (k, b) in order.enumerated() { #expect(a.promoted(with: b) == order[max(i, k)], "\(a), \(b)") }
        for half in [DType.bfloat16, .float16] {
            let common = a.isFloat ? a : half
            #expect(a.promoted(with: half) == common && half.promoted(with: a) == common, "\(a), \(half)")
        }
    }
    #expect(DType.bfloat16.promoted(with: .bfloat16) == .bfloat16 && DType.float16.promoted(with: .float16) == .float16)
    #expect(DType.bfloat16.promoted(with: .float16) == .float32 && DType.float16.promoted(with: .bfloat16) == .float32)
    #expect(Set(order + [.bfloat16, .float16]) == Set(DType.allCases))
}

@Test func arithmeticOfTwoKindsIsDoneInTheirCommonKind() throws {
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let whole = try Tensor([Int64(3), -2]).moved(to: device), single = try Tensor([Float(0.5), 1.5]).moved(to: device)
        let bools = try Tensor([true, false]).moved(to: device), bytes = try Tensor([UInt8(200), 100]).moved(to: device)
        #expect(try (whole + single).moved(to: CPU.shared).elements() == [3.5, -0.5])
        #expect(try (bytes * Tensor([Int32(2), 3]).moved(to: device)).moved(to: CPU.shared).elements(Int32.self) == [400, 300])
        #expect(try single.maximum(bools).moved(to: CPU.shared).elements() == [1, 1.5])
        #expect(try whole.isLess(than: single).moved(to: CPU.shared).elements(Bool.self) == [false, true])
        let (half, other) = (try single.cast(to: .bfloat16), try single.cast(to: .float16))
        #expect((try half + other).dtype == .float32)
        #expect(try (half * whole).moved(to: CPU.shared).elements() == [1.5, -3])
        #expect((try half * whole).dtype == .bfloat16)
        #expect(try half.isLess(than: other).moved(to: CPU.shared).elements(Bool.self) == [false, false])
        #expect(try bools.select(whole, single).moved(to: CPU.shared).elements() == [3, 1.5])
    }
}

@Test func aGradientThroughAPromotionHasItsVariablesKind() throws {
    let x = try Tensor([Float(0.5), 1.5]).requiringGradient()
    let y = try x * Tensor([2.0, 3.0])
    #expect(y.dtype == .float64)
    let gradient = try y.sum().gradients(of: [x])[0]
    #expect(gradient.dtype == .float32)
    #expect(try gradient.elements() == [2, 3])
}
