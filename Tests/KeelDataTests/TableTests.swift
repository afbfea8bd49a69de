import BadInputs
import Foundation
import KeelData
import KeelDecoders
import Testing

/// A table read whole: its header and rows.
struct ReadTable {
    var columns: [String] = []
    var rows: [[String]] = []
    var lines: [Int] = []
    var encoding = TextEncoding.utf8
    var delimiter: Character = ","

    init(_ source: TableSource, encoding: TextEncoding? = nil, limits: TableLimits = TableLimits()) throws {
        var reader = try TableReader(source, encoding: encoding, limits: limits)
        columns = reader.columns
        self.encoding = reader.encoding
        delimiter = reader.delimiter
        var record = TableRecord()
        while try reader.next(into: &record) {
            rows.append((0..<record.count).map { record[$0] })
            lines.append(record.line)
        }
    }

    init(_ text: String, limits: TableLimits = TableLimits()) throws {
        try self.init(.bytes(Array(text.utf8)), limits: limits)
    }
}

@Test(arguments: [
    ("a,b\n1,2\n", [["1", "2"]]), ("a,b\r\n1,2\r\n", [["1", "2"]]), ("a,b\r1,2\r3,4", [["1", "2"], ["3", "4"]]),
    ("a,b\n1,2", [["1", "2"]]), ("a,b\n,\n", [["", ""]]), ("a,b\n\n1,2\n\n", [["1", "2"]]),
    ("a,b\n\"x, \"\"y\"\"\n z\",2\n", [["x, \"y\"\n z", "2"]]), ("a,b\n\"\",\"\"\n", [["", ""]]),
    ("a,b\n5\" pipe,2\n", [["5\" pipe", "2"]]), ("a,b\n 1 , 2 \n", [[" 1 ", " 2 "]]),
    ("\u{FEFF}a,b\n1,2\n", [["1", "2"]]), ("a,b\n\"1\",\"2\"", [["1", "2"]]), ("a;b\n1,5;2\n", [["1,5", "2"]]),
    ("a\tb\n1\t2\n", [["1", "2"]]), ("a|b\n1|2\n", [["1", "2"]]),
])
func recordsAreReadAsTheyStand(_ text: String, _ rows: [[String]]) throws {
    let table = try ReadTable(text)
    #expect(table.columns == ["a", "b"])
    #expect(table.rows == rows)
}

@Test(arguments: [
    ("", "table-empty", nil), ("\n\n", "table-empty", nil), ("a,b\n", "table-empty", nil), ("a,b", "table-empty", nil),
    ("a,b\n1,2\n3\n", "table-ragged", 3), ("a,b\n1,2\n\n3,4,5\n", "table-ragged", 4), ("a,b\n\"x\n\n", "table-corrupt", 2),
    ("a,b\n\"x\"y,1\n", "table-corrupt", 2), ("a,b\n1,\0\n", "table-corrupt", 2), ("a,a\n1,2\n", "table-duplicate-column", nil),
    ("a, a\n1,2\n", "table-duplicate-column", nil), ("a\n1\n", "table-one-column", nil),
    ("a,b\n1,2345678901\n", "table-field-too-long", 2), ("a,b,c,d,e\n1,2,3,4,5\n", "table-too-many-columns", nil),
    ("a,b\n\"p\nq\",2\n\"r\ns\n\",3\nx\n", "table-ragged", 7),
] as [(String, String, Int?)])
func faultyTablesAreRefusedWithCodeAndLine(_ text: String, _ code: String, _ line: Int?) {
    let error = #expect(throws: TableError.self) {
        try ReadTable(text, limits: TableLimits(columns: 4, fieldBytes: 8, recordBytes: 64))
    }
    #expect(error?.code == code)
    #expect(error?.line == line)
}

@Test func raggedLinesAreNamedTogether() {
    let error = #expect(throws: TableError.self) { try ReadTable("a,b\n1,2\n1\n1,2\n1,2,3\n") }
    guard case .ragged(2, let lines) = error else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(lines.map(\.line) == [3, 5] && lines.map(\.fields) == [1, 3])
}

private let chinese = "特征一,特征二,标签\n1.5,2,猫\n-1,3,狗\n"

private func gb18030(_ text: String) -> [UInt8] {
    // 特征一,特征二,标签 and so on, written out: Foundation can't encode GB 18030 on every system.
    let codes: [Character: [UInt8]] = [
        "特": [0xCC, 0xD8], "征": [0xD5, 0xF7], "一": [0xD2, 0xBB], "二": [0xB6, 0xFE], "标": [0xB1, 0xEA],
        "签": [0xC7, 0xA9], "猫": [0xC3, 0xA8], "狗": [0xB9, 0xB7],
    ]
    return text.flatMap { codes[$0] ?? Array($0.utf8) }
}

