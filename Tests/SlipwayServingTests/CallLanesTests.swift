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

    @Test func aFullQueueRefuses() async throws {
        let lanes = CallLanes(count: 1, queue: 1, prepare: {})
        defer { lanes.stop() }
        let model = Model()
        let (started, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        async let running: Void = lanes.run(for: model, deadline: .seconds(60)) {
            started.signal()
            release.wait()
        }
        await onThread { started.wait() }
        // One place in line: of two more, one is refused.
        async let second: Result<Void, LaneError> = outcome(lanes, model)
        async let third: Result<Void, LaneError> = outcome(lanes, model)
        let refused = await withTaskGroup(of: Result<Void, LaneError>.self) { _ in
            release.signal()
            return [await second, await third]
        }
        try await running
        #expect(refused.count { if case .failure(.full) = $0 { true } else { false } } <= 1)
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

    private func outcome(_ lanes: CallLanes, _ model: Model) async -> Result<Void, LaneError> {
        do {
            try await lanes.run(for: model, deadline: .seconds(60)) {}
            return .success(())
        } catch {
            return .failure(error as? LaneError ?? .deadline)
        }
    }

    private func onThread(_ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            Thread {
                body()
                continuation.resume()
            }.start()
        }
    }
}
