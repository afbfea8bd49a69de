import Foundation
import SlipwaySystem
import Synchronization

/// SIGTERM and SIGINT as something that a blocking loop can wait for.
final class SignalPipe {
    /// Readable once a signal has come; it stays so.
    let descriptor: Int32

    /// For the handler, which may do nothing but write.
    private static let writing = Atomic<Int32>(-1)
    private static let received = Atomic<Int>(0)

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("making a pipe") }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        descriptor = ends[0]
        Self.writing.store(ends[1], ordering: .sequentiallyConsistent)
    }

    func install() {
        for number in [SIGTERM, SIGINT] {
            signal(number) { _ in
                SignalPipe.received.add(1, ordering: .sequentiallyConsistent)
                var byte: UInt8 = 1
                _ = write(SignalPipe.writing.load(ordering: .sequentiallyConsistent), &byte, 1)
            }
        }
    }

    var count: Int { Self.received.load(ordering: .sequentiallyConsistent) }
    var hasCome: Bool { count > 0 }
}