@Test func encodingsAreFoundOrDeclared() throws {
    let expected = try ReadTable(chinese)
    let utf16 = chinese.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    let swapped = chinese.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    for (bytes, declared, encoding) in [
        (Array(chinese.utf8), nil, TextEncoding.utf8), ([0xFF, 0xFE] + utf16, nil, .utf16LittleEndian),
        ([0xFE, 0xFF] + swapped, nil, .utf16BigEndian), (utf16, .utf16LittleEndian, .utf16LittleEndian),
        (gb18030(chinese), nil, .gb18030), (gb18030(chinese), .gb18030, .gb18030),
    ] as [([UInt8], TextEncoding?, TextEncoding)] {
        let table = try ReadTable(.bytes(bytes), encoding: declared)
        #expect(table.columns == expected.columns && table.rows == expected.rows && table.encoding == encoding)
    }
}

@Test func aDeclaredEncodingWinsOverWhatTheBytesLookLike() throws {
    // The cat in GBK is also the UTF-8 of è.
    let bytes = gb18030("x,y\n1,猫\n")
    #expect(try ReadTable(.bytes(bytes)).rows == [["1", "è"]])
    #expect(try ReadTable(.bytes(bytes), encoding: .gb18030).rows == [["1", "猫"]])
}

@Test func aStrayLineOfAnotherEncodingIsNamedByLineAndOffset() {
    let lines = (0..<100).map { "\($0),\($0 % 2)\n" }.joined()
    let bytes = Array("x,y\n\(lines)".utf8) + gb18030("100,狗\n") + Array(lines.utf8)
    let error = #expect(throws: TableError.self) { try ReadTable(.bytes(bytes)) }
    guard case .encoding(.utf8, 102, let offset, _) = error else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(offset == 4 + lines.utf8.count + 4)
}

@Test func aDeclaredEncodingThatIsWrongIsNamedByLineAndOffset() {
    let error = #expect(throws: TableError.self) {
        try ReadTable(.bytes(Array("a,b\n1,2\n3,".utf8) + [0xFF, 0x0A]), encoding: .gb18030)
    }
    guard case .encoding(.gb18030, 3, 10, _) = error else {
        Issue.record("\(String(describing: error))")
        return
    }
}

@Test func recordsAreTheSameWhereverThePiecesOfAFileEnd() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("keel-table-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    // Longer than several pieces, with quotes, line ends and Chinese at every possible place of a cut.
    var text = "n,text\r\n"
    for n in 0..<40_000 { text += "\(n),\"行 \(n), \"\"q\"\"\r\n猫\(String(repeating: "x", count: n % 17))\"\r\n" }
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let table = try ReadTable(.file(path: path))
    #expect(table.rows.count == 40_000)
    for (n, row) in table.rows.enumerated() {
        #expect(row == ["\(n)", "行 \(n), \"q\"\r\n猫\(String(repeating: "x", count: n % 17))"])
        #expect(table.lines[n] == 2 + 2 * n)
        if row[0] != "\(n)" { break }
    }
}

@Test func aMissingFileIsSaidToBeUnreadable() {
    let error = #expect(throws: TableError.self) { try ReadTable(.file(path: "/nonexistent/table.csv")) }
    #expect(error?.code == "table-corrupt")
}

// MARK: - Values

