internal import HTTPTypes
internal import SlipwayDomain

/// The OpenAPI 3.1 document of a route table: the routes that answer are the routes that are described.
struct OpenAPI {
    let routes: [Route]
    let components: [Component]

    var document: Output {
        let byPath = Dictionary(grouping: routes, by: \.path)
        return .object([
            ("openapi", .string("3.1.0")),
            ("info", .object([
                ("title", .string("Slipway")), ("version", .string("1")),
                ("description", .string("Upload a labelled data set, train, deploy, predict. Errors are RFC 9457 problem documents.")),
                ("license", .object([("name", .string("Apache 2.0")), ("identifier", .string("Apache-2.0"))])),
            ])),
            ("paths", .object(byPath.keys.sorted().map { path in
                (path, .object((byPath[path] ?? []).map { ($0.method.rawValue.lowercased(), operation($0)) }))
            })),
            ("components", .object([
                ("schemas", .object(components.sorted { $0.name < $1.name }.map { ($0.name, $0.schema.description31) })),
                ("securitySchemes", .object([("key", .object([("type", .string("http")), ("scheme", .string("bearer"))]))])),
            ])),
        ])
    }

    private func operation(_ route: Route) -> Output {
        .object([
            ("operationId", .string(operationID(route))),
            ("summary", .string(route.summary)),
            ("security", security(route)),
            ("parameters", .array(parameters(route))),
            ("requestBody", requestBody(route)),
            ("responses", responses(route)),
        ])
    }

    private func operationID(_ route: Route) -> String {
        let words = route.path.split(separator: "/").map { $0.filter { $0.isLetter || $0.isNumber || $0 == "-" } }
        return ([route.method.rawValue.lowercased()] + words).joined(separator: "_")
    }

    private func security(_ route: Route) -> Output {
        switch route.access {
        case .open: .array([])
        case .metrics: .array([.object([("key", .array([.string(Scope.platform.rawValue)]))])])
        case .anyKey: .array([.object([("key", .array([]))])])
        case .scope(let scope): .array([.object([("key", .array([.string(scope.rawValue)]))])])
        }
    }

    private func parameters(_ route: Route) -> [Output] {
        let path = route.parameters.map { name in
            Output.object([
                ("name", .string(name)), ("in", .string("path")), ("required", .bool(true)),
                ("schema", Schema.string.description31),
            ])
        }
        let query = route.query.map { parameter in
            Output.object([
                ("name", .string(parameter.name)), ("in", .string("query")), ("description", .string(parameter.note)),
                ("schema", parameter.schema.description31),
            ])
        }
        let headers = route.isIdempotent
            ? [Output.object([
                ("name", .string("Idempotency-Key")), ("in", .string("header")),
                ("schema", .object([
                    ("type", .string("string")), ("minLength", .integer(1)), ("maxLength", .integer(255)),
                    ("pattern", .string("^[!-~]+$")),
                ])),
            ])] : []
        return path + query + headers
    }

    private func requestBody(_ route: Route) -> Output? {
        switch route.body {
        case .none: nil
        case .json(let schema, _):
            .object([("required", .bool(true)), ("content", .object([("application/json", .object([("schema", schema.description31)]))]))])
        case .stream(let types):
            .object([("required", .bool(true)), ("content", .object(types.map { ($0, .object([])) }))])
        }
    }

    private func responses(_ route: Route) -> Output {
        let success: (String, Output?) = (
            String(route.status.code), .object([("description", .string(route.status.reasonPhrase)), ("content", content(route))])
        )
        return .object([success] + problems(route).map { ($0.0, Self.problem($0.1)) })
    }

