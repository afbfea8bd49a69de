import Foundation
import Logging
import SlipwayBlobs
import SlipwayClient
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwayHTTP
import SlipwayTasks
import SlipwayTestSupport
import Testing


typealias JSON = SlipwayDomain.JSON

/// The server on a port of its own, with a database of its own.
struct RunningServer: Sendable {
    let port: Int
    let database: Database
    let blobs: BlobStore
    let folder: String
    let client: HTTPClient
    /// All scopes, in the organisation `home`.
    let key: String
    let home: OrganisationID

    struct Answer: Sendable {
        let status: Int
        let headers: [(name: String, value: String)]
        let bytes: [UInt8]

        var text: String { String(decoding: bytes, as: UTF8.self) }
        var json: JSON { get throws { try JSONReader.read(bytes) } }
        var problem: Problem { get throws { try JSONDecoder().decode(Problem.self, from: Data(bytes)) } }
        subscript(header name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
    }

    func call(
        _ method: String, _ path: String, key: String?? = nil, json: String? = nil, body: [UInt8]? = nil, type: String? = nil,
        headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        var headers = headers
        if let key = key ?? self.key { headers.append(("Authorization", "Bearer \(key)")) }
        if let type = type ?? (json == nil ? nil : "application/json") { headers.append(("Content-Type", type)) }
        let bytes = body ?? json.map { Array($0.utf8) }
        let response = try await client.send(.init(method, path, headers: headers, body: bytes.map { .bytes($0) } ?? .none))
        return Answer(status: response.status, headers: response.headers, bytes: response.body)
    }

    /// A key of an organisation of its own.
    func newTenant(
        _ name: String, scopes: [Scope] = [.admin, .read, .write, .predict]
    ) async throws -> (key: String, organisation: OrganisationID) {
        try await database.transaction(as: .system) { transaction in
            let organisation = try transaction.createOrganisation(named: name)
            let secret = APIKeySecret()
            _ = try transaction.createAPIKey(secret, named: "test", of: organisation.id, scopes: scopes, expiresAt: nil)
            return (secret.text, organisation.id)
        }
    }

    func newProject(_ name: String = "p", key: String? = nil) async throws -> String {
        let answer = try await call("POST", "/v1/projects", key: key ?? self.key, json: #"{"name": "\#(name)"}"#)
        #expect(answer.status == 201)
        return try #require(try answer.json["id"]?.stringValue)
    }

    func newDataset(in project: String, task: LearningTask = .tabularClassification, name: String = "d") async throws -> String {
        let answer = try await call("POST", "/v1/projects/\(project)/datasets", json: #"{"name": "\#(name)", "task": "\#(task.rawValue)"}"#)
        #expect(answer.status == 201)
        return try #require(try answer.json["id"]?.stringValue)
    }

    func count(_ table: String) async throws -> Int {
        try await database.transaction(as: .owner) {
            try $0.queryOne("SELECT count(*) AS count FROM \(identifier: table)") { try $0["count"] }
        }
    }

    /// Everything in the object store's folder.
    var storedFiles: [String] {
        get throws {
            try FileManager.default.subpathsOfDirectory(atPath: folder + "/blobs").filter { path in
                var isFolder: ObjCBool = false
                return FileManager.default.fileExists(atPath: folder + "/blobs/" + path, isDirectory: &isFolder) && !isFolder.boolValue
            }
        }
    }
}

func withRunningServer<R: Sendable>(
    queueLimit: Int = 1000, _ configure: (inout APIConfiguration) -> Void = { _ in },
    _ body: @Sendable @escaping (RunningServer) async throws -> R
) async throws -> R {
    let folder = "/tmp/slipway-http-\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = APIConfiguration(servePath: folder + "/serve.sock")
    configuration.port = 0
    configure(&configuration)
    let templates = URL(fileURLWithPath: TestCluster.migrationsDirectory).deletingLastPathComponent().appending(path: "Templates")
    let library = try TemplateLibrary(folder: templates)
    let blobs = try BlobStore(directory: folder + "/blobs", minimumFreeShare: 0)
    return try await withTestDatabase(connections: 8, queueLimit: queueLimit) { [configuration] database in
        let (secret, home) = try await database.transaction(as: .system) { transaction in
            (try transaction.createAdministratorKey(), try transaction.firstOrganisation())
        }
        var logger = Logger(label: "tests.http")
        logger.logLevel = .critical
        let server = APIServer(configuration: configuration, database: database, blobs: blobs, library: library, logger: logger)
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await server.run { port.yield($0) }
                port.finish()
            }
            var iterator = ports.makeAsyncIterator()
            let number = try #require(await iterator.next())
            let running = RunningServer(
                port: number, database: database, blobs: blobs, folder: folder,
                client: try HTTPClient(base: "http://127.0.0.1:\(number)"), key: secret.text, home: try #require(home).id)
            let result = try await body(running)
            group.cancelAll()
            // Cancelling is how a test ends its server.
            do { try await group.waitForAll() } catch {}
            return result
        }
    }
}

/// Bytes over a socket, for what no HTTP client would send.
struct RawConnection: ~Copyable {
    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        try #require(connected == 0)
    }

    deinit { close(descriptor) }

    /// False when the other side has gone.
    @discardableResult
    func write(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// A little at a time, until the other side closes or all is there.
    func readSlowly(bytes: Int) -> Int {
        var taken = 0, buffer = [UInt8](repeating: 0, count: 65_536)
        while taken < bytes {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { break }
            taken += count
            usleep(20_000)
        }
        return taken
    }

    /// All until the other side closes, `end` arrives, or nothing more comes for a minute (then with `…` at the end).
    func read(to end: String? = nil) -> String {
        var time = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var all: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0 { return String(decoding: all, as: UTF8.self) + (errno == ECONNRESET ? "" : "…") }
            all += buffer[..<count]
            let isWhole = end.map { all.reversed().starts(with: $0.utf8.reversed()) } ?? false
            if count == 0 || isWhole { return String(decoding: all, as: UTF8.self) }
        }
    }
}

/// Sends bytes on a connection of their own and gives what comes back until the server closes.
func exchange(_ server: RunningServer, _ text: String) async throws -> String {
    let port = server.port
    return try await onThread {
        let connection = try RawConnection(port: port)
        connection.write(text)
        return connection.read()
    }
}
