import Keel
import Testing

/// Products of every size class that the kernels tell apart: whole and broken tiles, blocks, and stretches of the sum.
@Suite struct MatrixProductTests {
    @Test(arguments: [
        (1, 16, 1), (5, 17, 3), (6, 16, 4), (7, 31, 5), (97, 33, 385), (96, 48, 384), (13, 1040, 7), (200, 1025, 770), (24, 64, 0), (64, 15, 9), (1, 300, 401),
    ])
    func productsOfAnySizeAndLayoutAreRight(rows: Int, columns: Int, depth: Int) throws {
        // Whole numbers of few bits: every correct sum is exact.
        func numbers(_ shape: Shape, _ factor: Int) throws -> Tensor {
            try Tensor((0..<shape.elementCount()).map { Float($0 * factor % 11 - 5) }, shape)
        }
        let a = try numbers([rows, depth], 7), b = try numbers([depth, columns], 5), bias = try numbers([columns], 3)
        let expected = try a.moved(to: Reference.shared).matmul(b.moved(to: Reference.shared)).moved(to: CPU.shared), biased = try (expected + bias).elements()
        let left = [a, try a.transposed().contiguous().transposed()], right = [b, try b.transposed().contiguous().transposed()]
        for a in left {
            for b in right {
                #expect(try a.matmul(b).elements() == expected.elements())
                #expect(try a.affine(b.transposed(), bias: bias).elements() == biased)
            }
        }
    }
}