@Test(arguments: [
    ("1", 1), ("-1.5", -1.5), ("+2", 2), (".5", 0.5), ("5.", 5), (" 7 ", 7), ("1e3", 1000), ("1E-3", 0.001),
    ("0.1", 0.1), ("123456789012345680", 123456789012345680), ("3.141592653589793238", Double.pi), ("1e-400", 0),
    ("007", 7), ("2.2250738585072014e-308", 2.2250738585072014e-308), ("0.000000000000000000000000000123", 1.23e-28),
])
func numbersAreExact(_ text: String, _ value: Double) { #expect(TableValue.number(text) == value) }

@Test(arguments: ["", "-", ".", "1.2.3", "1,5", "1,000", "0x10", "nan", "inf", "-Infinity", "1e309", "1e", "e5", "1 2", "٣"])
func whatIsNoFiniteNumberIsNil(_ text: String) { #expect(TableValue.number(text) == nil) }

@Test(arguments: 0..<2000)
func everyDoubleIsReadBack(seed: Int) {
    var random = Mutations(seed: UInt64(seed + 1))
    let value = Double(bitPattern: random.next())
    if value.isFinite { #expect(TableValue.number("\(value)") == value) }
    let short = (Double.random(in: -1000...1000, using: &random) * 1000).rounded() / 1000
    #expect(TableValue.number("\(short)") == short)
}

@Test(arguments: [
    ("1970-01-01", 0), ("2024-01-31", 1_706_659_200), ("2024/1/31", 1_706_659_200), ("2024.01.31", 1_706_659_200),
    ("31.01.2024", 1_706_659_200), ("1/31/2024", 1_706_659_200), ("2024年1月31日", 1_706_659_200),
    ("2024-01-31 12:30", 1_706_704_200), ("2024-01-31T12:30:15Z", 1_706_704_215),
    ("2024-01-31T12:30:15.5+08:00", 1_706_675_415.5), ("1969-12-31", -86_400), ("2000-02-29", 951_782_400),
    ("1900-03-01", -2_203_891_200),
])
func datesAreSecondsSince1970(_ text: String, _ seconds: Double) { #expect(TableValue.date(text) == seconds) }

@Test(arguments: ["2023-02-29", "1900-02-29", "2024-13-01", "31/1/2024", "2024-1", "20240131", "12:30", "1.2.3", "2024-01-31 25:00", "猫猫猫"])
func whatIsNoDateIsNil(_ text: String) { #expect(TableValue.date(text) == nil) }

@Test func missingValuesAndBooleansHaveManySpellings() {
    for text in ["", " ", "NA", "n/a", "NaN", "null", "NULL", "None", "?", "-", "#N/A"] { #expect(TableValue.isMissing(text)) }
    for text in ["0", "no", "nano", "missing", "无"] { #expect(!TableValue.isMissing(text)) }
    for text in ["true", "Yes", "T", "1", "是"] { #expect(TableValue.boolean(text) == true) }
    for text in ["FALSE", "no", "f", "0", "否"] { #expect(TableValue.boolean(text) == false) }
    #expect(TableValue.boolean("maybe") == nil && TableValue.boolean("") == nil)
}

// MARK: - Columns

private func summary(_ values: [String]) throws -> ColumnSummary {
    var reader = try TableReader(.bytes(Array(("x,y\n" + values.map { "\"\($0)\",\n" }.joined()).utf8)))
    var summary = ColumnSummary()
    var record = TableRecord()
    while try reader.next(into: &record) { summary.add(record, field: 0) }
    return summary
}

@Test(arguments: [
    (["1", "2.5", "NA", "-3"], ColumnKind.number), (["0", "1", "0"], .number), (["yes", "no", ""], .boolean),
    (["true", "false", "maybe"], .category), (["2024-01-01", "2024-02-01 10:00"], .date), (["red", "blue", "red"], .category),
    (["", "NA"], .category), (["a b c d e", "f g h i j", "k l m n o"], .text), (["1", "2", "three"], .category),
])
func kindsAreInferredFromAllValues(_ values: [String], _ kind: ColumnKind) throws {
    #expect(try summary(values).kind == kind)
}

@Test func aSummaryCountsWhatItSaw() throws {
    let numbers = try summary(["1", "2", "2", "inf", "NA", "6"])
    #expect(numbers.rows == 6 && numbers.missing == 1 && numbers.infinite == 1 && numbers.firstInfiniteLine == 5)
    #expect(numbers.numbers.minimum == 1 && numbers.numbers.maximum == 6 && numbers.numbers.mean == 2.75)
    #expect(numbers.distinct == 4 && numbers.unreadable(as: .number) == 1)
    let words = try summary(["b", "a", "c", "a", " a "])
    #expect(words.top(2).map(\.value) == ["a", "b"] && words.top(2).map(\.count) == [3, 1])
    #expect(try summary(["1.234,5", "2,5", "3,25"]).hasOddNumbers)
}

@Test func columnsThatNameRowsAreIdentifiers() throws {
    #expect(try summary((0..<100).map { "customer-\($0)" }).isIdentifier(named: "customer"))
    #expect(try summary((0..<100).map { "\($0 + 1000)" }).isIdentifier(named: "n"))
    #expect(try summary((0..<100).map { "\($0 * 7919 % 100_003)" }).isIdentifier(named: "user_id"))
    #expect(try !summary((0..<100).map { "\($0 * 7919 % 100_003)" }).isIdentifier(named: "price"))
    #expect(try !summary((0..<100).map { "\(Double($0) * 1.37)" }).isIdentifier(named: "id"))
    #expect(try !summary((0..<100).map { "\($0 % 7)" }).isIdentifier(named: "id"))
}

@Test func distinctValuesAreCountedExactlyAndThenClosely() {
    var exact = DistinctCounter(capacity: 1000), estimated = DistinctCounter(capacity: 1000)
    var random = Mutations(seed: 1)
    let hashes = (0..<50_000).map { _ in random.next() }
    for hash in hashes.prefix(900) + hashes.prefix(900) { exact.add(hash) }
    for hash in hashes + hashes { estimated.add(hash) }
    #expect(exact.estimate == 900)
    // A thousand kept hashes: some three per cent, four deviations.
    #expect(abs(Double(estimated.estimate) / 50_000 - 1) < 0.13)
}
