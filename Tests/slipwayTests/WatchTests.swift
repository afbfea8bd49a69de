import Foundation
import SlipwayDomain
import SlipwaySystem
import Testing

/// `experiment watch` against a platform that breaks its streams.
@Suite struct WatchTests {
    private static let id = "5b544842-ecc2-47a1-8036-590d38dc775d"
    private static let show = "GET /v1/experiments/\(id)", follow = show + "/events"

    private static func experiment(_ status: String) -> FakePlatform.Answer {
        .json(#"{"id": "\#(id)", "status": "\#(status)", "progress": 0.5, "trials": []}"#)
    }

    private func watch(_ url: String) async throws -> Run {
        try await run(["experiment", "watch", Self.id, "--json", "--url", url, "--key", "k"])
    }

    @Test func aBrokenStreamGoesOnAfterTheLastEvent() async throws {
        let platform = FakePlatform { call, earlier in
            switch (call.line, earlier) {
            case (Self.follow, 0): .events("id: 7\nevent: progress\ndata: {\"progress\": 0.5}\n\n")
            case (Self.follow, _): .events("id: 9\nevent: status\ndata: {\"status\": \"succeeded\"}\n\n")
            // By its reference, at the watch's start, after the break, at the end.
            default: Self.experiment(earlier < 3 ? "running" : "succeeded")
            }
        }
        try await platform.serve { url in
            let outcome = try await self.watch(url)
            #expect(outcome.code == 0, "\(outcome.errors)")
            #expect(try outcome.json["status"] == "succeeded")
        }
        #expect(platform.asked(Self.follow).map(\.lastEventID) == [nil, "7"])
        #expect(platform.asked(Self.show).count == 4)
    }

    @Test func anEndThatNoEventToldIsFound() async throws {
        let platform = FakePlatform { call, earlier in
            call.line == Self.follow ? .events("id: 1\nevent: log\ndata: {}\n\n") : Self.experiment(earlier < 2 ? "running" : "failed")
        }
        try await platform.serve { url in
            let outcome = try await self.watch(url)
            #expect(outcome.code == 1)
        }
    }

    @Test func streamsThatArentToBeHadAreNoReasonToFail() async throws {
        let platform = FakePlatform { call, earlier in
            call.line == Self.follow
                ? .json(
                    #"{"type": "x", "title": "Full", "status": 503, "code": "too-many-streams", "detail": "full", "errors": []}"#,
                    .serviceUnavailable)
                : Self.experiment(earlier < 3 ? "running" : "succeeded")
        }
        try await platform.serve { url in
            let outcome = try await self.watch(url)
            #expect(outcome.code == 0, "\(outcome.errors)")
        }
        #expect(platform.asked(Self.follow).count == 2)
    }

    @Test func aStreamThatIsRefusedEndsTheWatch() async throws {
        let platform = FakePlatform { call, _ in
            call.line == Self.follow
                ? .json(
                    #"{"type": "x", "title": "No", "status": 401, "code": "unauthorised", "detail": "no", "errors": []}"#,
                    .unauthorized)
                : Self.experiment("running")
        }
        try await platform.serve { url in
            let outcome = try await self.watch(url)
            #expect(outcome.code == 4)
            #expect(try outcome.problem["code"] == "unauthorised")
        }
    }

    @Test func whoInterruptsItLearnsThatTheTrainingGoesOn() async throws {
        let platform = FakePlatform { call, _ in
            call.line == Self.follow
                ? .events("id: 1\nevent: progress\ndata: {\"progress\": 0.1}\n\n", staysOpen: true) : Self.experiment("running")
        }
        try await platform.serve { url in
            try await withTemporaryFolder { folder in
                let child = try start(
                    ["experiment", "watch", Self.id, "--json", "--url", url, "--key", "k"], output: folder + "/out",
                    errors: folder + "/err")
                while platform.asked(Self.follow).isEmpty { await Task.yield() }
                child.signal(SIGINT)
                let outcome = try ended(await child.wait(), folder)
                #expect(outcome.code == 130)
                #expect(try outcome.problem["detail"]?.stringValue?.contains("slipway experiment cancel \(Self.id)") == true)
            }
        }
    }
}
