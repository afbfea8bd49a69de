import ArgumentParser
import Foundation
import KeelModels
import SlipwayDomain
import SlipwaySystem
import SlipwayTasks
import Synchronization

struct TrainerRole: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trainer", abstract: "One job in its job directory, as a worker starts it.",
        discussion: """
            Reads plan.json in the working directory and writes one event a line to standard output. Ends when standard \
            input closes.
            """,
        shouldDisplay: false)

    func run() throws {
        let began = ContinuousClock.now
        let events = try EventLines.takingOverStandardOutput()
        let interruption = Interruption()
        Self.watchParent(interruption)

        let plan: TrainerPlan
        do {
            plan = try JSONDecoder().decode(TrainerPlan.self, from: readFile("plan.json"))
        } catch let error as DecodingError {
            throw Failure.message("plan.json can't be read: \(error)")
        }
        let directory = URL(filePath: FileManager.default.currentDirectoryPath)
        let result = Mutex(Result<Void, any Error>.success(()))
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let outcome = Result {
                try TrainerMain.run(
                    plan, in: directory, models: ModelStore(environment: ProcessInfo.processInfo.environment), began: began, interruption: interruption
                ) { events.write($0) }
            }
            result.withLock { $0 = outcome }
            done.signal()
        }
        thread.name = "trainer"
        thread.stackSize = TrainerMain.stackBytes
        thread.start()
        done.wait()
        try result.withLock { try $0.get() }
    }

    /// The parent's end of standard input closes when the parent is gone; SIGTERM asks to stop at the next checkpoint.
    /// Whoever doesn't stop within a minute is ended: a trainer without a worker only burns the machine.
    private static func watchParent(_ interruption: Interruption) {
        @Sendable func stop() {
            interruption.interrupt()
            Thread.sleep(forTimeInterval: 60)
            _exit(1)
        }
        whenParentIsGone(stop)

        // Blocked in every thread that is started from here on, and taken by one that waits for it.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let waiter = Thread {
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGTERM)
            sigaddset(&signals, SIGINT)
            var signal: Int32 = 0
            while sigwait(&signals, &signal) != 0 {}
            stop()
        }
        waiter.name = "signals"
        waiter.start()
    }
}

/// The trainer's standard output: one event a line, and nothing else. What libraries print there goes to the log.
final class EventLines: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    static func takingOverStandardOutput() throws -> EventLines {
        let descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0, dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 else {
            throw Failure.message("standard output: \(String(cString: strerror(errno)))")
        }
        return EventLines(descriptor: descriptor)
    }

    /// A worker that has gone doesn't read any more: there is nobody to work for.
    func write(_ event: TrainerEvent) {
        guard var line = try? JSONEncoder().encode(event) else { preconditionFailure("an event can be written: \(event)") }
        line.append(UInt8(ascii: "\n"))
        line.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { _exit(1) }
                rest = rest.dropFirst(count)
            }
        }
    }
}
