import SlipwayDomain
import SlipwayJobs
import SlipwayStore
import Testing

private let problem = Problem(500, "test", title: "A test", detail: "of retries")

@Suite struct RetryTests {
    @Test(arguments: [
        (AttemptFailure.problem(problem), 1, AttemptEnd.failed(problem)),
        (.fault(problem), 1, .retry(afterSeconds: 1, problem)), (.fault(problem), 2, .retry(afterSeconds: 2, problem)),
        (.fault(problem), 3, .failed(problem)),
        (.outOfMemory(problem), 1, .retry(afterSeconds: 1, problem)), (.outOfMemory(problem), 2, .failed(problem)),
        (.stopped(.cancelled), 1, .cancelled), (.stopped(.draining), 3, .released),
    ])
    func anAttemptsFailureSaysWhatBecomesOfTheJob(failure: AttemptFailure, attempt: Int, expected: AttemptEnd) {
        #expect(end(after: failure, attempt: attempt, of: 3, jitter: 0.5) == expected)
    }

    @Test func aLostLeaseWritesNothing() {
        #expect(end(after: .stopped(.lost), attempt: 1, of: 3, jitter: 0) == nil)
    }

    @Test func waitsDoubleUpToFiveMinutesAndAreSpread() {
        for attempt in 1...40 {
            for jitter in [0.0, 0.3, 1.0] {
                guard case .retry(let seconds, _) = end(after: .fault(problem), attempt: attempt, of: 100, jitter: jitter) else {
                    Issue.record("attempt \(attempt) isn't repeated")
                    continue
                }
                #expect(seconds >= 0.75 && seconds <= 375)
            }
        }
    }

    @Test func whatFallsIsStartedAtOnceAgainAfterAQuietMinute() {
        var backoff = RestartBackoff()
        var now = ContinuousClock.now
        var pauses: [Duration] = []
        for _ in 0..<9 {
            backoff.started(at: now)
            backoff.fell(at: now + .seconds(1))
            pauses.append(backoff.pause)
            now = backoff.startAt
        }
        #expect(pauses.map(\.components.seconds).last == 10)
        #expect(pauses.prefix(3) == [.milliseconds(100), .milliseconds(200), .milliseconds(400)])
        backoff.started(at: now)
        backoff.fell(at: now + .seconds(61))
        #expect(backoff.pause == .milliseconds(100))
    }
}
