import Synchronization

/// What many callers were answered, and whether they are to go on calling.
final class Tally<Answer: Hashable & Sendable>: Sendable {
    private let answers = Mutex<[Answer: Int]>([:])
    private let closed = Mutex(false)

    func count(_ answer: Answer) { answers.withLock { $0[answer, default: 0] += 1 } }

    subscript(answer: Answer) -> Int { answers.withLock { $0[answer, default: 0] } }
    var seen: Set<Answer> { answers.withLock { Set($0.keys) } }
    var isClosed: Bool { closed.withLock { $0 } }
    func close() { closed.withLock { $0 = true } }
}
