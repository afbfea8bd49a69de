import CSlipwaySystem
import Glibc

/// A system call that failed, with what it was about.
package struct SystemError: Error, Hashable, CustomStringConvertible {
    package let operation: String
    package let code: Int32

    package init(_ operation: String, code: Int32 = errno) {
        self.operation = operation
        self.code = code
    }

    package var description: String { "\(operation): \(String(cString: strerror(code)))" }
}

/// Writes the whole file system that a folder is on to the disk: one wait, where each of a thousand files would have its own.
package func synchroniseFileSystem(of directory: String) throws(SystemError) {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError("opening \(directory)") }
    defer { close(descriptor) }
    guard slipway_sync_file_system(descriptor) == 0 else { throw SystemError("writing \(directory) to the disk") }
}
