import Glibc

/// An exclusive lock on a file, held until `deinit` or the end of the process, however that ends.
///
/// The file stays behind with the process id of its last holder: removing it would let two processes lock two files of one name.
package final class FileLock: Sendable {
    package struct Held: Error, CustomStringConvertible {
        package let path: String
        package let holder: pid_t?

        package var description: String {
            "\(path) is locked by \(holder.map { "process \($0)" } ?? "another process")"
        }
    }

    package let path: String
    private let descriptor: Int32

    /// - Errors: `Held` when another process (or another `FileLock` of this one) has it; `SystemError`.
    package init(path: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemError("opening \(path)") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = SystemError("locking \(path)")
            let holder = Self.holder(in: descriptor)
            close(descriptor)
            throw error.code == EWOULDBLOCK ? Held(path: path, holder: holder) : error
        }
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            let error = SystemError("writing \(path)")
            close(descriptor)
            throw error
        }
        // Last: an error after this would have `deinit` close the descriptor a second time, which may be another's by then.
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        // Closing alone isn't enough: a child that is just being started holds a copy of the descriptor until its exec.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func holder(in descriptor: Int32) -> pid_t? {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return pid_t(String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self))
    }
}
