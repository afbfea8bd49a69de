import CSlipwaySystem
import Glibc

/// An open file, closed when nobody holds it any more. Calls block.
package final class File: Sendable {
    package let path: String
    package let descriptor: Int32

    package init(_ path: String, _ flags: Int32, mode: mode_t = 0o640) throws(SystemError) {
        self.path = path
        descriptor = open(path, flags | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("opening \(path)") }
    }

    deinit { close(descriptor) }

    package func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("writing \(path)") }
            rest = rest.dropFirst(count)
        }
    }

    /// Fewer bytes than asked for only at the end of the file.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = pread(descriptor, part.baseAddress, part.count, offset + done)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("reading \(path)") }
            if count == 0 { break }
            done += count
        }
        return done
    }

    package func size() throws(SystemError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("examining \(path)") }
        return status.st_size
    }

    /// After a failure the kernel may have dropped the pages and reports success on a second try: so never retry.
    package func synchronise() throws(SystemError) {
        guard fsync(descriptor) == 0 else { throw SystemError("synchronising \(path)") }
    }

    /// Makes the entries of a folder (names made, renamed or removed in it) outlive a crash of the machine.
    package static func synchroniseFolder(_ path: String) throws(SystemError) {
        try File(path, O_RDONLY | O_DIRECTORY).synchronise()
    }

    /// Writes back all of the file system that `path` is on: cheaper than thousands of single ones.
    package static func synchroniseFileSystem(of path: String) throws(SystemError) {
        let folder = try File(path, O_RDONLY | O_DIRECTORY)
        guard slipway_syncfs(folder.descriptor) == 0 else { throw SystemError("synchronising the file system of \(path)") }
    }

    /// Writes a file so that it is there whole or not at all, also after a power cut. What stood there gives way.
    package static func writeDurably(_ bytes: some Sequence<UInt8>, to path: String, mode: mode_t = 0o600) throws {
        let unfinished = path + ".new"
        try remove(unfinished)
        let file = try File(unfinished, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        if try bytes.withContiguousStorageIfAvailable({ try file.write(UnsafeRawBufferPointer($0)) }) == nil {
            try Array(bytes).withUnsafeBytes { try file.write($0) }
        }
        // Whatever the umask is.
        guard fchmod(file.descriptor, mode) == 0 else { throw SystemError("changing the mode of \(unfinished)") }
        try file.synchronise()
        guard rename(unfinished, path) == 0 else { throw SystemError("renaming \(unfinished)") }
        try synchroniseFolder(path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".")
    }

    /// True when the folder was made, false when there was one.
    @discardableResult
    package static func makeFolder(_ path: String) throws(SystemError) -> Bool {
        if mkdir(path, 0o750) == 0 { return true }
        guard errno == EEXIST else { throw SystemError("making folder \(path)") }
        return false
    }

    /// False when there was no such file.
    @discardableResult
    package static func remove(_ path: String) throws(SystemError) -> Bool {
        if unlink(path) == 0 { return true }
        guard errno == ENOENT else { throw SystemError("removing \(path)") }
        return false
    }
}
