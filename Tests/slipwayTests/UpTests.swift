import Foundation
import SlipwayDomain
import SlipwaySystem
import Testing

/// `slipway up --json`, from the first line to the last, and what `admin` finds afterwards.
@Suite struct UpTests {
    @Test func aPlatformTellsItsLifeInJSON() async throws {
        try await withTemporaryFolder { folder in
            let data = folder + "/data"
            let child = try start(["up", "--json", "--data-dir", data, "--port", "0"], output: folder + "/out", errors: folder + "/err")
            let ready = try await line("ready", of: child, folder)
            #expect(ready["url"]?.stringValue?.hasPrefix("http://127.0.0.1:") == true)
            #expect(ready["admin_key"] == .string(data + "/admin.key"))
            let early = try await run(["project", "list", "--json", "--data-dir", data])
            #expect(try early.json["items"] == [], "\(early.errors)")
            let second = try await run(["up", "--json", "--data-dir", data, "--port", "0"])
            #expect(second.code == 1)
            #expect(try second.problem["detail"]?.stringValue?.contains("runs on \(data) already") == true, "\(second.errors)")

            child.signal(SIGTERM)
            let whole = try ended(await child.wait(), folder)
            #expect(whole.code == 0, "\(whole.errors)")
            let events = try whole.output.split(separator: "\n").map { try JSONReader.read(Array($0.utf8))["event"]?.stringValue }
            #expect(events == ["starting", "ready", "stopped"])
            for log in whole.errors.split(separator: "\n") { #expect(throws: Never.self) { try JSONReader.read(Array(log.utf8)) } }

            let organisations = try await run(["admin", "organisations", "--json", "--data-dir", data])
            #expect(try organisations.json["items"]?.array.count == 1, "\(organisations.errors)")
            let mode = try FileManager.default.attributesOfItem(atPath: data)[.posixPermissions] as? Int
            #expect(mode == 0o711)
        }
    }

    /// The line of that event, once it has been written.
    private func line(_ event: String, of child: ChildProcess, _ folder: String) async throws -> JSON {
        let deadline = ContinuousClock.now + .seconds(90)
        while ContinuousClock.now < deadline {
            let exit = try child.poll(), log = try String(contentsOfFile: folder + "/err", encoding: .utf8)
            try #require(exit == nil, "\(log)")
            for line in try String(contentsOfFile: folder + "/out", encoding: .utf8).split(separator: "\n") {
                let told = try JSONReader.read(Array(line.utf8))
                if told["event"]?.stringValue == event { return told }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CancellationError()
    }
}
