internal import SlipwayDomain
internal import Yams

/// A value of a template's YAML with the place where it stands. JSON is YAML, so a template sent as JSON is read alike.
struct TemplateText {
    indirect enum Content {
        case scalar(String, isPlain: Bool)
        case list([TemplateText])
        case members([(key: String, value: TemplateText)])
    }

    var content: Content
    /// A JSON pointer from the template's top.
    var pointer: String
    var line: Int?

    /// Bounds for texts of strangers. The parser recurses, so nesting is bounded before it sees a byte: by the number
    /// of brackets, and by the length of lines (a block's depth is never more than its column).
    static let longestText = 65_536, longestLine = 1000, mostBrackets = 300, mostValues = 5000

    static func read(_ text: String) throws(Problem) -> TemplateText {
        guard text.utf8.count <= longestText else {
            throw .template("", "is longer than \(longestText) bytes")
        }
        guard text.utf8.count(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }) <= mostBrackets,
            text.utf8.split(separator: UInt8(ascii: "\n")).allSatisfy({ $0.count <= longestLine })
        else {
            throw .template("", "has a line of over \(longestLine) bytes, or more than \(mostBrackets) brackets")
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw .template("", "is no YAML: \(error)")
        }
        guard let node else { throw .template("", "is empty") }
        var left = mostValues
        return try TemplateText(node, at: "", left: &left)
    }

    private init(_ node: Node, at pointer: String, left: inout Int) throws(Problem) {
        left -= 1
        guard left > 0 else { throw .template(pointer, "has more than \(Self.mostValues) values in all") }
        self.pointer = pointer
        line = node.mark?.line
        switch node {
        case .scalar(let scalar): content = .scalar(scalar.string, isPlain: scalar.style != .singleQuoted && scalar.style != .doubleQuoted)
        case .sequence(let sequence):
            var values: [TemplateText] = []
            for (index, node) in sequence.enumerated() {
                values.append(try TemplateText(node, at: "\(pointer)/\(index)", left: &left))
            }
            content = .list(values)
        case .mapping(let mapping):
            var members: [(key: String, value: TemplateText)] = []
            for (key, value) in mapping {
                guard case .scalar(let key) = key else { throw .template(pointer, "has a key that is no word") }
                let place = JSONPointer.appending(pointer, key.string)
                members.append((key.string, try TemplateText(value, at: place, left: &left)))
            }
            content = .members(members)
        case .alias:
            throw .template(pointer, "is an alias (*name); write the value out")
        }
    }

    // MARK: Reading what is expected

    /// The members, each of which must be one of `known`.
    func members(known: [String]) throws(Problem) -> [String: TemplateText] {
        guard case .members(let members) = content else { throw problem("must have members: \(known.joined(separator: ", "))") }
        for (key, value) in members where !known.contains(key) {
            throw value.problem("'\(key)' is unknown here; \(nearest(to: key, among: known))", code: "unknown-member")
        }
        return Dictionary(members.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    func string(maximum: Int = 500) throws(Problem) -> String {
        guard case .scalar(let value, _) = content, !value.isEmpty, value.utf8.count <= maximum else {
            throw problem("must be a text of 1 to \(maximum) bytes")
        }
        return value
    }

    func number() throws(Problem) -> Double {
        guard case .scalar(let text, true) = content, let value = Double(text), value.isFinite else {
            throw problem("must be a number")
        }
        return value
    }

    func integer() throws(Problem) -> Int {
        guard let value = Int(exactly: try number()) else { throw problem("must be a whole number") }
        return value
    }

    /// One of a list of words.
    func word<Word: RawRepresentable>(_ words: [Word]) throws(Problem) -> Word where Word.RawValue == String {
        let given = try string()
        guard let word = Word(rawValue: given), words.contains(where: { $0.rawValue == given }) else {
            throw problem("'\(given)' is unknown here; \(nearest(to: given, among: words.map(\.rawValue)))")
        }
        return word
    }

    func problem(_ detail: String, code: String = "template-invalid") -> Problem {
        .template(pointer, detail, line: line, code: code)
    }
}

extension Problem {
    /// A fault in a template; `pointer` counts from the template's top.
    static func template(
        _ pointer: String, _ detail: String, line: Int? = nil, code: String = "template-invalid"
    ) -> Problem {
        let name = pointer.isEmpty ? "the template" : pointer.dropFirst().replacing("/", with: ".")
        let place = line.map { " (line \($0))" } ?? ""
        return Problem(
            422, "template-invalid", title: "The template can't be used", detail: "\(name) \(detail)\(place)",
            errors: [Place(pointer: "/template" + pointer, code: code, detail: detail)])
    }
}

/// A sentence that names the nearest word, or all of them when none is near.
func nearest(to given: String, among words: [String]) -> String {
    let near = words.map { (word: $0, distance: editDistance(given, $0)) }.min { $0.distance < $1.distance }
    if let near, near.distance <= max(2, given.count / 3) { return "did you mean '\(near.word)'?" }
    return "known: \(words.sorted().joined(separator: ", "))"
}
