import SlipwayPostgres
import SlipwayTestSupport
import Testing

@Suite struct ListenerTests {
    @Test func notificationsOfTheChannelArriveInOrder() async throws {
        try await withEmptyDatabase { database in
            let work = try await database.listen(to: "work"), other = try await database.listen(to: "Other \"one\"")
            try await database.transaction(as: .owner) { transaction in
                try transaction.notify("Other \"one\"", "x")
                for number in 0..<20 { try transaction.notify("work", "\(number)") }
            }
            var received: [NotificationEvent] = []
            for await event in work.prefix(20) { received.append(event) }
            #expect(received == (0..<20).map { .notification(payload: "\($0)") })
            for await event in other.prefix(1) { #expect(event == .notification(payload: "x")) }
        }
    }

    @Test func listeningGoesOnAfterTheConnectionWasCut() async throws {
        try await withEmptyDatabase { database in
            let work = try await database.listen(to: "work")
            try await database.transaction(as: .owner) { transaction in
                try transaction.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
            }
            var events = work.makeAsyncIterator()
            #expect(await events.next() == .reconnected)
            try await database.transaction(as: .owner) { try $0.notify("work", "again") }
            #expect(await events.next() == .notification(payload: "again"))
        }
    }

    @Test func aReaderThatIsTooSlowIsToldThatItMissedSomething() async throws {
        try await withEmptyDatabase { database in
            let work = try await database.listen(to: "work"), end = try await database.listen(to: "end")
            try await database.transaction(as: .owner) { transaction in
                try transaction.execute("SELECT pg_notify('work', n::text) FROM generate_series(1, 5000) AS n")
                try transaction.notify("end")
            }
            for await _ in end.prefix(1) {}
            var events = work.makeAsyncIterator()
            for number in 1...1024 { #expect(await events.next() == .notification(payload: "\(number)")) }
            try await database.transaction(as: .owner) { try $0.notify("work", "later") }
            #expect(await events.next() == .reconnected)
            #expect(await events.next() == .notification(payload: "later"))
        }
    }

    @Test func closingEndsTheStream() async throws {
        try await withEmptyDatabase { database in
            let work = try await database.listen(to: "work")
            await database.close()
            for await _ in work { Issue.record("nothing was sent") }
            await #expect(throws: PostgresError.closed) { _ = try await database.listen(to: "work") }
        }
    }

    @Test func aCancelledReaderStopsListening() async throws {
        try await withEmptyDatabase { database in
            let work = try await database.listen(to: "work")
            let reader = Task { for await _ in work {} }
            reader.cancel()
            await reader.value
            let again = try await database.listen(to: "work")
            try await database.transaction(as: .owner) { try $0.notify("work", "x") }
            for await event in again.prefix(1) { #expect(event == .notification(payload: "x")) }
        }
    }
}
