import Foundation
import SlipwayDomain
import Testing

/// What `slipway train` finds out before it uploads anything.
@Suite struct TrainTests {
    private static let table = "a,b\n1,x\n2,y\n3,x\n4,y\n"

    private func train(_ platform: FakePlatform, _ arguments: [String], file: String = "cells.csv") async throws -> Run {
        var outcome: Run?
        try await withTemporaryFolder { folder in
            try Self.table.write(toFile: "\(folder)/\(file)", atomically: true, encoding: .utf8)
            let (runs, feed) = AsyncStream<Run>.makeStream()
            try await platform.serve { url in
                feed.yield(
                    try await run(
                        ["train", "\(folder)/\(file)", "--report", "\(folder)/report.html", "--json", "--url", url, "--key", "k"]
                            + arguments))
            }
            for await run in runs.prefix(1) { outcome = run }
        }
        return try #require(outcome)
    }

    @Test func anEndpointOfAnotherProjectIsFoundBeforeAnythingIsMade() async throws {
        let platform = FakePlatform { call, _ in
            switch call.line {
            case "GET /v1/projects": .json(#"{"items": [{"id": "p1", "name": "clinic"}]}"#)
            case "GET /v1/projects/p1/deployments": .json(#"{"items": [{"id": "d1", "name": "cells"}, {"id": "d2", "name": "cells-2"}]}"#)
            default: .json("{}", .internalServerError)
            }
        }
        let outcome = try await train(platform, ["--deploy"])
        #expect(outcome.code == 5, "\(outcome.errors)")
        #expect(try outcome.problem["code"] == "deployment-name-taken")
        let detail = try outcome.problem["detail"]?.stringValue ?? ""
        #expect(detail.contains("'clinic'") && detail.contains("--endpoint cells-3"), "\(detail)")
        #expect(platform.asked("POST /v1/projects").isEmpty)
    }

    @Test func whatWasMadeForARefusedUploadIsTakenAway() async throws {
        let platform = FakePlatform { call, _ in
            switch call.line {
            case "GET /v1/projects": .json(#"{"items": []}"#)
            case "POST /v1/projects": .json(#"{"id": "p1", "name": "cells"}"#, .created)
            case "POST /v1/projects/p1/datasets": .json(#"{"id": "s1", "name": "cells"}"#, .created)
            case "POST /v1/datasets/s1/versions":
                .json(
                    #"{"type": "x", "title": "Bad", "status": 415, "code": "media-type", "detail": "bad", "errors": []}"#,
                    .unsupportedMediaType)
            default: .json("{}")
            }
        }
        let outcome = try await train(platform, [])
        #expect(outcome.code == 5, "\(outcome.errors)")
        #expect(platform.asked("DELETE /v1/datasets/s1").count == 1)
        #expect(platform.asked("DELETE /v1/projects/p1").count == 1)
    }

    @Test(arguments: [
        (["/nonexistent/a.csv"], "No such file"), (["/nonexistent/a.zip"], "no such file"), (["/etc/hostname"], ".zip, a .csv or a folder"),
        (["/usr/bin", "--report", "/nonexistent/r.html"], "can't be written"),
    ] as [([String], String)])
    func whatIsWrongHereIsSaidBeforeAnybodyIsAsked(_ arguments: [String], _ words: String) async throws {
        let outcome = try await run(["train"] + arguments + ["--url", "http://127.0.0.1:1", "--key", "k"])
        #expect(outcome.code == 2)
        #expect(outcome.errors.lowercased().contains(words.lowercased()), "\(outcome.errors)")
    }
}