    private func content(_ route: Route) -> Output? {
        func media(_ type: String, _ schema: Schema?) -> Output {
            .object([(type, .object([("schema", schema?.description31)]))])
        }
        return switch route.content {
        case .none: nil
        case .json(let schema): media("application/json", schema)
        case .list(let item): media("application/json", .object([.required("items", .array(item)), .optional("next_cursor", .string)]))
        case .bytes: media("application/octet-stream", nil)
        case .text(let type): media(type, .string)
        case .eventStream: media("text/event-stream", .string)
        }
    }

    /// The statuses that a route's problems may have, by what the route takes.
    private func problems(_ route: Route) -> [(String, String)] {
        var problems = [("400", "The request is malformed")]
        if route.access != .open { problems.append(("401", "No valid key")) }
        if case .scope = route.access { problems.append(("403", "The key lacks the scope")) }
        problems.append(("404", "There is no such resource"))
        if route.path == "/readyz" { return [("503", "Something is missing")] }
        if route.method != .get { problems.append(("409", "The resource's state doesn't allow this")) }
        switch route.body {
        case .none: break
        case .json, .stream:
            problems += [("408", "The body came too slowly"), ("413", "The body is too large"), ("415", "The media type isn't accepted")]
        }
        problems += [
            ("422", "A member or parameter isn't valid"), ("500", "Something went wrong on our side"),
            ("503", "Try again in a moment"),
        ]
        if case .stream = route.body { problems += [("504", "The prediction took too long"), ("507", "The object store is full")] }
        return problems
    }

    private static func problem(_ description: String) -> Output {
        .object([
            ("description", .string(description)),
            ("content", .object([("application/problem+json", .object([("schema", Schema.reference("Problem").description31)]))])),
        ])
    }
}

extension Schema {
    /// As JSON Schema 2020-12, which OpenAPI 3.1 speaks.
    var description31: Output {
        switch self {
        case .string: .object([("type", .string("string"))])
        case .identifier: .object([("type", .string("string"))])
        case .name: .object([("type", .string("string")), ("minLength", .integer(1)), ("maxLength", .integer(Self.nameLength))])
        case .text(let maximum): .object([("type", .string("string")), ("maxLength", .integer(maximum))])
        case .choice(let words): .object([("type", .string("string")), ("enum", .array(words.map(Output.string)))])
        case .time: .object([("type", .string("string")), ("format", .string("date-time"))])
        case .integer(let range):
            .object([
                ("type", .string("integer")), ("minimum", .integer(range.lowerBound)),
                ("maximum", range.upperBound == .max ? nil : .integer(range.upperBound)),
            ])
        case .number(let range):
            .object([
                ("type", .string("number")), ("minimum", range.lowerBound.isFinite ? .number(range.lowerBound) : nil),
                ("maximum", range.upperBound.isFinite ? .number(range.upperBound) : nil),
            ])
        case .boolean: .object([("type", .string("boolean"))])
        case .any: .object([])
        case .anyObject: .object([("type", .string("object"))])
        case .array(let element, let count):
            .object([
                ("type", .string("array")), ("items", element.description31),
                ("minItems", count.lowerBound == 0 ? nil : .integer(count.lowerBound)),
                ("maxItems", count.upperBound == .max ? nil : .integer(count.upperBound)),
            ])
        case .map(let element): .object([("type", .string("object")), ("additionalProperties", element.description31)])
        case .object(let members):
            .object([
                ("type", .string("object")),
                ("properties", .object(members.map { ($0.name, $0.described) })),
                ("required", .array(members.filter(\.isRequired).map { .string($0.name) })),
            ])
        case .nullable(let schema): .object([("anyOf", .array([schema.description31, .object([("type", .string("null"))])]))])
        case .oneOf(let schemas): .object([("anyOf", .array(schemas.map(\.description31)))])
        case .reference(let name): .object([("$ref", .string("#/components/schemas/\(name)"))])
        }
    }
}

extension Schema.Member {
    fileprivate var described: Output {
        guard let note, case .object(let members) = schema.description31 else { return schema.description31 }
        return .object(members + [("description", .string(note))])
    }
}
