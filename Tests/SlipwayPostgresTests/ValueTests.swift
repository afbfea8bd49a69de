import Foundation
import SlipwayPostgres
import SlipwayTestSupport
import Testing

enum Colour: String, CaseIterable, PostgresValue, Codable { case red, green, blue = "dark blue" }

struct Settings: Codable, Equatable, Sendable {
    var name: String
    var rate: Double
    var at: Date
    var tags: [String]
}

/// One of everything, made from a seed.
struct Sample: Equatable, Sendable {
    var flag: Bool
    var whole: Int
    var small: Int16
    var double: Double
    var float: Float
    var text: String
    var bytes: [UInt8]
    var data: Data
    var id: UUID
    var at: Date
    var colour: Colour
    var settings: Settings
    var wholes: [Int]
    var texts: [String?]
    var ids: [UUID]
    var colours: [Colour]
    var nothing: Int?
    var something: String?

    init(seed: Int) {
        var generator = SeededGenerator(seed: seed)
        flag = .random(using: &generator)
        whole = seed == 0 ? .min : seed == 1 ? .max : .random(in: .min ... .max, using: &generator)
        small = .random(in: .min ... .max, using: &generator)
        double =
            seed == 0
            ? .infinity : seed == 1 ? -0.0 : Double(bitPattern: UInt64.random(in: 0..<0x7ff0_0000_0000_0000, using: &generator))
        float = Float(bitPattern: UInt32.random(in: 0..<0x7f80_0000, using: &generator))
        text = Self.text(using: &generator)
        bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in .random(in: .min ... .max, using: &generator) }
        data = Data(bytes.reversed())
        id = UUID(uuidString: (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }.uuidText) ?? UUID()
        // Years 1 to 9999, in microseconds.
        at = Date(timeIntervalSince1970: Double(Int.random(in: -62_135_596_800_000_000...253_402_300_799_999_999, using: &generator)) / 1e6)
        colour = Colour.allCases[Int.random(in: 0..<3, using: &generator)]
        settings = Settings(name: Self.text(using: &generator), rate: .random(in: -1...1, using: &generator), at: at, tags: ["a", "\"b\""])
        wholes = (0..<Int.random(in: 0...5, using: &generator)).map { _ in .random(in: .min ... .max, using: &generator) }
        texts = (0..<Int.random(in: 0...5, using: &generator)).map { $0 % 2 == 0 ? Self.text(using: &generator) : nil }
        ids = [id]
        colours = Colour.allCases.shuffled(using: &generator)
        nothing = nil
        something = Bool.random(using: &generator) ? Self.text(using: &generator) : nil
    }

    private static func text(using generator: inout SeededGenerator) -> String {
        let alphabet = Array("abc ,{}\"'\\\n\t\r$%ÄÖ漢字👩‍🚀NUL")
        return String(
            (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            })
    }

    init(_ row: Row) throws {
        flag = try row["flag"]
        whole = try row["whole"]
        small = try row["small"]
        double = try row["double"]
        float = try row["float"]
        text = try row["text"]
        bytes = try row["bytes"]
        data = try row["data"]
        id = try row["id"]
        at = try row["at"]
        colour = try row["colour"]
        settings = try row.json("settings")
        wholes = try row["wholes"]
        texts = try row["texts"]
        ids = try row["ids"]
        colours = try row["colours"]
        nothing = try row["nothing"]
        something = try row["something"]
    }
}

extension [UInt8] {
    fileprivate var uuidText: String {
        let hex = map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        var text = ""
        for (index, character) in hex.enumerated() { text += [8, 12, 16, 20].contains(index) ? "-\(character)" : "\(character)" }
        return text
    }
}

private let sampleTable = """
    CREATE TYPE colour AS ENUM ('red', 'green', 'dark blue');
    CREATE TABLE sample (
        flag boolean, whole bigint, small smallint, double double precision, float real, text text, bytes bytea, data bytea, id uuid,
        at timestamptz, colour colour, settings jsonb, wholes bigint[], texts text[], ids uuid[], colours colour[], nothing integer, something text)
    """
private let sampleColumns = [
    "flag", "whole", "small", "double", "float", "text", "bytes", "data", "id", "at", "colour", "settings", "wholes", "texts",
    "ids", "colours",
    "nothing", "something",
]

@Suite struct ValueTests {
    @Test func valuesComeBackAsTheyWent() async throws {
        try await withEmptyDatabase { database in
            try await database.transaction(as: .owner) { try $0.execute(script: sampleTable) }
            for seed in 0..<200 {
                let sample = Sample(seed: seed)
                let answer = try await database.transaction(as: .owner) { transaction in
                    try transaction.queryOne(
                        """
                        INSERT INTO sample VALUES (\(sample.flag), \(sample.whole), \(sample.small), \(sample.double), \(sample.float), \(sample.text),
                            \(sample.bytes), \(sample.data), \(sample.id), \(sample.at), \(sample.colour), \(json: sample.settings), \(sample.wholes),
                            \(sample.texts), \(sample.ids), \(sample.colours), \(sample.nothing), \(sample.something))
                        RETURNING *
                        """,
                        decode: Sample.init)
                }
                #expect(answer == sample, "seed \(seed)")
            }
        }
    }

    @Test func valuesComeBackFromCopyAsTheyWent() async throws {
        try await withEmptyDatabase { database in
            let samples = (0..<200).map(Sample.init)
            let answers = try await database.transaction(as: .owner) { transaction in
                try transaction.execute(script: sampleTable)
                try transaction.copy(into: "sample", columns: sampleColumns) { writer in
                    for s in samples {
                        try writer.row(
                            s.flag, s.whole, s.small, s.double, s.float, s.text, s.bytes, s.data, s.id, s.at, s.colour,
                            try JSON(s.settings), s.wholes,
                            s.texts, s.ids, s.colours, s.nothing, s.something)
                    }
                }
                return try transaction.query("SELECT * FROM sample", decode: Sample.init)
            }
            #expect(answers == samples)
        }
    }

    @Test func aTimestampIsReadInAnyZone() async throws {
        try await withEmptyDatabase { database in
            let dates = try await database.transaction(as: .owner) { transaction in
                try transaction.execute(script: "SET LOCAL TimeZone = 'Asia/Kolkata'")
                return try transaction.queryOne(
                    "SELECT '2026-11-23T09:10:12.5Z'::timestamptz AS a, '1969-12-31T23:59:59.999999Z'::timestamptz AS b",
                    decode: { [try $0["a"], try $0["b"]] as [Date] })
            }
            #expect(dates == [Date(timeIntervalSince1970: 1_795_425_012.5), Date(timeIntervalSince1970: -0.000001)])
        }
    }

    @Test func aWrongColumnIsNamed() async throws {
        try await withEmptyDatabase { database in
            func failure(_ decode: @escaping @Sendable (Row) throws -> Int) async -> PostgresError? {
                do {
                    _ = try await database.transaction(as: .owner) {
                        try $0.query("SELECT 'x' AS name, NULL AS age, 300 AS size", decode: decode)
                    }
                    return nil
                } catch {
                    return error as? PostgresError
                }
            }
            #expect(await failure { try $0["name"] } == .decoding(column: "name", expected: "Int", found: "x"))
            #expect(await failure { try $0["age"] } == .decoding(column: "age", expected: "Int", found: "NULL"))
            #expect(await failure { Int(try $0["size"] as UInt8) } == .decoding(column: "size", expected: "UInt8", found: "300"))
            #expect(
                await failure { try $0["weight"] }
                    == .decoding(column: "weight", expected: "Int", found: "no such column (name, age, size)"))
        }
    }
}
