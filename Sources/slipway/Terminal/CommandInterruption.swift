import Foundation
import SlipwaySystem
import Synchronization

/// Ctrl-C and SIGTERM cancel a command's work, so that it tidies up and says what goes on without it. A second one ends the
/// process at once.
enum CommandInterruption {
    private static let received = Atomic<Int32>(0)
    /// For the handler, which may do nothing but write.
    private static let writing = Atomic<Int32>(-1)

    /// The signal that has come; 0: none.
    static var signal: Int32 { received.load(ordering: .sequentiallyConsistent) }

    static func cancelling(_ body: sending @escaping () async throws -> Void) async throws {
        // Unstructured because a thread that waits for the signal has to cancel it.
        let work = Task { try await body() }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return try await work.value }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        writing.store(ends[1], ordering: .sequentiallyConsistent)
        for number in [SIGINT, SIGTERM] where !isIgnored(number) { install(number) }
        let reading = ends[0]
        _ = OSThread(name: "interruption") {
            var byte: UInt8 = 0
            while read(reading, &byte, 1) < 0, errno == EINTR {}
            work.cancel()
        }
        try await work.value
    }

    /// A shell starts what runs in its background without Ctrl-C.
    private static func isIgnored(_ number: Int32) -> Bool {
        var current = sigaction()
        sigaction(number, nil, &current)
        return unsafeBitCast(current.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    private static func install(_ number: Int32) {
        Foundation.signal(number) { number in
            Foundation.signal(number, SIG_DFL)
            CommandInterruption.received.store(number, ordering: .sequentiallyConsistent)
            var byte: UInt8 = 1
            _ = write(CommandInterruption.writing.load(ordering: .sequentiallyConsistent), &byte, 1)
        }
    }
}
