import Foundation
import KeelData
import SlipwayDomain
import SlipwayTasks
import Testing

private func problem(csv: String, target: String? = nil, columns: [ColumnProfile]? = nil) -> Problem? {
    #expect(throws: Problem.self) { try Imported(csv: csv, target: target, columns: columns) }
}

@Test func rowsKeepTheirTextAndMissingValuesAreNil() throws {
    let result = try Imported(csv: "age, city ,label\n 1.50 ,\"Paris, FR\",yes\nNA,,no\n2,Rome,\n")
    #expect(result.items.map(\.name) == ["row 1", "row 2", "row 3"])
    #expect(result.items.map(\.row) == [[" 1.50 ", "Paris, FR", "yes"], [nil, nil, "no"], ["2", "Rome", nil]])
    #expect(result.items.map(\.label) == ["yes", "no", nil])
    let profile = try #require(result.summary?.profile)
    #expect(profile.target == "label" && profile.items == 3 && profile.unlabelled == 1)
    #expect(profile.classes == [ClassCount(name: "no", count: 1), ClassCount(name: "yes", count: 1)])
    #expect(profile.columns?.map(\.name) == ["age", "city", "label"])
    #expect(profile.columns?.map(\.type) == [.number, .category, .boolean])
    #expect(profile.columns?.map(\.missing) == [1, 1, 1])
    #expect(profile.columns?[0].minimum == 1.5 && profile.columns?[0].maximum == 2 && profile.columns?[0].mean == 1.75)
    #expect(result.summary?.warnings.contains { $0.contains("missing in 1 of 3") } == true)
}

@Test func theTargetIsTheLastColumnUnlessNamed() throws {
    #expect(try Imported(csv: "a,b\n1,x\n2,y\n").items.map(\.label) == ["x", "y"])
    #expect(try Imported(csv: "a,b\n1,x\n2,y\n", target: "a").items.map(\.label) == ["1", "2"])
    let found = problem(csv: "a,b\n1,x\n", target: "c")
    #expect(found?.code == "train-no-label-column" && found?.errors.first?.column == "c")
}

@Test func twinsShareASplitHashHoweverTheyAreWritten() throws {
    let items = try Imported(csv: "a,b\n1,x\n 1 ,x\n2,x\nNA,x\n,x\n").items
    #expect(items[0].splitHash == items[1].splitHash && items[3].splitHash == items[4].splitHash)
    #expect(Set(items.map(\.splitHash)).count == 3)
}

@Test func whatTheUserShouldKnowIsWarnedOf() throws {
    func warnings(_ csv: String) throws -> String { try Imported(csv: csv).summary?.warnings.joined(separator: " ") ?? "" }
    #expect(try warnings("a,b\n1,x\n1,x\n2,y\n").contains("1 of 3 rows repeat"))
    #expect(try warnings("a,b\n1,x\ninf,y\n2,y\n").contains("on line 3"))
    #expect(try warnings("a,b\n1,x\n,\n2,y\n").contains("1 rows without any value"))
    #expect(try warnings("a;b\n1,5;x\n2,25;y\n").contains("another notation"))
    #expect(try warnings("1,2\n3,4\n5,6\n").contains("looks like data"))
    #expect(try warnings("a,b\n,x\n,y\n").contains("'a' has no values"))
    let mostly = "a,b\n" + (0..<99).map { "\($0),x\n" }.joined() + "many,y\n"
    #expect(try warnings(mostly).contains("1 values of 'a' can't be read as a number"))
}

@Test func faultsNameTheirLine() {
    let ragged = problem(csv: "a,b\n1,2\n3\n4,5,6\n")
    #expect(ragged?.code == "table-ragged" && ragged?.status == 422)
    #expect(ragged?.errors.map(\.row) == [3, 4])
    #expect(problem(csv: "a,a\n1,2\n")?.errors.first?.column == "a")
    #expect(problem(csv: "a,b\n1,\"x\n")?.errors.first?.row == 2)
    #expect(problem(csv: "a,b\n,\n")?.code == "table-empty")
}

@Test func otherFilesAreSaidToBeWhatTheyAre() {
    for bytes in [[0x50, 0x4B, 3, 4, 0, 0], [0x89, 0x50, 0x4E, 0x47]] as [[UInt8]] {
        let found = #expect(throws: Problem.self) { try Imported(bytes, task: .tabularRegression) }
        #expect(found?.status == 415)
    }
}

@Test func formatsAndEncodingsThatArentKnownAreNamed() throws {
    let bytes = Array("a,b\n1,2\n".utf8)
    for format in ["coco", "image-folder"] {
        let found = #expect(throws: Problem.self) { try Imported(bytes, task: .tabularRegression, format: format) }
        #expect(found?.code == "import-format" && found?.errors.first?.parameter == "format")
    }
    let found = #expect(throws: Problem.self) { try Imported(bytes, task: .tabularRegression, encoding: "klingon") }
    #expect(found?.code == "table-encoding")
    #expect(try Imported(bytes, task: .tabularRegression, encoding: "GBK").items.count == 1)
}

@Test func appendedRowsTakeTheOrderAndTypesOfTheBase() throws {
    let base = [
        ColumnProfile(name: "a", type: .category, missing: 0, distinct: 2),
        ColumnProfile(name: "b", type: .number, missing: 0, distinct: 2),
    ]
    let result = try Imported(csv: "b,a\n1,2\n3,4\n", columns: base)
    #expect(result.items.map(\.row) == [["2", "1"], ["4", "3"]])
    #expect(result.summary?.profile.columns?.map(\.type) == [.category, .number])
    let differs = problem(csv: "a,c\n1,2\n", columns: base)
    #expect(differs?.code == "table-columns-differ" && differs?.errors.map(\.column) == ["b", "c"])
}

@Test func regressionHasNoClasses() throws {
    let result = try Imported(csv: "a,price\n1,2.5\n2,7\n", task: .tabularRegression)
    #expect(result.summary?.profile.classes.isEmpty == true && result.items.map(\.label) == ["2.5", "7"])
}

@Test func identifiersAreMarkedButNeverTheTarget() throws {
    let rows = (0..<60).map { "K\($0 * 13),\($0 % 5),\($0 * 2)\n" }.joined()
    let columns = try Imported(csv: "key,x,y\n" + rows, task: .tabularRegression).summary?.profile.columns
    #expect(columns?.map(\.isIdentifier) == [true, false, false])
    #expect(columns?[1].top.count == 5 && columns?[1].top.first?.count == 12)
}
