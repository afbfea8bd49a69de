import Foundation
import SlipwaySystem
import Synchronization

/// What a role says, copied to its log file and to our standard error. One older file is kept.
final class RoleLog: Sendable {
    private struct State {
        var descriptor: Int32
        var bytes: Int
    }

    private let path: String
    private let limit: Int
    private let state: Mutex<State>

    init(_ path: String, limit: Int) throws(SystemError) {
        self.path = path
        self.limit = limit
        state = Mutex(try Self.opened(path))
    }

    deinit { close(state.withLock { $0.descriptor }) }

    /// Copies what comes out of a pipe until its end, on a thread of its own.
    func follow(_ descriptor: Int32) {
        _ = OSThread(name: "role-log") { [self] in
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = read(descriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                buffer.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            }
            close(descriptor)
        }
    }

    /// A log that can't be written mustn't stop the platform: a full disk is told by other means.
    private func write(_ bytes: UnsafeRawBufferPointer) {
        _ = Foundation.write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        let count = bytes.count
        let descriptor = state.withLock { state -> Int32 in
            if state.bytes + count > limit, rename(path, path + ".1") == 0, let fresh = try? Self.opened(path) {
                close(state.descriptor)
                state = fresh
            }
            state.bytes += count
            return state.descriptor
        }
        _ = Foundation.write(descriptor, bytes.baseAddress, bytes.count)
    }

    private static func opened(_ path: String) throws(SystemError) -> State {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("opening \(path)") }
        return State(descriptor: descriptor, bytes: max(0, Int(lseek(descriptor, 0, SEEK_END))))
    }
}
