/// Who is next: calls wait in line at their model, and the models take turns, so that one with many calls doesn't keep
/// those of another waiting. A model answers one call at a time.
///
/// A state machine without threads: its owner performs what it says.
struct CallQueue<Model: Hashable, Call> {
    private struct Line {
        var calls: [(id: UInt64, call: Call)] = []
        var isBusy = false
    }

    private let limit: Int
    private var lines: [Model: Line] = [:]
    /// Models with calls that aren't busy, the one whose turn it is first.
    private var turns: [Model] = []
    private var lastID: UInt64 = 0

    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { lines.isEmpty }

    /// The call's number; nil when too many wait for that model.
    mutating func add(_ call: Call, to model: Model) -> UInt64? {
        var line = lines[model] ?? Line()
        guard line.calls.count < limit else { return nil }
        lastID += 1
        line.calls.append((lastID, call))
        if line.calls.count == 1, !line.isBusy { turns.append(model) }
        lines[model] = line
        return lastID
    }

    /// The next call to be answered; its model is busy until `finish`.
    mutating func next() -> (model: Model, call: Call)? {
        guard !turns.isEmpty else { return nil }
        let model = turns.removeFirst()
        guard var line = lines[model] else { preconditionFailure("a model with a turn has a line") }
        let call = line.calls.removeFirst().call
        line.isBusy = true
        lines[model] = line
        return (model, call)
    }

    /// The model may take its next call, after the others that wait.
    mutating func finish(_ model: Model) {
        guard var line = lines[model], line.isBusy else { preconditionFailure("only a busy model can finish") }
        line.isBusy = false
        lines[model] = line.calls.isEmpty ? nil : line
        if !line.calls.isEmpty { turns.append(model) }
    }

    /// Takes a call out of its line; nil when it isn't there any more.
    mutating func remove(_ id: UInt64, from model: Model) -> Call? {
        guard var line = lines[model], let index = line.calls.firstIndex(where: { $0.id == id }) else { return nil }
        let call = line.calls.remove(at: index).call
        lines[model] = line.calls.isEmpty && !line.isBusy ? nil : line
        if line.calls.isEmpty { turns.removeAll { $0 == model } }
        return call
    }
}
