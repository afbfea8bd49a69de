import Foundation
import SlipwayDomain
import SlipwayTestSupport
import Synchronization
import Testing

/// The serve process's side of its socket, one connection after the other, each request handed to `answer`; nil breaks the
/// connection.
final class ServeSocket: Sendable {
    private let descriptor: Int32
    private let requests = Mutex<[String]>([])
    private let accepted = Mutex(0)
    var seen: [String] { requests.withLock { $0 } }
    var connections: Int { accepted.withLock { $0 } }

    init(path: String, answer: @escaping @Sendable (_ number: Int, _ request: String) -> String?) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        try #require(bound == 0 && listen(descriptor, 16) == 0)
        let thread = Thread { [descriptor, weak self] in
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else { return }
                self?.accepted.withLock { $0 += 1 }
                while let request = Self.read(connection) {
                    let number = self?.requests.withLock { requests in
                        requests.append(request)
                        return requests.count
                    } ?? 0
                    guard let text = answer(number, request) else { break }
                    _ = text.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
                }
                close(connection)
            }
        }
        thread.start()
    }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)); close(descriptor) }

    private static func read(_ connection: Int32) -> String? {
        var all: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let text = String(decoding: all, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = text[..<end.lowerBound].lowercased()
                let length = head.firstMatch(of: /content-length: ([0-9]+)/).flatMap { Int($0.1) } ?? 0
                if text[end.upperBound...].utf8.count >= length { return text }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            all += buffer[..<count]
        }
    }

    static func json(_ body: String, status: String = "200 OK") -> String {
        "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

@Suite struct PredictTests {
    private func deployment(_ server: RunningServer) async throws -> String {
        let made = try await server.furnish()
        let answer = try await server.call(
            "POST", "/v1/projects/\(made.project)/deployments", json: #"{"name": "d", "model_version": "\#(made.modelVersion)"}"#)
        return try #require(try answer.json["id"]?.stringValue)
    }

    @Test func aCallIsPassedOnAsItIs() async throws {
        try await withRunningServer { server in
            let id = try await deployment(server)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in ServeSocket.json(#"{"predictions":[]}"#) }
            for _ in 0..<3 {
                let answer = try await server.call(
                    "POST", "/v1/deployments/\(id)/predict", json: #"{"inputs": [1]}"#, headers: [("X-Request-ID", "p1")])
                #expect(answer.status == 200, "\(answer.text)")
                #expect(answer.text == #"{"predictions":[]}"#)
            }
            let request = try #require(serve.seen.first)
            #expect(request.hasPrefix("POST /predict/\(id) HTTP/1.1\r\n"))
            #expect(request.contains("X-Request-ID: p1\r\n"))
            #expect(request.contains("Content-Type: application/json\r\n"))
            #expect(request.hasSuffix(#"{"inputs": [1]}"#))
            #expect(!request.contains(server.key))
            #expect(try await server.call("GET", "/readyz").status == 200)
            #expect(try await server.call("POST", "/v1/deployments/\(UUID())/predict", json: "{}").status == 404)
        }
    }

    /// A picture may be larger than JSON, and neither is passed on where serve would refuse it.
    @Test func aBodyThatServeWouldRefuseIsRefusedWithServesLimit() async throws {
        try await withRunningServer({
            $0.limits.predictJSONBytes = 100
            $0.limits.predictPictureBytes = 200
        }) { server in
            let id = try await deployment(server)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in ServeSocket.json("{}") }
            for (type, bytes, limit) in [("application/json; charset=utf-8", 101, "100"), ("image/png", 201, "200"), ("text/csv", 201, "200")] {
                let answer = try await server.call("POST", "/v1/deployments/\(id)/predict", body: [UInt8](repeating: 32, count: bytes), type: type)
                #expect(answer.status == 413 && answer.text.contains(limit), "\(answer.text)")
            }
            #expect(serve.seen.isEmpty)
            #expect(try await server.call("POST", "/v1/deployments/\(id)/predict", body: [UInt8](repeating: 32, count: 200), type: "image/png").status == 200)
        }
    }

    @Test func aCallWaitsForServeAndThenSaysSo() async throws {
        try await withRunningServer({ $0.limits.serveTime = .milliseconds(300) }) { server in
            let id = try await deployment(server)
            let away = try await server.call("POST", "/v1/deployments/\(id)/predict", json: "{}")
            #expect(away.status == 503)
            #expect(away[header: "Retry-After"] == "1")
        }
        try await withRunningServer({ $0.limits.serveTime = .seconds(60) }) { server in
            let id = try await deployment(server)
            async let waiting = server.call("POST", "/v1/deployments/\(id)/predict", json: "{}")
            try await Task.sleep(for: .milliseconds(200))
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in ServeSocket.json("{}") }
            #expect(try await waiting.status == 200)
            #expect(serve.seen.count == 1)
        }
    }

    @Test func aCallWhoseConnectionBreaksIsMadeAgain() async throws {
        try await withRunningServer { server in
            let id = try await deployment(server)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { number, _ in number % 2 == 1 ? nil : ServeSocket.json("{}") }
            #expect(try await server.call("POST", "/v1/deployments/\(id)/predict", json: "{}").status == 200)
            #expect(serve.seen.count == 2)
        }
    }

    @Test func aCallThatBringsServeDownIsRepeatedOnce() async throws {
        try await withRunningServer({ $0.limits.serveTime = .seconds(2) }) { server in
            let id = try await deployment(server)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in nil }
            let answer = try await server.call("POST", "/v1/deployments/\(id)/predict", json: "{}")
            #expect(answer.status == 503)
            #expect(try answer.problem.code == "serve-interrupted")
            #expect(serve.seen.count == 2)
        }
    }

    @Test(.timeLimit(.minutes(10))) func nothingIsAskedForAClientThatHasLeft() async throws {
        try await withRunningServer({
            $0.limits.serveTime = .seconds(2)
            $0.metricsKey = "collector"
        }) { server in
            let id = try await deployment(server)
            let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
            let isOver = DispatchSemaphore(value: 0)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { number, _ in
                guard number == 1 else { return ServeSocket.json("{}") }
                arrived.finish()
                isOver.wait()
                return nil
            }
            do {
                let client = try RawConnection(port: server.port)
                client.write("POST /v1/deployments/\(id)/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\n")
                client.write("Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
                for await _ in arrivals {}
            }
            // The call is over when it is counted, as unanswered or as cut off.
            while try await !server.call("GET", "/metrics", key: "collector").text.contains(#"{deployment}/predict",method="POST",code=""#) {}
            isOver.signal()
            // Connections are accepted in the order in which they were made.
            #expect(try await server.call("POST", "/v1/deployments/\(id)/predict", json: "{}").status == 200)
            #expect(serve.connections == 2)
        }
    }

    @Test func aLargeCallWhoseConnectionBreaksIsA503() async throws {
        try await withRunningServer { server in
            let id = try await deployment(server)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in nil }
            let picture = [UInt8](repeating: 1, count: 3 << 20)
            let answer = try await server.call("POST", "/v1/deployments/\(id)/predict", body: picture, type: "image/png")
            #expect(answer.status == 503)
            #expect(answer[header: "Retry-After"] == "1")
            #expect(serve.seen.count == 1)
            let tooLarge = try await server.call("POST", "/v1/deployments/\(id)/predict", body: picture + picture, type: "image/png", headers: [])
            #expect(tooLarge.status == 503)
        }
    }

    @Test func readinessIsFoundOutOnceAMoment() async throws {
        try await withRunningServer({ $0.limits.readinessMemory = .seconds(3600) }) { server in
            #expect(try await server.call("GET", "/readyz").status == 503)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in ServeSocket.json("{}") }
            #expect(try await server.call("GET", "/readyz").status == 503)
            #expect(serve.connections == 0)
        }
    }

    @Test func aStoppedDeploymentSaysSoAtOnce() async throws {
        try await withRunningServer { server in
            let id = try await deployment(server)
            let serve = try ServeSocket(path: server.folder + "/serve.sock") { _, _ in ServeSocket.json("{}") }
            #expect(try await server.call("POST", "/v1/deployments/\(id)/predict", json: "{}").status == 200)
            #expect(try await server.call("POST", "/v1/deployments/\(id)/stop").status == 202)
            let stopped = try await server.call("POST", "/v1/deployments/\(id)/predict", json: "{}")
            #expect(try stopped.problem.code == "deployment-stopped")
            #expect(serve.seen.count == 1)
        }
    }
}
