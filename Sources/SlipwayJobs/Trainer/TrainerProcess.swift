import Foundation
import SlipwayDomain
import SlipwaySystem

/// How trainers are run.
struct TrainerSettings: Sendable {
    var executable: String
    var arguments = ["trainer"]
    /// Of the whole process, as address space.
    var memoryBytes: Int
    /// From SIGTERM to SIGKILL when the worker ends.
    var drainSeconds = 20.0
    /// A trainer that says nothing for so long hangs.
    var silenceSeconds = 900.0
    var lineBytes = 16 << 20
    var logBytes = 64 << 10
    /// Beside what every trainer has.
    var environment: [String: String] = [:]
}

/// One trainer process: its plan, its life and its end, on one thread that blocks.
struct TrainerProcess: Sendable {
    struct End: Sendable {
        var failure: AttemptFailure?
        var log: String
        var started: ContinuousClock.Instant
        var peakMemoryBytes: Int
    }

    let settings: TrainerSettings
    let directory: JobDirectory
    let attempt: Attempt
    /// Wall time after which it is killed; nil: only silence ends it.
    let seconds: Double?

    /// Starts the trainer and hands over its events, with the lines they came in, until it has ended. It is killed with all
    /// that it started when the attempt has to stop, when it hangs, and when it speaks nonsense.
    func run(
        _ plan: TrainerPlan, _ receive: @escaping @Sendable (TrainerEvent, UnsafeRawBufferPointer) throws -> Void
    ) async throws -> End {
        try JSONEncoder.ordered().encode(plan).write(to: URL(filePath: directory.path + "/plan.json"))
        return try await withCheckedThrowingContinuation { continuation in
            _ = OSThread(name: "trainer-\(attempt.job.id)") {
                continuation.resume(with: Result { try watch(threads: plan.threads, receive) })
            }
        }
    }

    private func command(threads: Int, _ pipes: [Int32]) -> ChildProcess.Command {
        // Nothing of the worker's environment that isn't named here: no credentials, no address of the database.
        var environment = [
            "LANG": "C.UTF-8", "HOME": directory.path, "TMPDIR": directory.path, "OMP_NUM_THREADS": "\(threads)",
            "OPENBLAS_NUM_THREADS": "\(threads)", "OMP_DYNAMIC": "false",
            // Teams spin between two kernels (waking costs a hundred microseconds), but not for long.
            "GOMP_SPINCOUNT": "3000",
        ]
        environment.merge(settings.environment) { _, own in own }
        for name in ["PATH", "LD_LIBRARY_PATH", "SLIPWAY_SHARE", "TZ"] {
            if let value = ProcessInfo.processInfo.environment[name] { environment[name] = value }
        }
        var command = ChildProcess.Command(settings.executable, settings.arguments, environment: environment)
        command.directory = directory.path
        command.descriptors = pipes.map { $0 }
        command.group = .new
        command.oomScoreAdjustment = 500
        command.fileModeMask = 0o077
        command.limits = ChildProcess.Command.Limits(
            addressSpaceBytes: UInt64(settings.memoryBytes), cpuSeconds: seconds.map { UInt64(($0 + 60) * Double(threads)) },
            descriptors: 1024, fileBytes: 64 << 30)
        return command
    }

    private func watch(
        threads: Int, _ receive: (TrainerEvent, UnsafeRawBufferPointer) throws -> Void
    ) throws -> End {
        let input = try Pipe(), output = try Pipe(), errors = try Pipe()
        let started = ContinuousClock.now
        let child = try ChildProcess.spawn(command(threads: threads, [input.reading, output.writing, errors.writing]))
        input.closeReading()
        output.closeWriting()
        errors.closeWriting()

        var lines = LineSplitter(limit: settings.lineBytes)
        var log = TailLog(limit: settings.logBytes)
        var failure: AttemptFailure?
        var peak = 0
        var lastWord = started
        var killAt: ContinuousClock.Instant?
        var stopping: Attempt.Stop?
        var exit: ChildProcess.Exit?
        var exitedAt = started
        let decoder = JSONDecoder()

        func fail(_ reason: AttemptFailure) {
            if failure == nil { failure = reason }
            child.signalGroup(SIGKILL)
        }

        while true {
            let watched = [output.reading, errors.reading, exit == nil ? child.exitDescriptor : -1]
            let ready = try poll(watched, milliseconds: exit == nil ? 50 : 10)
            let now = ContinuousClock.now
            if ready[0] {
                try output.read { bytes in
                    lastWord = now
                    do {
                        try lines.append(bytes) { line in
                            guard failure == nil else { return }
                            let event: TrainerEvent
                            do {
                                event = try decoder.decode(TrainerEvent.self, from: Data(line))
                            } catch {
                                let start = String(decoding: line.prefix(200), as: UTF8.self)
                                log.append("a line of the trainer's output is no event: \(start)\n")
                                throw AttemptFailure.fault(TrainerProblem.output("a line of its output is no event"))
                            }
                            try receive(event, line)
                        }
                    } catch {
                        fail(AttemptFailure(error))
                    }
                }
            }
            if ready[1] {
                try errors.read { bytes in
                    lastWord = now
                    log.append(bytes)
                }
            }
            if exit == nil {
                peak = max(peak, child.peakMemory ?? 0)
                exit = try child.poll()
                exitedAt = now
            }
            if let reason = attempt.stopReason, reason != stopping, exit == nil {
                stopping = reason
                let grace: Double = switch reason {
                case .draining: settings.drainSeconds
                case .cancelled: 0.5
                case .lost: 0
                }
                if grace > 0 { child.signal(SIGTERM) }
                killAt = min(killAt ?? now + .seconds(3600), now + .seconds(grace))
            }
            if let killAt, now >= killAt, exit == nil { child.signalGroup(SIGKILL) }
            if stopping == nil, exit == nil {
                if let seconds, started.duration(to: now) > .seconds(seconds) {
                    fail(.fault(TrainerProblem.timedOut("it was still running after \(Int(seconds)) seconds")))
                } else if lastWord.duration(to: now) > .seconds(settings.silenceSeconds) {
                    fail(.fault(TrainerProblem.timedOut("it said nothing for \(Int(settings.silenceSeconds)) seconds")))
                }
            }
            // What escaped from the process group may hold the pipes open: nobody waits for that.
            if let exit, output.isAtEnd && errors.isAtEnd || exitedAt.duration(to: now) > .seconds(1) {
                let ended = failure ?? self.failure(of: exit, peak: peak, stopping: stopping, log: log)
                return End(failure: ended, log: log.text, started: started, peakMemoryBytes: peak)
            }
        }
    }

