/// Why the embedded cluster can't run, each with its remedy.
package enum ClusterError: Error, Sendable, Hashable {
    case noServer(wanted: Int?, found: [Int])
    /// No user without privileges to run PostgreSQL as.
    case noUser
    /// The user that runs the cluster can't enter a folder above it.
    case folderClosed(path: String, user: String)
    case secretMissing(path: String)
    case damaged(path: String, reason: String)
    case initdbFailed(output: String)
    case startFailed(reason: String, log: String)
    case staysAlive(pid: Int32)
}

extension ClusterError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noServer(nil, _):
            "PostgreSQL's server programs were not found. Install them: apt-get install postgresql"
        case .noServer(let wanted?, let found):
            """
            this data directory was made by PostgreSQL \(wanted), but \
            \(found.isEmpty ? "no server is" : "only \(found.map(String.init).joined(separator: ", ")) is") installed. \
            Either install it (apt-get install postgresql-\(wanted)), or move the data to the new version with pg_upgrade, or with pg_dumpall from the old one
            """
        case .noUser:
            "PostgreSQL doesn't run as root, and there is neither a user 'postgres' nor 'nobody'. Make one: useradd --system postgres"
        case .folderClosed(let path, let user):
            """
            PostgreSQL runs as user '\(user)', which can't enter \(path). Choose another data directory, or allow it: chmod o+x \(path)
            """
        case .secretMissing(let path):
            "the database's password file \(path) is missing. Restore it from the backup of the data directory"
        case .damaged(let path, let reason):
            "\(path) is not a usable PostgreSQL cluster: \(reason). Restore it from a backup, or move it away to start anew"
        case .initdbFailed(let output):
            "initdb failed: \(output)"
        case .startFailed(let reason, let log):
            "PostgreSQL didn't start: \(reason)\(log.isEmpty ? "" : ". Its log ends with:\n\(log)")"
        case .staysAlive(let pid):
            "PostgreSQL's process \(pid) of an earlier run can't be stopped. End it: kill -9 \(pid)"
        }
    }
}
