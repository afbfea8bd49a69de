import Foundation
import SlipwayClient
import SlipwayDomain
import SlipwaySystem

/// Why a command ends without success, each with the exit code that scripts go by (listed in the root command's help).
enum Failure: Error {
    /// The work was done and failed, here or on the platform: a training, an import, a check of `doctor`.
    case work(Problem)
    case message(String)
    case usage(String)
    case unreachable(url: String, reason: String)
    /// No key, a wrong key, or a key without the right.
    case denied(Problem)
    /// The platform doesn't do what was asked: not found, in use, invalid.
    case refused(Problem)
    /// By Ctrl-C or SIGTERM. `hint` says what goes on without this command.
    case interrupted(hint: String?)

    var exitCode: Int32 {
        switch self {
        case .work, .message: 1
        case .usage: 2
        case .unreachable: 3
        case .denied: 4
        case .refused: 5
        case .interrupted: 128 + (CommandInterruption.signal == 0 ? SIGINT : CommandInterruption.signal)
        }
    }

    /// The same in the platform's words, for `--json`.
    var problem: Problem {
        switch self {
        case .work(let problem), .denied(let problem), .refused(let problem): problem
        case .message(let text): Problem(500, "command-failed", title: "The command failed", detail: text)
        case .usage(let text): Problem(400, "usage", title: "Not a valid command", detail: text)
        case .unreachable(let url, let reason):
            Problem(503, "not-reachable", title: "The platform isn't reachable", detail: "\(url): \(reason)")
        case .interrupted(let hint): Problem(499, "interrupted", title: "Interrupted", detail: hint ?? "The command was interrupted.")
        }
    }

    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let problem as Problem: self = .work(problem)
        case let error as ConfigurationError: self = .usage(error.description)
        case let lock as FileLock.Held:
            let holder = lock.holder.map { " (process \($0))" } ?? ""
            let directory = (lock.path as NSString).deletingLastPathComponent
            self = .message(
                "a platform runs on \(directory) already\(holder): stop it, or choose another data directory with --data-dir")
        case HTTPClientError.transport(_, let reason, let url): self = .unreachable(url: url, reason: reason)
        case is CancellationError: self = .interrupted(hint: nil)
        case let error as any CustomStringConvertible: self = .message(error.description)
        default: self = .message(error.localizedDescription)
        }
    }

    /// For people: what was wrong, where, and what to do.
    var lines: [String] {
        switch self {
        case .message(let text), .usage(let text): return [text]
        case .interrupted(let hint): return ["interrupted"] + [hint].compactMap(\.self)
        case .unreachable(let url, let reason):
            return ["nothing answers at \(url) (\(reason))", "is the platform up? `slipway up` starts it; SLIPWAY_URL says where it is"]
        case .work(let problem), .denied(let problem), .refused(let problem):
            var lines = [problem.detail.isEmpty ? problem.title : problem.detail]
            let places = problem.errors.map(\.line)
            // The sentence of a problem with one place is often the place's.
            if places != lines { lines += places.prefix(20).map { "  " + $0 } }
            if places.count > 20 { lines.append("  and \(places.count - 20) more") }
            let request = problem.requestID.map { ", request \($0)" } ?? ""
            lines.append("  (\(problem.code)\(request))")
            return lines
        }
    }
}

extension Problem.Place {
    /// Where, and what is wrong there.
    fileprivate var line: String {
        let parts = [pointer, parameter, entry, row.map { "row \($0)" }, column.map { "column \($0)" }].compactMap(\.self)
        return (parts.isEmpty ? "" : parts.joined(separator: ", ") + ": ") + detail
    }
}
