internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayTasks

/// What can be trained, and by which recipes.
struct CatalogueRoutes {
    let library: TemplateLibrary
    let limits: ImportLimits

    var routes: [Route] {
        [
            Route(
                .get, "/v1/tasks", .anyKey, "List what can be trained, from which uploads, judged by what",
                content: .list(.anyObject), handle: tasks),
            Route(.get, "/v1/templates", .anyKey, "List the templates", content: .list(.anyObject), handle: templates),
            Route(.get, "/v1/templates/{template}", .anyKey, "Show a template", content: .json(.anyObject), handle: template),
        ]
    }

    func tasks(_ call: Call) async throws -> Response {
        .json(.object([("items", .array(try TaskCatalogue.entries(library, limits).map(Output.encoded)))]))
    }

    func templates(_ call: Call) async throws -> Response {
        .json(.object([("items", .array(try library.templates.map { try Output.encoded(TemplateView($0)) }))]))
    }

    func template(_ call: Call) async throws -> Response {
        guard let template = library.template(named: call.parameters["template"] ?? "") else { throw Problem.notFound("template") }
        return .json(try Output.encoded(TemplateView(template)))
    }
}
