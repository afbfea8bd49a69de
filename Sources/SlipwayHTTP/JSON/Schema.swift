internal import SlipwayDomain

/// The shape of a JSON value: it checks what comes in and describes, in `/openapi.json`, what comes in and goes out.
indirect enum Schema: Sendable {
    case string
    /// What a person names things with: not blank, no control characters, no zero-width disguise.
    case name
    /// Free text with line breaks, bounded.
    case text(maximum: Int)
    case choice([String])
    case identifier
    case time
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    case boolean
    case any
    case anyObject
    case array(Schema, count: ClosedRange<Int> = 0...Int.max)
    case map(Schema)
    case object([Member])
    case nullable(Schema)
    case oneOf([Schema])
    /// One of the document's components.
    case reference(String)

    struct Member: Sendable {
        let name: String
        let schema: Schema
        let isRequired: Bool
        let note: String?

        static func required(_ name: String, _ schema: Schema, _ note: String? = nil) -> Member {
            Member(name: name, schema: schema, isRequired: true, note: note)
        }

        static func optional(_ name: String, _ schema: Schema, _ note: String? = nil) -> Member {
            Member(name: name, schema: schema, isRequired: false, note: note)
        }
    }

    static let count = Schema.integer(0...Int.max)
    static let anyNumber = Schema.number(-.infinity ... .infinity)
    static let names = Schema.array(.string)

    static let nameLength = 200

    // MARK: Checking

    /// Everything that is wrong with a value, at most `limit` things.
    func errors(in value: JSON, limit: Int = 20) -> [Problem.Place] {
        var errors: [Problem.Place] = []
        check(value, at: "", &errors, limit)
        return Array(errors.prefix(limit))
    }

    /// Looks no further once there are `limit` errors: each costs memory, and a search for the word that was meant.
    private func check(_ value: JSON, at pointer: String, _ errors: inout [Problem.Place], _ limit: Int) {
        func fault(_ code: String, _ detail: String) {
            errors.append(Problem.Place(pointer: pointer, code: code, detail: detail))
        }
        func wrongType() { fault("type-mismatch", "must be \(description), not \(Self.kind(of: value))") }

        switch (self, value) {
        case (.string, .string(let text)), (.identifier, .string(let text)), (.time, .string(let text)):
            if text.utf8.contains(0) { fault("text-nul", "must not contain the character U+0000") }
        case (.name, .string(let text)): if let (code, detail) = Self.faultOfName(text) { fault(code, detail) }
        case (.text(let maximum), .string(let text)):
            if text.utf8.contains(0) {
                fault("text-nul", "must not contain the character U+0000")
            } else if text.unicodeScalars.count > maximum {
                fault("text-too-long", "must have at most \(maximum) characters, not \(text.unicodeScalars.count)")
            }
        case (.choice(let words), .string(let text)):
            if !words.contains(text) {
                fault("choice-unknown", "must be one of \(words.joined(separator: ", "))\(Self.suggestion(for: text, among: words))")
            }
        case (.integer(let range), .integer), (.integer(let range), .number):
            guard let number = value.intValue else { return fault("type-mismatch", "must be a whole number") }
            if !range.contains(number) { fault("out-of-range", "must be \(Self.words(range)), not \(number)") }
        case (.number(let range), .integer), (.number(let range), .number):
            guard let number = value.doubleValue, range.contains(number) else {
                return fault("out-of-range", "must be \(Self.words(range))")
            }
        case (.boolean, .bool): break
        case (.any, _), (.anyObject, .object): Self.checkTexts(of: value, at: pointer, &errors, limit)
        case (.array(let element, let count), .array(let values)):
            guard count.contains(values.count) else {
                return fault("out-of-range", "must have \(Self.words(count)) elements, not \(values.count)")
            }
            for (index, value) in values.enumerated() where errors.count < limit {
                element.check(value, at: "\(pointer)/\(index)", &errors, limit)
            }
        case (.map(let element), .object(let members)):
            for (name, value) in members.sorted(by: { $0.key < $1.key }) where errors.count < limit {
                element.check(value, at: JSONPointer.appending(pointer, name), &errors, limit)
            }
        case (.object(let known), .object(let members)):
            let names = known.map(\.name)
            let unknown = members.keys.lazy.filter { !names.contains($0) }.prefix(max(limit - errors.count, 0))
            for name in unknown.sorted() {
                errors.append(Problem.Place(
                    pointer: JSONPointer.appending(pointer, name), code: "member-unknown",
                    detail: "there is no member \"\(name.prefix(100))\"\(Self.suggestion(for: name, among: names))"))
            }
            for member in known where errors.count < limit {
                let place = JSONPointer.appending(pointer, member.name)
                if let value = members[member.name] {
                    member.schema.check(value, at: place, &errors, limit)
                } else if member.isRequired {
                    errors.append(Problem.Place(pointer: place, code: "member-missing", detail: "is required"))
                }
            }
        case (.nullable(let schema), _): if value != .null { schema.check(value, at: pointer, &errors, limit) }
        case (.oneOf(let schemas), _):
            let results = schemas.map { $0.errors(in: value) }
            guard !results.contains(where: \.isEmpty) else { return }
            // The alternative of the right type says more than "none of them".
            guard let nearest = results.first(where: { $0.allSatisfy { $0.code != "type-mismatch" || $0.pointer != "" } }) else {
                return wrongType()
            }
            for var place in nearest {
                place.pointer = pointer + (place.pointer ?? "")
                errors.append(place)
            }
        case (.reference, _): preconditionFailure("a component describes an answer, never a request")
        default: wrongType()
        }
    }

    private static func faultOfName(_ text: String) -> (code: String, detail: String)? {
        let scalars = text.unicodeScalars
        guard scalars.count <= nameLength else {
            return ("text-too-long", "must have at most \(nameLength) characters, not \(scalars.count)")
        }
        for scalar in scalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator:
                return (
                    "text-control-character",
                    "must not contain the control character U+\(String(scalar.value, radix: 16, uppercase: true))"
                )
            default: continue
            }
        }
        let isVisible = scalars.contains { scalar in
            switch scalar.properties.generalCategory {
            case .format, .spaceSeparator, .unassigned, .privateUse: false
            default: !scalar.properties.isDefaultIgnorableCodePoint && scalar != "\u{2800}"
            }
        }
        return isVisible ? nil : ("text-empty", "must contain at least one visible character")
    }

    private static func checkTexts(of value: JSON, at pointer: String, _ errors: inout [Problem.Place], _ limit: Int) {
        switch value {
        case .string(let text) where text.utf8.contains(0):
            errors.append(Problem.Place(pointer: pointer, code: "text-nul", detail: "must not contain the character U+0000"))
        case .array(let values):
            for (index, value) in values.enumerated() where errors.count < limit {
                checkTexts(of: value, at: "\(pointer)/\(index)", &errors, limit)
            }
        case .object(let members):
            for (name, value) in members where errors.count < limit {
                if name.utf8.contains(0) {
                    errors.append(Problem.Place(pointer: pointer, code: "text-nul", detail: "a name must not contain the character U+0000"))
                }
                checkTexts(of: value, at: JSONPointer.appending(pointer, name), &errors, limit)
            }
        default: break
        }
    }

    // MARK: Words

    private var description: String {
        switch self {
        case .string, .name, .text, .identifier, .time: "a string"
        case .choice(let words): "one of \(words.joined(separator: ", "))"
        case .integer: "a whole number"
        case .number: "a number"
        case .boolean: "true or false"
        case .any: "any value"
        case .anyObject, .map, .object, .reference: "an object"
        case .array: "an array"
        case .nullable(let schema): "\(schema.description) or null"
        case .oneOf(let schemas): schemas.map(\.description).joined(separator: " or ")
        }
    }

    private static func kind(of value: JSON) -> String {
        switch value {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    static func words(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
    }

    private static func words(_ range: ClosedRange<Double>) -> String {
        range.upperBound == .infinity ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
    }

    /// `; did you mean "name"?` when a known word is near.
    static func suggestion(for word: String, among known: [String]) -> String {
        let nearest = known.map { ($0, editDistance(word, $0)) }.min { $0.1 < $1.1 }
        guard let nearest, nearest.1 <= max(2, nearest.0.count / 3) else { return "" }
        return "; did you mean \"\(nearest.0)\"?"
    }
}

/// How a record looks to clients. Each member is declared once, for the answer and for `/openapi.json`.
struct View<Record>: Sendable {
    struct Member: Sendable {
        let name: String
        let schema: Schema
        /// Whether the member is always there.
        let isRequired: Bool
        let value: @Sendable (Record) -> Output?

        static func always(_ name: String, _ schema: Schema, _ value: @escaping @Sendable (Record) -> Output) -> Member {
            Member(name: name, schema: schema, isRequired: true, value: value)
        }

        static func sometimes(_ name: String, _ schema: Schema, _ value: @escaping @Sendable (Record) -> Output?) -> Member {
            Member(name: name, schema: schema, isRequired: false, value: value)
        }
    }

    let name: String
    let members: [Member]

    init(_ name: String, _ members: [Member]) {
        self.name = name
        self.members = members
    }

    func output(_ record: Record) -> Output { .object(members.map { ($0.name, $0.value(record)) }) }

    var component: Component {
        Component(
            name: name,
            schema: .object(members.map { Schema.Member(name: $0.name, schema: $0.schema, isRequired: $0.isRequired, note: nil) }))
    }

    var reference: Schema { .reference(name) }
}

/// A named schema of `/openapi.json`.
struct Component: Sendable {
    let name: String
    let schema: Schema
}
