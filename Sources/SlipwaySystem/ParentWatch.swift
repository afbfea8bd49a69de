import Foundation

/// Calls `action`, on a thread of its own, once standard input has ended: a role's parent holds the other end, and is gone.
package func whenParentIsGone(_ action: @escaping @Sendable () -> Void) {
    _ = OSThread(name: "parent-watch") {
        var bytes = [UInt8](repeating: 0, count: 256)
        while true {
            let count = read(STDIN_FILENO, &bytes, bytes.count)
            // What comes is of no interest.
            if count > 0 || (count < 0 && errno == EINTR) { continue }
            break
        }
        action()
    }
}
