import Foundation
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Synchronization
import Testing

@Suite struct QueueTests {
    @Test func eightWorkersNeverLeaseOneJobTwice() async throws {
        try await withSite { site in
            for _ in 0..<200 { try await site.enqueue() }
            let leased = try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        var mine: [JobID] = []
                        while let job = try await site.lease() { mine.append(job.id) }
                        return mine
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(leased.count == 200)
            #expect(Set(leased).count == 200)
        }
    }

    @Test func aZombieCanNotWriteAfterItsLeaseWasGivenAway() async throws {
        try await withSite { site in
            try await site.enqueue()
            let zombie = try #require(try await site.lease(seconds: -1))
            let overdue = try await site.system { try $0.overdueJobs() }
            #expect(overdue.map(\.job) == [zombie.id])
            try await site.tenant { transaction in
                let taken = try #require(try transaction.takeOverdue(zombie.id))
                try transaction.finish(taken.lease, as: .retry(afterSeconds: 0, problem), log: "")
            }
            let second = try #require(try await site.lease())
            #expect(second.id == zombie.id)
            #expect(second.attempt == 2)
            await #expect(throws: LeaseLost.self) { try await site.finish(zombie) }
            let states = try await site.system { try $0.beat([zombie.lease, second.lease], seconds: 30) }
            #expect(states == [zombie.lease: .lost, second.lease: .renewed(cancelRequested: false)])
            try await site.finish(second)
            await #expect(throws: LeaseLost.self) { try await site.finish(second) }
        }
    }

    @Test func aBeatDoesNotWaitForAnAttemptThatIsWriting() async throws {
        try await withSite { site in
            try await site.enqueue()
            try await site.enqueue()
            let writing = try #require(try await site.lease()), other = try #require(try await site.lease())
            try await site.tenant { transaction in
                try transaction.renew(writing.lease, seconds: 30)
                let states = try onOtherConnection(site) { try $0.beat([writing.lease, other.lease], seconds: 30) }
                #expect(states == [writing.lease: .busy, other.lease: .renewed(cancelRequested: false)])
            }
        }
    }

    @Test func jobsOfOneSerialKeyRunOneAfterTheOtherInOrder() async throws {
        try await withSite { site in
            let first = try await site.enqueue(serialKey: "a"), second = try await site.enqueue(serialKey: "a", priority: 5)
            let other = try await site.enqueue(serialKey: "b")
            let leased = [try await site.lease(), try await site.lease(), try await site.lease()]
            #expect(leased.map { $0?.id } == [first, other, nil])
            // One that waits for its retry still goes before the others.
            try await site.finish(try #require(leased[0]), as: .retry(afterSeconds: 60, problem))
            #expect(try await site.lease() == nil)
            _ = try await site.tenant { try $0.cancel(first) }
            #expect(try await site.lease()?.id == second)
        }
    }

    @Test func projectsTakeTurns() async throws {
        try await withSite { site in
            let small = try await site.makeProject("small")
            for _ in 0..<50 { try await site.enqueue() }
            let lone = try await site.enqueue(in: small)
            // One job at a time, as with one slot: nothing else runs at the second claim.
            let first = try #require(try await site.lease())
            try await site.finish(first)
            let second = try #require(try await site.lease())
            #expect([first.id, second.id].contains(lone))
        }
    }

    @Test func theHigherPriorityGoesFirst() async throws {
        try await withSite { site in
            let low = try await site.enqueue(), high = try await site.enqueue(priority: 1)
            let leased = [try await site.lease()?.id, try await site.lease()?.id]
            #expect(leased == [high, low])
        }
    }

    @Test func aReleasedAttemptDoesNotCount() async throws {
        try await withSite { site in
            try await site.enqueue()
            for expected in 1...5 {
                let job = try #require(try await site.lease())
                #expect(job.attempt == expected)
                #expect(job.maximumAttempts == 2 + expected)
                try await site.finish(job, as: .released)
            }
        }
    }

    @Test func cancellingEndsAQueuedJobAndAsksForTheEndOfARunningOne() async throws {
        try await withSite { site in
            let first = try await site.enqueue(), second = try await site.enqueue()
            let running = try #require(try await site.lease())
            #expect(running.id == first)
            #expect(try await site.tenant { [try $0.cancel(first), try $0.cancel(second)] } == [.running, .cancelled])
            #expect(try await site.system { try $0.beat([running.lease], seconds: 30) } == [running.lease: .renewed(cancelRequested: true)])
            try await site.finish(running, as: .cancelled)
            #expect(try await site.tenant { try $0.cancel(first) } == .cancelled)
            #expect(try await site.lease() == nil)
        }
    }

    /// Two machines or containers may have one name: each answers for its own processes only.
    @Test func aPlaceSeesItsOwnWorkersOnly() async throws {
        try await withSite { site in
            var workers: [WorkerID] = []
            for place in ["here", "there"] {
                let worker = WorkerRegistration(
                    id: WorkerID(UUID()), host: "same", place: place, pid: 7, startTime: 99, build: "test", slots: [.data: 1])
                workers.append(worker.id)
                try await site.enqueue()
                try await site.system { transaction in
                    try transaction.register(worker)
                    _ = try transaction.leaseJob(in: .data, for: worker.id, seconds: 30)
                }
            }
            let seen = try await site.system { try $0.workersWithLeases(at: "here") }
            #expect(seen.map(\.id) == [workers[0]] && seen.map(\.pid) == [7] && seen.map(\.startTime) == [99])
        }
    }

    /// With statistics from a quiet time, a claim must not read all that waits, nor a completion all that runs.
    @Test func plansUseTheIndexes() async throws {
        try await withSite { site in
            try await site.database.transaction(as: .owner) { transaction in
                try transaction.execute(
                    script: "ANALYZE job; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off")
                let plan = try transaction.query(
                    "EXPLAIN UPDATE job SET progress = 1 WHERE id = 1 AND token = gen_random_uuid() AND state = 'running'",
                    decode: { try $0["QUERY PLAN"] as String }
                ).joined()
                #expect(plan.contains("job_pkey"))
            }
        }
    }
}

private let problem = Problem(500, "test", title: "A test", detail: "of the queue")

/// A transaction on another connection, from within one.
private func onOtherConnection<Value: Sendable>(_ site: Site, _ body: @escaping @Sendable (Transaction) throws -> Value) throws -> Value {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
        let connection = Connection(site.database.address, logger: .init(label: "test"))
        let value = Result { try connection.transaction(as: .system) { try body($0) } }
        result.withLock { $0 = value }
        done.signal()
    }
    thread.start()
    done.wait()
    guard let value = result.withLock({ $0 }) else { preconditionFailure("the thread has stored its result") }
    return try value.get()
}
