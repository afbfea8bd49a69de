package import SlipwayDomain
internal import Synchronization

/// The revisions that answer now, and the calls that wait for one. Switching is one assignment: a call is answered by the
/// revision that it found, and a revision goes when its last call is done and nothing holds it any more.
package final class LiveRevisions<Revision: Sendable>: Sendable {
    package enum LookUp: Error, Equatable {
        /// It isn't loaded, and wasn't within the time.
        case notLoaded
        /// It can't be loaded, and this is why.
        case failed(Problem)
    }

    private struct Entry {
        var revision: Revision?
        var problem: Problem?
        var waiting: [Int: CheckedContinuation<Revision, any Error>] = [:]
    }
    private struct State {
        var entries: [DeploymentID: Entry] = [:]
        var lastWaiter = 0
    }
    private let state = Mutex(State())

    package init() {}

    var count: Int { state.withLock { $0.entries.values.count { $0.revision != nil } } }

    package func current(_ id: DeploymentID) -> Revision? { state.withLock { $0.entries[id]?.revision } }

    /// Those that calls wait for.
    package var awaited: Set<DeploymentID> { state.withLock { Set($0.entries.filter { !$0.value.waiting.isEmpty }.keys) } }

    /// Those that answer, by deployment.
    var all: [DeploymentID: Revision] { state.withLock { $0.entries.compactMapValues(\.revision) } }

    /// Puts a revision in the place of the one before, which is returned.
    @discardableResult
    package func publish(_ revision: Revision?, for id: DeploymentID) -> Revision? {
        let (before, waiting) = state.withLock { state in
            var entry = state.entries[id] ?? Entry()
            let before = entry.revision
            entry.revision = revision
            entry.problem = nil
            let waiting = revision == nil ? [] : Array(entry.waiting.values)
            if revision != nil { entry.waiting = [:] }
            state.entries[id] = entry.revision == nil && entry.waiting.isEmpty ? nil : entry
            return (before, waiting)
        }
        if let revision { for continuation in waiting { continuation.resume(returning: revision) } }
        return before
    }

    /// Tells the calls that wait, and those to come, why there is nothing to answer them. A revision that answers stays.
    package func fail(_ id: DeploymentID, _ problem: Problem) {
        let waiting = state.withLock { state in
            var entry = state.entries[id] ?? Entry()
            guard entry.revision == nil else { return [CheckedContinuation<Revision, any Error>]() }
            entry.problem = problem
            defer { state.entries[id] = entry }
            let waiting = Array(entry.waiting.values)
            entry.waiting = [:]
            return waiting
        }
        for continuation in waiting { continuation.resume(throwing: LookUp.failed(problem)) }
    }

    /// The deployment's revision, waiting for it if need be.
    package func find(_ id: DeploymentID, within limit: Duration) async throws -> Revision {
        if let revision = current(id) { return revision }
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return try await withThrowingTaskGroup(of: Revision.self) { group in
            group.addTask { try await self.wait(for: id, as: number) }
            group.addTask {
                try await Task.sleep(for: limit)
                throw LookUp.notLoaded
            }
            defer { group.cancelAll() }
            guard let revision = try await group.next() else { preconditionFailure("the group has two tasks") }
            return revision
        }
    }

    private func wait(for id: DeploymentID, as number: Int) async throws -> Revision {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Result<Revision, any Error>? = state.withLock { state in
                    var entry = state.entries[id] ?? Entry()
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if let revision = entry.revision { return .success(revision) }
                    if let problem = entry.problem { return .failure(LookUp.failed(problem)) }
                    entry.waiting[number] = continuation
                    state.entries[id] = entry
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let continuation = state.withLock { state in
                let continuation = state.entries[id]?.waiting.removeValue(forKey: number)
                if let entry = state.entries[id], entry.revision == nil, entry.problem == nil, entry.waiting.isEmpty {
                    state.entries[id] = nil
                }
                return continuation
            }
            continuation?.resume(throwing: CancellationError())
        }
    }
}
