import SlipwayDomain
import SlipwayStore

/// Why an attempt didn't succeed.
package enum AttemptFailure: Error, Hashable {
    /// The user's data or choice is at fault: nobody's repetition helps.
    case problem(Problem)
    /// A crash, a hang, a broken disk, a lost worker: the next attempt may succeed.
    case fault(Problem)
    /// It took more memory than there is; once more, because it may have been the neighbours'.
    case outOfMemory(Problem)
    case stopped(Attempt.Stop)
}

/// What becomes of a job whose attempt failed; nil: nothing that we may write. `jitter` is from 0 to 1.
package func end(after failure: AttemptFailure, attempt: Int, of maximumAttempts: Int, jitter: Double) -> AttemptEnd? {
    switch failure {
    case .problem(let problem): .failed(problem)
    case .fault(let problem): retry(problem, attempt: attempt, of: maximumAttempts, jitter: jitter)
    case .outOfMemory(let problem): retry(problem, attempt: attempt, of: min(maximumAttempts, 2), jitter: jitter)
    case .stopped(.cancelled): .cancelled
    case .stopped(.draining): .released
    case .stopped(.lost): nil
    }
}

/// Doubling from one second to five minutes, spread by half, so that what failed together doesn't come back together.
private func retry(_ problem: Problem, attempt: Int, of maximumAttempts: Int, jitter: Double) -> AttemptEnd {
    guard attempt < maximumAttempts else { return .failed(problem) }
    let wait = min(Double(1 << min(attempt - 1, 10)), 300)
    return .retry(afterSeconds: wait * (0.75 + 0.5 * jitter), problem)
}

extension AttemptFailure {
    /// Anything that was thrown in an attempt, as a failure.
    init(_ error: any Error) {
        switch error {
        case let failure as AttemptFailure: self = failure
        case let problem as Problem: self = .problem(problem)
        case is LeaseLost: self = .stopped(.lost)
        case is ExperimentEnded: self = .stopped(.cancelled)
        default:
            self = .fault(
                Problem(
                    500, "worker-error", title: "The work couldn't be done",
                    detail: "an error of the platform stopped the work; the log of the worker says more"))
        }
    }
}
