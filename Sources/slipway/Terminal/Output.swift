import SlipwayDomain

/// A command's result: for people, or as JSON for programs.
struct Output: Sendable {
    let isJSON: Bool
    var terminal: Terminal { .standard }
    /// Steps are for people; a program reads the result.
    var steps: Steps { Steps(terminal: terminal, isQuiet: isJSON) }

    /// One thing: its members, a line each.
    func show(_ object: JSON, _ members: [String]) {
        guard !isJSON else { return terminal.print(object.text()) }
        let rows = members.compactMap { name in object[name].map { (name, $0) } }.filter { $0.1 != .null && $0.1 != [] && $0.1 != "" }
        let width = rows.map { $0.0.count }.max() ?? 0
        for (name, value) in rows {
            let label = name + String(repeating: " ", count: width - name.count)
            for (index, line) in value.lines.enumerated() {
                let margin = index == 0 ? terminal.styled(label, .dim, onOutput: true) : String(repeating: " ", count: width)
                terminal.print("\(margin)  \(line)")
            }
        }
    }

    /// A list, a row each.
    func show(_ items: [JSON], _ members: [String]) {
        guard !isJSON else { return terminal.print(JSON.object(["items": .array(items)]).text()) }
        let rows = items.map { item in members.map { item[$0]?.cell ?? "" } }
        for (index, line) in table(members, rows).enumerated() {
            terminal.print(index == 0 ? terminal.styled(line, .dim, onOutput: true) : line)
        }
    }

    /// What was done, where the answer has nothing to show.
    func done(_ text: String, _ result: JSON = [:]) {
        if isJSON { terminal.print(result.text()) } else { terminal.note(text) }
    }
}
