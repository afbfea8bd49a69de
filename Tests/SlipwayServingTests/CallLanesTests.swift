import Foundation
import SlipwayServing
import Testing

@Suite struct CallLanesTests {
    private final class Model: Sendable {}

    @Test func resultsAndErrorsComeBack() async throws {
        struct Wrong: Error {}
        let lanes = CallLanes(count: 2, queue: 4, prepare: {})
        defer { lanes.stop() }
        let model = Model()
        #expect(try await lanes.run(for: model, deadline: .seconds(60)) { 6 * 7 } == 42)
        await #expect(throws: Wrong.self) { try await lanes.run(for: model, deadline: .seconds(60)) { throw Wrong() } }
    }

    @Test func aFullQueueRefuses() async {
        let lanes = CallLanes(count: 1, queue: 0, prepare: {})
        defer { lanes.stop() }
        await #expect(throws: LaneError.full) { try await lanes.run(for: Model(), deadline: .seconds(60)) {} }
    }

    @Test func theDeadlineEndsTheWait() async throws {
        let lanes = CallLanes(count: 1, queue: 4, prepare: {})
        defer { lanes.stop() }
        let release = DispatchSemaphore(value: 0)
        defer { release.signal() }
        await #expect(throws: LaneError.deadline) {
            try await lanes.run(for: Model(), deadline: .milliseconds(20)) { release.wait() }
        }
    }
}
