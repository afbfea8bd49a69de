import Foundation
import Logging
import SlipwayDomain
import SlipwayJobs
import SlipwayPostgres
import SlipwayStore
import SlipwaySystem
import Synchronization
import Testing

/// Between a client and PostgreSQL: breaks the connection once it is told to, when the client says COMMIT or when the server has
/// said that it's done.
private final class BreakingProxy: Sendable {
    enum Breakage { case beforeCommit, afterCommit }

    let folder: String
    private let descriptor: Int32
    private let pending = Mutex<Breakage?>(nil)

    /// At the next COMMIT.
    func breakOff(_ breakage: Breakage) { pending.withLock { $0 = breakage } }

    /// - Parameter server: the folder of the server's socket.
    init(server: String) throws {
        folder = "/tmp/slipway-proxy-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        descriptor = try Self.socket(folder, bind)
        try #require(listen(descriptor, 16) == 0)
        _ = OSThread(name: "proxy") { [descriptor, weak self] in
            while true {
                let client = accept(descriptor, nil, nil)
                guard client >= 0, let upstream = try? Self.socket(server, connect) else { return }
                self?.join(client, upstream)
            }
        }
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func socket(
        _ folder: String, _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: (folder + "/.s.PGSQL.5432").utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { use(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        try #require(result == 0)
        return descriptor
    }

    private func join(_ client: Int32, _ upstream: Int32) {
        let words: [(Int32, Int32, Breakage, [UInt8])] = [
            (client, upstream, .beforeCommit, Array("COMMIT; RESET".utf8)), (upstream, client, .afterCommit, Array("COMMIT\0".utf8)),
        ]
        for (from, to, breakage, word) in words {
            _ = OSThread(name: "proxy-pump") { [self] in
                var buffer = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = read(from, &buffer, buffer.count)
                    guard count > 0 else { break }
                    let isThere = Data(buffer[..<count]).range(of: Data(word)) != nil
                    let breaks = isThere && pending.withLock { pending in
                        guard pending == breakage else { return false }
                        pending = nil
                        return true
                    }
                    if breaks || send(to, buffer, count, Int32(MSG_NOSIGNAL)) != count { break }
                }
                for end in [from, to] { shutdown(end, Int32(SHUT_RDWR)) }
            }
        }
    }
}

@Suite struct AttemptTests {
    /// The client can't know whether its transaction was committed; the database can.
    @Test func aConnectionThatBreaksDuringCommitWritesNothingTwice() async throws {
        try await withSite { site in
            try await site.enqueue()
            let job = try #require(try await site.lease())
            let address = site.database.address
            let host = try #require(address.parameters["host"]), user = try #require(address.parameters["user"])
            let proxy = try BreakingProxy(server: host)
            let database = Database(
                PostgresAddress(
                    socketDirectory: proxy.folder, user: user, password: address.parameters["password"] ?? "",
                    database: try #require(address.database)),
                connections: 1, logger: Logger(label: "test"))
            let attempt = Attempt(job, database: database, leaseSeconds: 30, leasedAt: .now, logger: Logger(label: "test"))
            let organisation = site.organisation
            let calls = Atomic(0)
            for number in 1...2 {
                let value = try await attempt.fenced { transaction in
                    let call = calls.add(1, ordering: .relaxed).newValue
                    if call < 3 { proxy.breakOff(call == 1 ? .afterCommit : .beforeCommit) }
                    try transaction.execute("INSERT INTO project (organisation_id, name) VALUES (\(organisation), \("new \(number)"))")
                    return number
                }
                #expect(value == number)
            }
            // The first was committed, and not done again; the second wasn't, and was.
            #expect(calls.load(ordering: .relaxed) == 3)
            #expect(try await site.value("SELECT count(*) AS value FROM project WHERE name LIKE 'new %'") == 2)
            await database.close()
        }
    }
}
