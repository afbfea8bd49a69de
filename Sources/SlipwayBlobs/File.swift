import CSlipwaySystem
import Glibc
import SlipwaySystem

/// An open file, closed when nobody holds it any more. Calls block.
final class File: Sendable {
    let path: String
    let descriptor: Int32

    init(_ path: String, _ flags: Int32, mode: mode_t = 0o640) throws(SystemError) {
        self.path = path
        descriptor = open(path, flags | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("opening \(path)") }
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("writing \(path)") }
            rest = rest.dropFirst(count)
        }
    }

    /// Fewer bytes than asked for only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SystemError) -> Int {
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

    func size() throws(SystemError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("examining \(path)") }
        return status.st_size
    }

    /// After a failure the kernel may have dropped the pages and reports success on a second try: so never retry.
    func synchronise() throws(SystemError) {
        guard fsync(descriptor) == 0 else { throw SystemError("synchronising \(path)") }
    }

    /// Makes the entries of a folder (names made, renamed or removed in it) outlive a crash of the machine.
    static func synchroniseFolder(_ path: String) throws(SystemError) {
        try File(path, O_RDONLY | O_DIRECTORY).synchronise()
    }

    /// Writes back all of the file system that `path` is on: cheaper than thousands of single ones.
    static func synchroniseFileSystem(of path: String) throws(SystemError) {
        let folder = try File(path, O_RDONLY | O_DIRECTORY)
        guard slipway_syncfs(folder.descriptor) == 0 else { throw SystemError("synchronising the file system of \(path)") }
    }

    /// True when the folder was made, false when there was one.
    @discardableResult
    static func makeFolder(_ path: String) throws(SystemError) -> Bool {
        if mkdir(path, 0o750) == 0 { return true }
        guard errno == EEXIST else { throw SystemError("making folder \(path)") }
        return false
    }

    /// False when there was no such file.
    @discardableResult
    static func remove(_ path: String) throws(SystemError) -> Bool {
        if unlink(path) == 0 { return true }
        guard errno == ENOENT else { throw SystemError("removing \(path)") }
        return false
    }
}
