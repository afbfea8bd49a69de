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
        #expect(try await lanes.run(for: model, deadline: .seconds(60)) { _ in 6 * 7 } == 42)
        await #expect(throws: Wrong.self) { try await lanes.run(for: model, deadline: .seconds(60)) { _ in throw Wrong() } }
    }

    @Test func aFullQueueRefuses() async {
        let lanes = CallLanes(count: 1, queue: 0, prepare: {})
        defer { lanes.stop() }
        await #expect(throws: LaneError.full) { try await lanes.run(for: Model(), deadline: .seconds(60)) { _ in } }
    }

    @Test func theDeadlineEndsTheWait() async throws {
        let lanes = CallLanes(count: 1, queue: 4, prepare: {})
        defer { lanes.stop() }
        let release = DispatchSemaphore(value: 0)
        defer { release.signal() }
        await #expect(throws: LaneError.deadline) {
            try await lanes.run(for: Model(), deadline: .milliseconds(20)) { _ in release.wait() }
        }
    }

    @Test func aBodyThatRunsLearnsThatNobodyWaits() async throws {
        let lanes = CallLanes(count: 1, queue: 4, prepare: {})
        defer { lanes.stop() }
        let left = DispatchSemaphore(value: 0)
        let (answers, answer) = AsyncStream.makeStream(of: [Bool].self)
        await #expect(throws: LaneError.deadline) {
            try await lanes.run(for: Model(), deadline: .milliseconds(20)) { isAbandoned in
                let before = isAbandoned()
                left.wait()
                answer.yield([before, isAbandoned()])
            }
        }
        left.signal()
        var iterator = answers.makeAsyncIterator()
        #expect(await iterator.next()?.last == true)
    }
}
