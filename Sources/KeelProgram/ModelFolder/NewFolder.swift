import Foundation

/// A folder that appears under its name when it is whole, and not before.
package struct NewFolder: ~Copyable {
    /// Where it will be, without slashes at the end.
    let path: String
    /// Where it is meanwhile: beside its place.
    package let temporary: String
    private var isPublished = false

    /// - Throws: `ModelFolderError.file`.
    package init(_ path: String) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        var template = Array((path + ".XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw Self.failure(path) }
        temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(temporary, 0o755)
    }

    deinit {
        if !isPublished { try? FileManager.default.removeItem(atPath: temporary) }
    }

    /// Gives it its name; a folder that had it is gone then.
    package consuming func publish() throws {
        try Self.sync(temporary)
        if rename(temporary, path) != 0 {
            // A folder with something in it isn't replaced by a name, but the two can change places at once.
            guard errno == ENOTEMPTY || errno == EEXIST else { throw Self.failure(path) }
            guard Self.exchange(temporary, path) else { throw Self.failure(path) }
            try FileManager.default.removeItem(atPath: temporary)
        }
        isPublished = true
        try Self.sync((path as NSString).deletingLastPathComponent)
    }

    /// Linux's `renameat2` with `RENAME_EXCHANGE`, which glibc's headers have for C alone.
    private static func exchange(_ a: String, _ b: String) -> Bool {
        typealias Rename = @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
        guard let symbol = dlsym(nil, "renameat2") else {
            errno = ENOSYS
            return false
        }
        return unsafeBitCast(symbol, to: Rename.self)(AT_FDCWD, a, AT_FDCWD, b, 2) == 0
    }

    /// A folder's entries are data too.
    private static func sync(_ folder: String) throws {
        let handle = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw failure(folder) }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw failure(folder) }
    }

    private static func failure(_ path: String) -> ModelFolderError { .file(name: path, String(cString: strerror(errno))) }
}
