import Foundation
import ServiceLifecycleTestKit
import SlipwayDomain
import SlipwayTestSupport
import Testing

@Suite struct DrainTests {
    @Test(.timeLimit(.minutes(10))) func whatIsInFlightFinishesAndStreamsEnd() async throws {
        try await testGracefulShutdown { trigger in
            try await withRunningServer { server in
                let made = try await server.furnish()
                let deployment = try #require(try await server.call(
                    "POST", "/v1/projects/\(made.project)/deployments", json: #"{"name": "d", "model_version": "\#(made.modelVersion)"}"#
                ).json["id"]?.stringValue)
                let started = try await server.call(
                    "POST", "/v1/projects/\(made.project)/experiments", json: #"{"dataset": "\#(made.dataset)", "budget": {"trials": 1}}"#)
                let experiment = try #require(try started.json["id"]?.stringValue)
                let stream = try await server.client.stream(.init(
                    "GET", "/v1/experiments/\(experiment)/events", headers: [("Authorization", "Bearer \(server.key)")], timeout: nil))
                let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
                let stopping = DispatchSemaphore(value: 0)
                let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in
                    arrived.finish()
                    stopping.wait()
                    return ServeSocket.json("{}")
                }
                async let prediction = server.call("POST", "/v1/deployments/\(deployment)/predict", json: "{}")
                for await _ in arrivals {}
                trigger.triggerGracefulShutdown()
                stopping.signal()
                #expect(try await prediction.status == 200)
                for try await _ in stream.chunks {}
                #expect(serve.seen.count == 1)
                while (try? await server.call("GET", "/healthz")) != nil {}  // until it listens no more
            }
        }
    }
}
