import SlipwayServing
import Testing

@Suite struct CallQueueTests {
    @Test func modelsTakeTurns() {
        var queue = CallQueue<String, Int>(limit: 10)
        for call in 1...3 { _ = queue.add(call, to: "busy") }
        _ = queue.add(10, to: "quiet")
        let order = [queue.next(), queue.next(), queue.next(), queue.next(), queue.next()]
        #expect(order == [1, 10, 2, 3, nil])
        #expect(queue.isEmpty)
    }

    @Test func aFullLineRefusesItsOwnModelOnly() {
        var queue = CallQueue<String, Int>(limit: 1)
        let numbers = [queue.add(1, to: "a"), queue.add(2, to: "a"), queue.add(3, to: "b")]
        #expect(numbers == [1, nil, 2])
    }

    @Test func aCallThatLeftIsNotAnswered() {
        var queue = CallQueue<String, Int>(limit: 10)
        let first = queue.add(1, to: "a") ?? 0
        _ = queue.add(2, to: "a")
        let removed = [queue.remove(first, from: "a"), queue.remove(first, from: "a")]
        #expect(removed == [1, nil])
        let answered = [queue.next(), queue.next()]
        #expect(answered == [2, nil])
    }
}
