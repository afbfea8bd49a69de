import Keel
import KeelData
import Testing

/// Tables in memory, whose columns become tensors.
@Suite struct WholeTableTests {
    private let source = TableSource.bytes(Array("side,kind,weight\n1,b,10\n,a,20\nx, b ,30\n".utf8))

    @Test func numbersLieSideBySideAndWhatIsNoneIsNaN() throws {
        let table = try Table(source)
        #expect(table.columns == ["side", "kind", "weight"])
        #expect(table.rows == 3)
        let numbers = try table.numbers(["weight", "side"])
        #expect(numbers.shape == [3, 2])
        let elements = try numbers.elements()
        #expect(elements[0] == 10 && elements[1] == 1 && elements[2] == 20 && elements[4] == 30)
        #expect(elements[3].isNaN && elements[5].isNaN)
    }

    @Test func categoriesAreNumberedInOrderOfTheirNames() throws {
        let kinds = try Table(source).categories("kind")
        #expect(kinds.names == ["a", "b"])
        #expect(try kinds.codes.elements(Int64.self) == [1, 0, 1])
    }

    @Test func aColumnThatIsNotThereIsRefusedByName() throws {
        let table = try Table(source)
        let error = try #require(throws: TensorError.self) { try table.numbers(["side", "size"]) }
        #expect("\(error)".contains("size") && "\(error)".contains("side, kind, weight"))
        #expect(throws: TensorError.self) { try table.categories("size") }
    }
}
