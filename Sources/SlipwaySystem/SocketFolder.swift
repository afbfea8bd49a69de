import Glibc

/// The folder of a data directory's unix sockets: `run` in there if their paths have room, else one in `/tmp` whose name follows
/// from the data directory's.
package struct SocketFolder: Sendable, Hashable {
    /// The folder in `/tmp` belongs to another user or is open to others: someone may have put it there.
    package struct NotOurs: Error, CustomStringConvertible {
        package let path: String
        package var description: String { "\(path) belongs to another user or is open to others. Remove it, if it isn't needed" }
    }

    package let path: String
    private let isInside: Bool

    /// The longest name of a socket in it, and what a socket's address has room for.
    private static let longestName = "/.s.PGSQL.5432", limit = 107

    package init(of dataDirectory: String) {
        let inside = dataDirectory + "/run"
        isInside = (inside + Self.longestName).utf8.count <= Self.limit
        // FNV-1a: the name must be the same at each start, and needn't be secret.
        let hash = dataDirectory.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        path = isInside ? inside : "/tmp/slipway-\(geteuid())-\(String(hash, radix: 36))"
    }

    /// Makes the folder, for its owner alone.
    ///
    /// - Parameter owner: whose it is; nil: ours.
    /// - Errors: `NotOurs`, `SystemError`.
    package func make(owner: ChildProcess.Command.User? = nil) throws {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemError("making \(path)") }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw SystemError("opening \(path)") }
        let isOurs = status.st_uid == geteuid() || status.st_uid == owner?.uid
        guard isInside || (status.st_mode & S_IFMT == S_IFDIR && status.st_mode & 0o077 == 0 && isOurs) else { throw NotOurs(path: path) }
        guard let owner else { return }
        guard lchown(path, owner.uid, owner.gid) == 0 else { throw SystemError("giving \(path) away") }
    }

    /// One in `/tmp` has no other owner; one in the data directory waits for the next start.
    package func remove() {
        if !isInside { rmdir(path) }
    }
}
