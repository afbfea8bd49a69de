/// Who is next: calls wait in line at their model, and the models take turns, so that one with many calls doesn't keep
/// those of another waiting.
///
/// A state machine without threads: its owner performs what it says.
struct CallQueue<Model: Hashable, Call> {
    private let limit: Int
    private var lines: [Model: [(id: UInt64, call: Call)]] = [:]
    /// Models with calls that wait, the one whose turn it is first.
    private var turns: [Model] = []
    private var lastID: UInt64 = 0

    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { lines.isEmpty }

    /// The call's number; nil when too many wait for that model.
    mutating func add(_ call: Call, to model: Model) -> UInt64? {
        guard lines[model]?.count ?? 0 < limit else { return nil }
        lastID += 1
        if lines[model] == nil { turns.append(model) }
        lines[model, default: []].append((lastID, call))
        return lastID
    }

    /// The next call to be answered.
    mutating func next() -> Call? {
        guard !turns.isEmpty else { return nil }
        let model = turns.removeFirst()
        guard var line = lines[model], !line.isEmpty else { preconditionFailure("a model with a turn has calls") }
        let call = line.removeFirst().call
        lines[model] = line.isEmpty ? nil : line
        if !line.isEmpty { turns.append(model) }
        return call
    }

    /// Takes a call out of its line; nil when it isn't there any more.
    mutating func remove(_ id: UInt64, from model: Model) -> Call? {
        guard var line = lines[model], let index = line.firstIndex(where: { $0.id == id }) else { return nil }
        let call = line.remove(at: index).call
        lines[model] = line.isEmpty ? nil : line
        if line.isEmpty { turns.removeAll { $0 == model } }
        return call
    }
}
