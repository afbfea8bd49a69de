import CSlipwaySystem
import Dispatch
import Glibc
import Synchronization

/// A child process: started safely from a multithreaded parent, waited for without blocking, killed as a group.
package final class ChildProcess: Sendable {
    /// What to run, and in which surroundings.
    package struct Command: Sendable {
        package enum Group: Sendable { case same, new, newSession }

        /// A user without supplementary groups; only root may switch.
        package struct User: Sendable, Hashable {
            package var uid: uid_t
            package var gid: gid_t

            package init(uid: uid_t, gid: gid_t) {
                self.uid = uid
                self.gid = gid
            }
        }

        /// Hard limits of the child; nil leaves the parent's. There is never a core file.
        package struct Limits: Sendable {
            package var addressSpaceBytes: UInt64?
            package var cpuSeconds: UInt64?
            package var descriptors: UInt64?
            package var fileBytes: UInt64?

            package init(
                addressSpaceBytes: UInt64? = nil, cpuSeconds: UInt64? = nil, descriptors: UInt64? = nil, fileBytes: UInt64? = nil
            ) {
                self.addressSpaceBytes = addressSpaceBytes
                self.cpuSeconds = cpuSeconds
                self.descriptors = descriptors
                self.fileBytes = fileBytes
            }
        }

        /// Path of the program. It isn't searched for in `PATH`.
        package var executable: String
        /// Without the program's name.
        package var arguments: [String]
        /// The whole environment of the child.
        package var environment: [String: String]
        package var directory: String?
        /// The child's descriptors 0, 1, 2, ...; nil is `/dev/null`. All others of the parent are closed in the child.
        package var descriptors: [Int32?] = [nil, nil, nil]
        package var group = Group.new
        package var user: User?
        package var limits = Limits()
        /// Sent to the child when this process ends in whatever way; nil lets it live on.
        package var deathSignal: Int32? = SIGKILL
        /// From -1000 (never killed when memory runs out; needs rights) to 1000 (killed first).
        package var oomScoreAdjustment: Int32 = 0
        package var fileModeMask: mode_t = 0o022
        /// Whether what is left of the child's process group is killed when the child has ended.
        package var killsGroupAtEnd = true

        package init(_ executable: String, _ arguments: [String] = [], environment: [String: String] = [:]) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
        }
    }

    package enum Ending: Sendable, Hashable {
        case exited(code: Int32)
        case signalled(Int32)

        package var isSuccess: Bool { self == .exited(code: 0) }
    }

    package struct Exit: Sendable, Hashable, CustomStringConvertible {
        package let ending: Ending
        /// Resources of the child and of those of its own children that it waited for.
        package let cpuTime: Duration
        /// At least this process's own peak, which Linux passes on at start. `peakMemory` has the child's own while it lives.
        package let peakMemoryBytes: Int

        package var description: String {
            switch ending {
            case .exited(let code): "exit code \(code)"
            case .signalled(let signal): "signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }

    private enum State {
        case running(waiters: [@Sendable (Exit) -> Void])
        case ended(Exit)
    }

    package let pid: pid_t
    /// Becomes readable (for `poll`) when the child has ended; open as long as this object.
    package let exitDescriptor: Int32
    private let leadsGroup: Bool
    private let killsGroupAtEnd: Bool
    private let state = Mutex(State.running(waiters: []))
    private let exitSource = Mutex<(any DispatchSourceRead)?>(nil)

    private init(pid: pid_t, pidfd: Int32, command: Command) {
        self.pid = pid
        exitDescriptor = pidfd
        leadsGroup = command.group != .same
        killsGroupAtEnd = command.killsGroupAtEnd && leadsGroup
    }

    deinit {
        // A child that nobody waits for any more is left to run; its zombie goes when this process does.
        close(exitDescriptor)
    }

    // MARK: Starting

    /// Starts the child and returns when its program runs. Takes about a millisecond, so it may be called anywhere.
    ///
    /// Linux sends the death signal when the *thread* that started the child ends. All children are therefore started by
    /// one thread that lives as long as the process.
    ///
    /// - Errors: `SystemError` with what the child was doing: a missing program is "executing /path: No such file or directory".
    package static func spawn(_ command: Command) throws(SystemError) -> ChildProcess {
        let request = Request(command)
        Self.spawner.push(request)
        return try request.wait()
    }

    private final class Request: Sendable {
        private let command: Command
        private let result = Mutex<Result<ChildProcess, SystemError>?>(nil)
        private let done = Latch()

        init(_ command: Command) { self.command = command }

        func run() {
            let outcome = Result { () throws(SystemError) in try ChildProcess.start(command) }
            result.withLock { $0 = outcome }
            done.open()
        }

        func wait() throws(SystemError) -> ChildProcess {
            done.wait()
            guard let outcome = result.withLock({ $0 }) else { preconditionFailure("a finished request has a result") }
            return try outcome.get()
        }
    }

    private static let spawner: BlockingQueue<Request> = {
        let queue = BlockingQueue<Request>()
        _ = OSThread(name: "spawner") {
            while let request = queue.pop() { request.run() }
        }
        return queue
    }()

    private static func start(_ command: Command) throws(SystemError) -> ChildProcess {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { throw SystemError("opening /dev/null") }
        defer { close(null) }
        let descriptors = command.descriptors.map { $0 ?? null } + Array(repeating: null, count: max(0, 3 - command.descriptors.count))
        var limits = [slipway_limit(resource: Int32(RLIMIT_CORE.rawValue), value: 0)]
        let wanted = [
            (RLIMIT_AS, command.limits.addressSpaceBytes), (RLIMIT_CPU, command.limits.cpuSeconds),
            (RLIMIT_NOFILE, command.limits.descriptors), (RLIMIT_FSIZE, command.limits.fileBytes),
        ]
        for case (let resource, let value?) in wanted {
            limits.append(slipway_limit(resource: Int32(resource.rawValue), value: rlim_t(value)))
        }

        let environment = command.environment.map { "\($0)=\($1)" }.sorted()
        let arguments = CStrings([command.executable] + command.arguments), variables = CStrings(environment)
        var pid: pid_t = 0
        var pidfd: Int32 = -1
        var stage = SLIPWAY_STAGE_NONE
        let error = descriptors.withUnsafeBufferPointer { descriptors in
            limits.withUnsafeBufferPointer { limits in
                command.executable.withCString { path in
                    withOptionalCString(command.directory) { directory in
                        var request = slipway_spawn_request()
                        request.path = path
                        request.argv = UnsafePointer(arguments.pointer)
                        request.envp = UnsafePointer(variables.pointer)
                        request.directory = directory
                        request.descriptors = descriptors.baseAddress
                        request.descriptor_count = descriptors.count
                        request.limits = limits.baseAddress
                        request.limit_count = limits.count
                        request.group = switch command.group {
                        case .same: SLIPWAY_GROUP_SAME
                        case .new: SLIPWAY_GROUP_NEW
                        case .newSession: SLIPWAY_GROUP_NEW_SESSION
                        }
                        request.switches_user = command.user != nil
                        request.uid = command.user?.uid ?? 0
                        request.gid = command.user?.gid ?? 0
                        request.death_signal = command.deathSignal ?? 0
                        request.oom_score_adjustment = command.oomScoreAdjustment
                        request.file_mode_mask = command.fileModeMask
                        return slipway_spawn(&request, &pid, &pidfd, &stage)
                    }
                }
            }
        }
        guard error == 0 else { throw SystemError(Self.operation(of: stage, command), code: error) }
        return ChildProcess(pid: pid, pidfd: pidfd, command: command)
    }

    private static func operation(of stage: slipway_stage, _ command: Command) -> String {
        switch stage {
        case SLIPWAY_STAGE_CLONE: "creating a process for \(command.executable)"
        case SLIPWAY_STAGE_GROUP: "making a process group for \(command.executable)"
        case SLIPWAY_STAGE_DESCRIPTORS: "handing descriptors to \(command.executable)"
        case SLIPWAY_STAGE_LIMITS: "setting the limits of \(command.executable)"
        case SLIPWAY_STAGE_USER: "switching to user \(command.user.map { String($0.uid) } ?? "") for \(command.executable)"
        case SLIPWAY_STAGE_PARENT: "tying \(command.executable) to this process"
        case SLIPWAY_STAGE_DIRECTORY: "entering \(command.directory ?? "") for \(command.executable)"
        default: "executing \(command.executable)"
        }
    }

    /// Runs a short program to its end, blocking, and gives what it wrote to its output (and errors).
    package static func run(_ command: Command, withErrors: Bool = false) throws -> (Exit, output: String) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("making a pipe") }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var command = command
        command.descriptors = [nil, ends[1], withErrors ? ends[1] : nil]
        let started = Result { () throws(SystemError) in try spawn(command) }
        close(ends[1])
        let child = try started.get()
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count > 0 { output += buffer[..<count] } else if count == 0 || errno != EINTR { break }
        }
        guard let exit = try child.waitBlocking() else { preconditionFailure("a wait without a time-out ends with the process") }
        return (exit, String(decoding: output, as: UTF8.self))
    }

    // MARK: Waiting

    /// The exit, if the child has ended; never blocks.
    package func poll() throws(SystemError) -> Exit? {
        let (exit, waiters) = try state.withLock { state throws(SystemError) -> (Exit?, [@Sendable (Exit) -> Void]) in
            switch state {
            case .ended(let exit): return (exit, [])
            case .running(let waiters):
                guard let exit = try reap() else { return (nil, []) }
                state = .ended(exit)
                return (exit, waiters)
            }
        }
        if let exit { for waiter in waiters { waiter(exit) } }
        return exit
    }

    /// Blocks the calling thread until the child has ended, or nil after the time-out.
    package func waitBlocking(timeout: Duration? = nil) throws(SystemError) -> Exit? {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        while true {
            if let exit = try poll() { return exit }
            var milliseconds: Int32 = -1
            if let deadline {
                let left = ContinuousClock.now.duration(to: deadline)
                guard left > .zero else { return nil }
                milliseconds = Int32(clamping: left.wholeMilliseconds + 1)
            }
            var request = pollfd(fd: exitDescriptor, events: Int16(POLLIN), revents: 0)
            if Glibc.poll(&request, 1, milliseconds) < 0, errno != EINTR { throw SystemError("waiting for process \(pid)") }
        }
    }

    /// Waits until the child has ended. Cancelling the task doesn't end the wait: end the child.
    package func wait() async -> Exit {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state -> Exit? in
                switch state {
                case .ended(let exit): return exit
                case .running(var waiters):
                    waiters.append { continuation.resume(returning: $0) }
                    state = .running(waiters: waiters)
                    return nil
                }
            }
            if let ended { continuation.resume(returning: ended) } else { watch() }
        }
    }

    private func watch() {
        exitSource.withLock { slot in
            guard slot == nil else { return }
            let descriptor = dup(exitDescriptor)
            precondition(descriptor >= 0, "no descriptor left to wait for process \(pid)")
            let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
            source.setEventHandler { [self] in
                // A child can't be taken from us, so reaping fails only if someone else waited for it: a broken promise.
                do { if try poll() == nil { return } } catch { preconditionFailure("\(error)") }
                exitSource.withLock { $0?.cancel() }
            }
            source.setCancelHandler { close(descriptor) }
            slot = source
            source.resume()
        }
    }

    private func reap() throws(SystemError) -> Exit? {
        var status: Int32 = 0
        var usage = rusage()
        if killsGroupAtEnd {
            // While the zombie stands, its process id can't be anyone else's, nor the group's.
            let seen = slipway_wait(exitDescriptor, false, &status, &usage)
            if seen == SLIPWAY_WAIT_EXITED || seen == SLIPWAY_WAIT_SIGNALLED { Glibc.kill(-pid, SIGKILL) }
        }
        let result = slipway_wait(exitDescriptor, true, &status, &usage)
        let ending: Ending
        switch result {
        case SLIPWAY_WAIT_RUNNING: return nil
        case SLIPWAY_WAIT_EXITED: ending = .exited(code: status)
        case SLIPWAY_WAIT_SIGNALLED: ending = .signalled(status)
        default: throw SystemError("waiting for process \(pid)", code: status)
        }
        let cpu = Duration.seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        return Exit(ending: ending, cpuTime: cpu, peakMemoryBytes: usage.ru_maxrss * 1024)
    }

    // MARK: Signals and memory

    /// Sends a signal to the child alone. A child that has ended gets nothing.
    package func signal(_ signal: Int32) {
        _ = slipway_pidfd_send_signal(exitDescriptor, signal)
    }

    /// Sends a signal to the child's process group, or to the child alone if it has no group of its own.
    package func signalGroup(_ signal: Int32) {
        guard leadsGroup else { return self.signal(signal) }
        state.withLock { state in
            // After the reaping the id may be someone else's.
            if case .running = state { Glibc.kill(-pid, signal) }
        }
    }

    /// The most memory that the child has had resident, in bytes; nil once it has ended.
    package var peakMemory: Int? {
        guard let file = fopen("/proc/\(pid)/status", "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = line.withUnsafeBufferPointer { String(decoding: UnsafeRawBufferPointer($0).prefix { $0 != 0 }, as: UTF8.self) }
            guard text.hasPrefix("VmHWM:") else { continue }
            return text.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
        }
        return nil
    }
}

/// Blocks until a process that needn't be our child has ended; false after the time-out.
package func waitForEnd(ofProcess pid: pid_t, timeout: Duration) throws(SystemError) -> Bool {
    let descriptor = slipway_pidfd_open(pid)
    guard descriptor >= 0 else {
        guard errno == ESRCH else { throw SystemError("watching process \(pid)") }
        return true
    }
    defer { close(descriptor) }
    let deadline = ContinuousClock.now + timeout
    while true {
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { return false }
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&request, 1, Int32(clamping: left.wholeMilliseconds + 1))
        if ready > 0 { return true }
        if ready < 0, errno != EINTR { throw SystemError("watching process \(pid)") }
    }
}

extension Duration {
    package var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

/// A NULL-terminated vector of C strings.
private final class CStrings {
    let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointer = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() { pointer[index] = strdup(string) }
        pointer[count] = nil
    }

    deinit {
        for index in 0..<count { free(pointer[index]) }
        pointer.deallocate()
    }
}

private func withOptionalCString<R>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
    guard let string else { return body(nil) }
    return string.withCString(body)
}