    private func failure(of exit: ChildProcess.Exit, peak: Int, stopping: Attempt.Stop?, log: TailLog) -> AttemptFailure? {
        if let stopping { return .stopped(stopping) }
        switch exit.ending {
        case .exited(code: 0): return nil
        case .signalled(SIGKILL):
            // Not ours: the kernel's, when memory ran out.
            return .outOfMemory(TrainerProblem.outOfMemory(peakBytes: peak))
        case .signalled(SIGXCPU):
            return .fault(TrainerProblem.timedOut("it used up its processor time"))
        default:
            let text = log.text
            let isMemory = ["Cannot allocate memory", "out of memory", "Out of memory", "bad_alloc"].contains { text.contains($0) }
            if isMemory { return .outOfMemory(TrainerProblem.outOfMemory(peakBytes: peak)) }
            return .fault(TrainerProblem.crashed("it ended with \(exit), having taken \(peak / 1_048_576) MiB"))
        }
    }
}

/// Bytes cut into lines; one that is too long is an error, not a growing buffer.
struct LineSplitter {
    private var rest: [UInt8] = []
    let limit: Int

    init(limit: Int) { self.limit = limit }

    mutating func append(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var bytes = bytes[...]
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            let line = bytes[..<end]
            bytes = bytes[(end + 1)...]
            if rest.isEmpty {
                try body(UnsafeRawBufferPointer(rebasing: line))
            } else {
                rest.append(contentsOf: line)
                defer { rest.removeAll(keepingCapacity: rest.capacity < 1 << 20) }
                try rest.withUnsafeBytes { try body($0) }
            }
        }
        guard rest.count + bytes.count <= limit else {
            throw AttemptFailure.fault(TrainerProblem.output("a line of its output is longer than \(limit) bytes"))
        }
        rest.append(contentsOf: bytes)
    }
}

/// The end of a log.
struct TailLog {
    private var bytes: [UInt8] = []
    private var isCut = false
    let limit: Int

    init(limit: Int) { self.limit = limit }

    mutating func append(_ new: some Collection<UInt8>) {
        bytes.append(contentsOf: new.suffix(limit))
        isCut = isCut || new.count > limit
        guard bytes.count > 2 * limit else { return }
        bytes.removeFirst(bytes.count - limit)
        isCut = true
    }

    mutating func append(_ text: String) { append(text.utf8) }

    /// PostgreSQL stores no zero bytes.
    var text: String {
        let tail = bytes.suffix(limit)
        let text = String(decoding: tail, as: UTF8.self).replacing("\0", with: "\u{FFFD}")
        return (isCut || tail.count < bytes.count ? "[...]\n" : "") + text
    }
}

/// A pipe whose reading end doesn't block.
private final class Pipe {
    private(set) var reading: Int32
    private(set) var writing: Int32
    private(set) var isAtEnd = false

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        // A child gets only the descriptors that it is given, so there's no race for close-on-exec.
        guard pipe(&ends) == 0 else { throw SystemError("making a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reading, writing) = (ends[0], ends[1])
    }

    deinit {
        closeReading()
        closeWriting()
    }

    func closeReading() {
        if reading >= 0 { close(reading) }
        reading = -1
    }

    func closeWriting() {
        if writing >= 0 { close(writing) }
        writing = -1
    }

    /// What is there now; call it when `poll` says so.
    func read(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        try withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
            let count = Foundation.read(reading, buffer.baseAddress, buffer.count)
            if count > 0 { return try body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            isAtEnd = true
            closeReading()
        }
    }
}

/// Which descriptors can be read (or have ended); negative ones are left out.
private func poll(_ descriptors: [Int32], milliseconds: Int32) throws(SystemError) -> [Bool] {
    var list = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    if Foundation.poll(&list, nfds_t(list.count), milliseconds) < 0, errno != EINTR { throw SystemError("waiting for a trainer") }
    return list.map { $0.revents != 0 }
}
