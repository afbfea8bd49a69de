import Foundation

/// A folder that appears under its name when it is whole, and not before.
///
/// Its writer holds a lock on it, which goes with the process. So what a killed writer has left is known from what another one is still writing, and is
/// removed by the next one that makes the same folder.
package struct NewFolder: ~Copyable {
    /// Where it will be, without slashes at the end.
    let path: String
    /// Where it is meanwhile: beside its place.
    package let temporary: String
    /// The temporary folder, locked.
    private let lock: Int32
    private var isPublished = false

    /// - Throws: `ModelFolderError.file`.
    package init(_ path: String) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        Self.removeAbandoned(beside: path)
        (temporary, lock) = try Self.make(beside: path)
        chmod(temporary, 0o755)
    }

    deinit {
        if !isPublished { try? FileManager.default.removeItem(atPath: temporary) }
        close(lock)
    }

    /// Gives it its name; a folder that had it is gone then.
    package consuming func publish() throws {
        try Self.sync(temporary)
        if rename(temporary, path) != 0 {
            // A folder with something in it isn't replaced by a name, but the two can change places at once.
            guard errno == ENOTEMPTY || errno == EEXIST else { throw Self.failure(path) }
            guard Self.exchange(temporary, path) else { throw Self.failure(path) }
            // The old one is nobody's now, and another writer may be removing it, too.
            try? FileManager.default.removeItem(atPath: temporary)
        }
        isPublished = true
        try Self.sync((path as NSString).deletingLastPathComponent)
    }

    // Temporary folders.

    /// What stands between a folder's name and the six letters of a temporary one.
    private static let mark = ".unfinished-"

    /// A new temporary folder, and its lock. Where there are no locks, it is nobody's for those who look, and stays if its writer is killed.
    private static func make(beside path: String) throws -> (path: String, lock: Int32) {
        while true {
            var template = Array((path + mark + "XXXXXX").utf8CString)
            guard mkdtemp(&template) != nil else { throw failure(path) }
            let made = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // Another writer may find it before it is locked, and take it for abandoned.
            let handle = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard handle >= 0 else {
                if errno == ENOENT { continue }
                defer { rmdir(made) }
                throw failure(path)
            }
            while flock(handle, LOCK_EX) != 0, errno == EINTR {}
            if isFolder(handle, at: made) { return (made, handle) }
            close(handle)
        }
    }

    /// Removes temporary folders of the same name that no process holds. What can't be removed stays.
    private static func removeAbandoned(beside path: String) {
        let folder = (path as NSString).deletingLastPathComponent, prefix = (path as NSString).lastPathComponent + mark
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
        for name in names where name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + 6 {
            let found = folder.isEmpty ? name : (folder as NSString).appendingPathComponent(name)
            let handle = open(found, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
            guard handle >= 0 else { continue }
            defer { close(handle) }
            // With its lock, the name is still that folder's until it is removed: only its writer would rename it.
            guard flock(handle, LOCK_EX | LOCK_NB) == 0, isFolder(handle, at: found) else { continue }
            try? FileManager.default.removeItem(atPath: found)
        }
    }

    /// Whether the path leads to the folder that was opened.
    private static func isFolder(_ handle: Int32, at path: String) -> Bool {
        var opened = stat(), there = stat()
        return fstat(handle, &opened) == 0 && lstat(path, &there) == 0 && opened.st_dev == there.st_dev && opened.st_ino == there.st_ino
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
