import Foundation
import Logging
import SlipwayDomain
import SlipwaySystem

/// A worker's own folder among those of all that share a data directory. It holds the lock beside its folder for as long as it
/// lives, so a folder whose lock is free was left by a worker that was killed.
final class JobsFolder: Sendable {
    private let path: String
    private let lock: FileLock

    /// Makes the folder, and removes what killed workers left.
    init(in folder: String, of worker: WorkerID, _ logger: Logger) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = "\(folder)/\(worker)"
        // Before the folder is there, so that nobody finds it without.
        lock = try FileLock(path: path + ".lock")
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where !name.hasSuffix(".lock") {
            do {
                try Self.remove("\(folder)/\(name)")
            } catch is FileLock.Held {
                // Its worker is alive.
            } catch {
                logger.warning("a killed worker's folder is left", metadata: ["folder": "\(name)", "error": "\(error)"])
            }
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        unlink(path + ".lock")
    }

    /// - Errors: `FileLock.Held`.
    private static func remove(_ path: String) throws {
        let lock = try FileLock(path: path + ".lock")
        try FileManager.default.removeItem(atPath: path)
        unlink(lock.path)
    }
}

/// The folder of one attempt, which goes with it.
final class JobDirectory: Sendable {
    let path: String

    init(in folder: String, _ job: JobID, attempt: Int) throws {
        path = "\(folder)/\(job)-\(attempt)"
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A file that a trainer named: a relative path that stays in here, links included.
    ///
    /// - Errors: `AttemptFailure.fault`.
    func file(_ name: String) throws -> String {
        let parent = URL(filePath: path + "/" + name).deletingLastPathComponent().resolvingSymlinksInPath().path
        let home = URL(filePath: path).resolvingSymlinksInPath().path
        let last = URL(filePath: name).lastPathComponent
        guard !name.hasPrefix("/"), last != "..", parent == home || parent.hasPrefix(home + "/") else {
            throw AttemptFailure.fault(TrainerProblem.output("it named a file outside of its directory"))
        }
        return parent + "/" + last
    }
}

/// What a trainer's misbehaviour is called.
enum TrainerProblem {
    static func output(_ detail: String) -> Problem {
        Problem(500, "trainer-output", title: "The trainer process spoke nonsense", detail: detail)
    }

    static let crash = "trainer-crashed"

    static func crashed(_ detail: String) -> Problem {
        Problem(500, crash, title: "The trainer process crashed", detail: detail)
    }

    static let timeout = "trainer-timeout"

    static func timedOut(_ detail: String) -> Problem {
        Problem(500, timeout, title: "The trainer process hung", detail: detail)
    }

    static func outOfMemory(peakBytes: Int) -> Problem {
        Problem(
            500, "out-of-memory", title: "The trainer process ran out of memory",
            detail: "it had taken \(peakBytes / 1_048_576) MiB when it ended")
    }
}
