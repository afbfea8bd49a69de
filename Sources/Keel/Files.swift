#if canImport(Glibc)
import Glibc
#endif

/// A file's bytes, mapped for reading.
///
/// Unchecked because they are only read; a tensor that lies in them (`Tensor.init(in:)`) and is updated in place gets pages of its own. Other processes
/// mustn't shorten the file meanwhile: model files are written once.
package final class MappedFile: @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer

    /// - Parameter followsLinks: whether the path may be a symbolic link.
    package init(_ path: String, followsLinks: Bool = true) throws(TensorError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (followsLinks ? 0 : O_NOFOLLOW))
        guard descriptor >= 0 else { throw TensorError(.file(path: path, String(cString: strerror(errno)))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw TensorError(.file(path: path, "isn't a file")) }
        guard status.st_size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let start = mmap(nil, Int(status.st_size), PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
            throw TensorError(.file(path: path, String(cString: strerror(errno))))
        }
        bytes = UnsafeRawBufferPointer(start: start, count: Int(status.st_size))
    }

    deinit {
        if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
    }
}

/// A file that appears under its name when it is whole, and not before.
package struct NewFile: ~Copyable {
    private let path: String
    private let temporary: String
    private let descriptor: Int32
    private var isPublished = false

    package init(_ path: String) throws(TensorError) {
        self.path = path
        var template = Array((path + ".XXXXXX").utf8CString)
        descriptor = mkstemp(&template)
        temporary = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        guard descriptor >= 0 else { throw TensorError(.file(path: path, String(cString: strerror(errno)))) }
        fchmod(descriptor, 0o644)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit {
        if !isPublished {
            close(descriptor)
            unlink(temporary)
        }
    }

    package func write(_ array: [UInt8]) throws(TensorError) { try array.span.withUnsafeBytes { (bytes) throws(TensorError) in try write(bytes) } }

    package func write(_ bytes: UnsafeRawBufferPointer) throws(TensorError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest)
            let written = Glibc.write(descriptor, piece.baseAddress, min(piece.count, 1 << 30))
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw TensorError(.file(path: path, String(cString: strerror(errno)))) }
            rest = rest.dropFirst(written)
        }
    }

    package consuming func publish() throws(TensorError) {
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw TensorError(.file(path: path, String(cString: strerror(errno)))) }
        close(descriptor)
        isPublished = true
        // The folder's entry is data too.
        let folder = path.lastIndex(of: "/").map { path[..<$0].isEmpty ? "/" : String(path[..<$0]) } ?? "."
        let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { return }
        fsync(handle)
        close(handle)
    }
}

extension NewFile {
    /// Writes a file, whole or not at all.
    package static func write(to path: String, _ fill: (borrowing NewFile) throws -> Void) throws {
        let file = try NewFile(path)
        try fill(file)
        try file.publish()
    }
}

extension Tensor {
    /// A tensor whose elements lie in a mapped file, which stays mapped as long as it is there.
    ///
    /// - Returns: nil where the elements don't lie at multiples of their width.
    package init?(in file: MappedFile, at range: Range<Int>, _ spec: TensorSpec) throws(TensorError) {
        let count = try spec.shape.elementCount()
        precondition(range.count == count * spec.dtype.width, "the bytes are the tensor's")
        guard range.upperBound <= file.bytes.count, count > 0, let base = file.bytes.baseAddress, range.lowerBound % spec.dtype.width == 0 else { return nil }
        let start = UnsafeMutableRawPointer(mutating: base + range.lowerBound)
        self.init(Storage(borrowing: start, from: file, on: CPU.shared), Descriptor(dense: spec, count: count))
    }

    /// Whether the elements lie in a mapped file.
    package var isMapped: Bool { storage.owner is MappedFile }

    /// The same numbers where they lie, if that is a mapped file, as a tensor that has nothing to do with this one otherwise.
    var sharedWithFile: Tensor? {
        guard let file = storage.owner as? MappedFile else { return nil }
        return Tensor(Storage(borrowing: storage.base, from: file, on: CPU.shared), descriptor)
    }
}
