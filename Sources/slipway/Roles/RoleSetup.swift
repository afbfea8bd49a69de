import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwaySystem

/// What every role begins with: settings, log, files, and on demand the database and the object store.
struct RoleSetup: Sendable {
    let configuration: Configuration
    let logger: Logger
    let files: DataFiles
    /// How many files and connections this process may have open.
    let descriptors: Int

    init(_ role: String, _ settings: SettingFlags) throws {
        configuration = try settings.configuration()
        LogLines.bootstrap(configuration)
        logger = Logger(label: role)
        files = DataFiles(directory: configuration[Settings.dataDirectory])
        // What a role writes is its user's alone, unless it says otherwise.
        umask(0o077)
        signal(SIGPIPE, SIG_IGN)
        descriptors = Self.raisedDescriptorLimit()
    }

    /// The soft limit is often 1,024, for the sake of programs that `select`: ours may have what the hard one allows.
    private static func raisedDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        var raised = limit
        raised.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        return Int(clamping: limit.rlim_cur)
    }

    /// How many connections there may be, at most `wanted`, when each needs `each` descriptors: what is left of them is for the
    /// database, files and threads.
    func connections(atMost wanted: Int, each: Int) -> Int { max(min(wanted, (descriptors - 128) / each), 8) }

    func database(connections: Int) throws -> Database {
        guard let text = configuration[Settings.databaseURL] else {
            throw Failure.usage("this role needs SLIPWAY_DATABASE_URL; `slipway up` runs it with the platform's own cluster")
        }
        return Database(try PostgresAddress(text), connections: connections, logger: logger)
    }

    var importLimits: ImportLimits {
        var limits = ImportLimits()
        limits.archiveEntries = configuration[Settings.archiveEntries]
        limits.archiveBytes = configuration[Settings.archiveBytes].bytes
        limits.tableColumns = configuration[Settings.tableColumns]
        return limits
    }

    func blobs() throws -> BlobStore { try BlobStore(directory: files.blobs) }
}

/// The data directory's layout (ARCHITECTURE, "The data directory").
struct DataFiles: Sendable {
    let directory: String

    var url: String { directory + "/url" }
    var blobs: String { directory + "/blobs" }
    var jobs: String { directory + "/jobs" }
    var logs: String { directory + "/logs" }
    var serveSocket: String { SocketFolder(of: directory).path + "/serve.sock" }
}

extension DataFiles {
    /// The port that an earlier api process of this platform has told; 0: none has.
    var lastPort: Int {
        (try? String(contentsOfFile: url, encoding: .utf8)).flatMap { URL(string: $0.trimmingCharacters(in: .newlines))?.port } ?? 0
    }

    /// Tells clients on this machine where the api listens: complete or absent, and for everyone to read.
    func writeURL(_ address: String) throws {
        try File.writeDurably((address + "\n").utf8, to: url, mode: 0o644)
    }
}
