internal import HTTPTypes
internal import Hummingbird
internal import SlipwayDomain

extension Output {
    static func problem(_ problem: Problem) -> Output {
        .object([
            ("type", .string(problem.type)), ("title", .string(problem.title)), ("status", .integer(problem.status)),
            ("code", .string(problem.code)), ("detail", .string(problem.detail)),
            ("errors", .array(problem.errors.map(place))), ("request_id", problem.requestID.map(Output.string)),
        ])
    }

    private static func place(_ place: Problem.Place) -> Output {
        .object([
            ("pointer", place.pointer.map(Output.string)), ("parameter", place.parameter.map(Output.string)),
            ("entry", place.entry.map(Output.string)), ("row", place.row.map(Output.integer)),
            ("column", place.column.map(Output.string)), ("code", .string(place.code)), ("detail", .string(place.detail)),
        ])
    }
}

extension Component {
    static let problem = Component(
        name: "Problem",
        schema: .object([
            .required("type", .string), .required("title", .string), .required("status", .integer(400...599)),
            .required("code", .string, "stable, for programs"), .required("detail", .string),
            .required(
                "errors",
                .array(.object([
                    .optional("pointer", .string), .optional("parameter", .string), .optional("entry", .string),
                    .optional("row", .count), .optional("column", .string), .required("code", .string), .required("detail", .string),
                ]))),
            .optional("request_id", .string),
        ]))
}

extension Response {
    static func problem(_ refusal: Refusal, requestID: String) -> Response {
        var problem = refusal.problem
        problem.requestID = requestID
        var headers = refusal.headers
        headers[.contentType] = "application/problem+json"
        return Response(
            status: HTTPResponse.Status(code: problem.status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(string: Output.problem(problem).text)))
    }
}
