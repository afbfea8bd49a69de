import Foundation
import SlipwayDomain
import Testing

/// `--json` is everywhere, and what it gives is JSON.
@Suite struct JSONOutputTests {
    /// `slipway dataset upload`, ...: every command that a user can call.
    private static func commands() async throws -> [(path: [String], flags: Set<String>)] {
        func leaves(_ command: JSON, _ path: [String]) -> [(path: [String], flags: Set<String>)] {
            guard command["shouldDisplay"] != .bool(false) else { return [] }
            let children = command["subcommands"]?.array.filter { $0["commandName"]?.stringValue != "help" } ?? []
            guard children.isEmpty else {
                return children.flatMap { leaves($0, path + [$0["commandName"]?.stringValue ?? ""]) }
            }
            let names = command["arguments"]?.array.flatMap { $0["names"]?.array ?? [] } ?? []
            return [(path, Set(names.compactMap { $0["name"]?.stringValue }))]
        }
        let tree = try await run(["--experimental-dump-help"])
        return leaves(try #require(try tree.json["command"]), [])
    }

    @Test func everyCommandHasIt() async throws {
        let commands = try await Self.commands()
        for known in [["up"], ["train"], ["admin", "new-key"], ["dataset", "upload"]] {
            #expect(commands.contains { $0.path == known }, "the tree has no \(known)")
        }
        for command in commands { #expect(command.flags.contains("json"), "\(command.path.joined(separator: " "))") }
    }

    @Test func aCommandLineThatDoesNotParseIsAProblemDocument() async throws {
        for command in try await Self.commands() {
            let wrong = try await run(command.path + ["--json", "--no-such-option"])
            #expect(wrong.code == 2 && wrong.output.isEmpty, "\(command.path)")
            #expect(try wrong.problem["code"] == "usage", "\(command.path): \(wrong.errors)")
            #expect(wrong.errors.split(separator: "\n").count == 1, "\(command.path): \(wrong.errors)")
        }
    }

    @Test(arguments: [
        ["predict", "digits", "--json"], ["project", "show", "--json"], ["nonsense", "--json"],
        ["train", "/nonexistent.zip", "--preset", "lavish", "--json"], ["config", "--json", "--port", "many"],
        ["train", "x.csv", "--no-watch", "--deploy", "--json"],
    ])
    func usageErrors(_ arguments: [String]) async throws {
        let wrong = try await run(arguments)
        #expect(wrong.code == 2 && wrong.output.isEmpty)
        #expect(try wrong.problem["code"] == "usage")
        #expect(try wrong.problem["detail"]?.stringValue?.isEmpty == false)
    }

    @Test func commandsThatNeedNoPlatformPrintJSON() async throws {
        #expect(try await run(["config", "--json"]).json["settings"] != nil)
        let doctor = try await run(["doctor", "--json"])
        let checks = try doctor.json["checks"]?.array ?? []
        #expect(checks.count > 5)
        for check in checks where check["state"] != "good" { #expect(check["remedy"]?.stringValue != nil, "\(check)") }
    }
}

extension JSON {
    var array: [JSON] { if case .array(let values) = self { values } else { [] } }
}
