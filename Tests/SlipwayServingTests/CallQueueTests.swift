import SlipwayServing
import Testing

@Suite struct CallQueueTests {
    @Test func modelsTakeTurns() {
        var queue = CallQueue<String, Int>(limit: 10)
        for call in 1...3 { #expect(queue.add(call, to: "busy") != nil) }
        #expect(queue.add(10, to: "quiet") != nil)
        #expect([queue.next(), queue.next(), queue.next(), queue.next(), queue.next()] == [1, 10, 2, 3, nil])
        #expect(queue.isEmpty)
    }

    @Test func aFullLineRefusesItsOwnModelOnly() {
        var queue = CallQueue<String, Int>(limit: 1)
        #expect(queue.add(1, to: "a") != nil)
        #expect(queue.add(2, to: "a") == nil)
        #expect(queue.add(3, to: "b") != nil)
    }

    @Test func aCallThatLeftIsNotAnswered() throws {
        var queue = CallQueue<String, Int>(limit: 10)
        let first = try #require(queue.add(1, to: "a"))
        _ = queue.add(2, to: "a")
        #expect(queue.remove(first, from: "a") == 1)
        #expect(queue.remove(first, from: "a") == nil)
        #expect(queue.next() == 2)
        #expect(queue.next() == nil)
    }
}
