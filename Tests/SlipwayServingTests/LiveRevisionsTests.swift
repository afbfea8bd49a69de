import Foundation
import SlipwayDomain
import SlipwayServing
import Testing

@Suite struct LiveRevisionsTests {
    private let id = DeploymentID(UUID())

    @Test func aCallWaitsForItsModel() async throws {
        let live = LiveRevisions<Int>()
        async let found = live.find(id, within: .seconds(60))
        live.publish(1, for: id)
        #expect(try await found == 1)
    }

    /// These are loaded first.
    @Test func whatCallsWaitForIsKnown() async throws {
        let live = LiveRevisions<Int>()
        #expect(live.awaited == [])
        async let found = live.find(id, within: .seconds(60))
        while live.awaited.isEmpty { await Task.yield() }
        #expect(live.awaited == [id])
        live.publish(1, for: id)
        #expect(try await found == 1)
        #expect(live.awaited == [])
    }

    @Test func aSwitchGivesTheOldRevisionBack() async throws {
        let live = LiveRevisions<Int>()
        #expect(live.publish(1, for: id) == nil)
        #expect(live.publish(2, for: id) == 1)
        #expect(try await live.find(id, within: .zero) == 2)
        #expect(live.publish(nil, for: id) == 2)
        #expect(live.current(id) == nil)
    }

    @Test func waitingEndsAfterItsTime() async {
        let live = LiveRevisions<Int>()
        await #expect(throws: LiveRevisions<Int>.LookUp.notLoaded) { try await live.find(id, within: .milliseconds(10)) }
    }

    @Test func aFailureIsToldUnlessARevisionAnswers() async throws {
        let live = LiveRevisions<Int>()
        let problem = Problem(500, "model-load-failed", title: "", detail: "")
        live.fail(id, problem)
        await #expect(throws: LiveRevisions<Int>.LookUp.failed(problem)) { try await live.find(id, within: .seconds(60)) }
        live.publish(1, for: id)
        live.fail(id, problem)
        #expect(try await live.find(id, within: .zero) == 1)
    }
}
