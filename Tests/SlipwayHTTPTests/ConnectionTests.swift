import Foundation
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwayTestSupport
import Testing

@Suite struct ConnectionTests {
    @Test func ambiguousHTTPIsRefusedAndTheConnectionClosed() async throws {
        try await withRunningServer { server in
            let post =
                "POST /v1/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: application/json\r\n"
            let cases = [
                ("both lengths", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                ("two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
                ("equal lengths", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
                ("huge chunk", post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello"),
                ("bad chunk", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"),
                ("odd encoding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
                ("space before colon", "GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n"),
                ("folded header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n"),
                ("no host", "GET /healthz HTTP/1.1\r\n\r\n"),
                ("two hosts", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
                ("not HTTP", "\u{16}\u{3}\u{1}hello\r\n\r\n"),
                ("long target", "GET /\(String(repeating: "a", count: 100_000)) HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                ("long header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: \(String(repeating: "a", count: 90_000))\r\n\r\n"),
                ("many headers", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + (0..<2000).map { "X-\($0): a\r\n" }.joined() + "\r\n"),
            ]
            for (name, bytes) in cases {
                let answer = try await exchange(server, bytes)
                #expect(answer.hasPrefix("HTTP/1.1 4"), "\(name): \(answer.prefix(300))")
                #expect(!answer.hasSuffix("…"), "\(name): not closed")
                #expect(answer.components(separatedBy: "HTTP/1.1 4").count == 2, "\(name): answered once, not \(answer.prefix(1000))")
                #expect(answer.contains("application/problem+json"), "\(name): \(answer.prefix(300))")
            }
            #expect(try await server.count("project") == 0)
            #expect(try await server.call("GET", "/healthz").status == 200)
        }
    }

    @Test func aCrowdedDatabaseIsAnswered503AtOnce() async throws {
        try await withRunningServer(queueLimit: 0) { server in
            let release = DispatchSemaphore(value: 0)
            let (held, holding) = AsyncStream.makeStream(of: Void.self)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        while true {
                            do {
                                return try await server.database.transaction(as: .system) { _ in
                                    holding.yield()
                                    release.wait()
                                }
                            } catch PostgresError.crowded {
                                // The server itself has one for a moment.
                                try await Task.sleep(for: .milliseconds(5))
                            }
                        }
                    }
                }
                var holders = held.makeAsyncIterator()
                for _ in 0..<8 { await holders.next() }
                let answer = try await server.call("GET", "/v1/projects")
                #expect(answer.status == 503)
                #expect(answer[header: "Retry-After"] == "2")
                #expect(try answer.problem.code == "database-busy")
                for _ in 0..<8 { release.signal() }
                try await group.waitForAll()
            }
            #expect(try await server.call("GET", "/v1/projects").status == 200)
        }
    }

    @Test func aSlowHeaderIsCutOff() async throws {
        try await withRunningServer({ $0.limits.headTime = .milliseconds(300) }) { server in
            let answer = try await exchange(server, "GET /healthz HTTP/1.1\r\nHost: loc")
            #expect(!answer.hasSuffix("…"))
        }
    }

    @Test func aSlowBodyIsAnswered408() async throws {
        try await withRunningServer({ $0.limits.bodyTime = .milliseconds(300) }) { server in
            let head = "POST /v1/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
            let answer = try await exchange(server, head)
            #expect(answer.hasPrefix("HTTP/1.1 408"), "\(answer)")
            #expect(!answer.hasSuffix("…"))
        }
    }

    @Test func aSlowUploadIsAnswered408AndLeavesNothing() async throws {
        try await withRunningServer({
            $0.limits.uploadPaceTime = .milliseconds(300)
            $0.limits.uploadPaceBytes = 100
        }) { server in
            let dataset = try await server.newDataset(in: try await server.newProject())
            let head = "POST /v1/datasets/\(dataset)/versions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: text/csv\r\nContent-Length: 2000000\r\n\r\na,b\n"
            let answer = try await exchange(server, head)
            #expect(answer.hasPrefix("HTTP/1.1 408"), "\(answer)")
            #expect(try server.storedFiles.isEmpty)
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        try await withRunningServer({ $0.limits.idleTime = .milliseconds(200) }) { server in
            let answer = try await exchange(server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200"))
            #expect(!answer.hasSuffix("…"))
        }
    }

    @Test func requestsInOneGoAreAnsweredInOrder() async throws {
        try await withRunningServer { server in
            let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", last = get + "Connection: close\r\n\r\n"
            let answer = try await exchange(server, get + "\r\n" + "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + last)
            #expect(answer.components(separatedBy: "HTTP/1.1 200").count == 4, "\(answer)")
        }
    }

    @Test func aBodyThatIsTooLargeIsRefusedBeforeItIsRead() async throws {
        try await withRunningServer { server in
            let head = "POST /v1/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: application/json\r\nContent-Length: 3221225472\r\n"
            for expect in ["Expect: 100-continue\r\n", ""] {
                let answer = try await exchange(server, head + expect + "\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 413"), "\(answer)")
                #expect(!answer.hasSuffix("…"))
            }
        }
    }

    private func publish(_ bytes: Int, as name: String, of version: ModelVersionID, _ server: RunningServer) async throws {
        let blob = try await server.blobs.stage([UInt8](repeating: 0, count: bytes))
        let blobs = server.blobs, home = server.home
        try await server.database.transaction(as: .app(organisation: home.uuid)) { transaction in
            try transaction.publish(blob.digest, bytes: blob.bytes) { try blobs.place([blob]) }
            try transaction.execute("""
                INSERT INTO model_file (model_version_id, name, organisation_id, blob, bytes)
                VALUES (\(version), \(name), \(home), \(blob.digest), \(blob.bytes))
                """)
        }
    }

    /// A client that takes a little now and then is no better than one that takes nothing.
    @Test func aClientThatTakesLittleIsCutOff() async throws {
        try await withRunningServer({
            $0.limits.writeTime = .milliseconds(500)
            $0.limits.writePaceBytes = 8 << 20
        }) { server in
            let made = try await server.furnish()
            try await publish(64 << 20, as: "big.bin", of: made.modelVersion, server)
            let port = server.port
            let head = "GET /v1/model-versions/\(made.modelVersion)/files/big.bin HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\n\r\n"
            let taken = try await onThread {
                let connection = try RawConnection(port: port)
                connection.write(head)
                return connection.readSlowly(bytes: 64 << 20)
            }
            #expect(taken < 64 << 20)
        }
    }

    /// A client that asks for much and takes nothing holds a little memory, for a while.
    @Test(.timeLimit(.minutes(10))) func aClientThatTakesNothingIsCutOff() async throws {
        try await withRunningServer({
            $0.limits.writeTime = .milliseconds(300)
            $0.metricsKey = "collector"
        }) { server in
            let made = try await server.furnish()
            try await publish(16 << 20, as: "big.bin", of: made.modelVersion, server)
            let connection = try RawConnection(port: server.port)
            connection.write(
                "GET /v1/model-versions/\(made.modelVersion)/files/big.bin HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\n\r\n")
            // It is counted when it is over, as what it was.
            while try await !server.call("GET", "/metrics", key: "collector").text.contains(#"files/{name}",method="GET",code="499""#) {}
            #expect(connection.read().utf8.count < 16 << 20)
            let whole = try await server.call("GET", "/v1/model-versions/\(made.modelVersion)/files/big.bin")
            #expect(whole.bytes.count == 16 << 20)
        }
    }

    @Test func continueIsSentWhenTheBodyIsWanted() async throws {
        try await withRunningServer { server in
            let port = server.port, key = server.key
            let answer = try await onThread {
                let connection = try RawConnection(port: port)
                connection.write(
                    "POST /v1/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(key)\r\nContent-Type: application/json\r\nContent-Length: 13\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
                )
                return connection.read(to: "\r\n\r\n")
            }
            #expect(answer == "HTTP/1.1 100 Continue\r\n\r\n")
        }
    }
}
