import CSlipwaySystem
import Glibc

/// Lets another thread interrupt one that waits for a socket.
package final class WakeUp: Sendable {
    private let descriptor: Int32

    package init() {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        precondition(descriptor >= 0, "no descriptor left for the listener")
    }

    deinit { Glibc.close(descriptor) }

    package func signal() { eventfd_write(descriptor, 1) }

    package func wait(for duration: Duration) {
        // Nothing is polled but the wake-up itself, so the only failure is an interruption: a shorter pause.
        _ = try? wait(forInputOn: -1, for: duration)
    }

    /// False when the time is over and nothing has come.
    package func wait(forInputOn socket: Int32, for duration: Duration) throws -> Bool {
        var requests = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
        ]
        let ready = poll(&requests, 2, Int32(clamping: duration.wholeMilliseconds))
        guard ready >= 0 || errno == EINTR else { throw SystemError("waiting for notifications") }
        var value: eventfd_t = 0
        if requests[0].revents != 0 { eventfd_read(descriptor, &value) }
        return ready != 0
    }
}
