import Foundation
import SlipwayDomain

/// How a person names things: by identifier, or by the names they gave: `flowers`, `flowers/photos`, `flowers/model:3`.
extension API {
    func project(_ reference: String) async throws -> JSON {
        if UUID(uuidString: reference) != nil { return try await get("/v1/projects/\(reference)") }
        return try named(reference, among: await list("/v1/projects"), "project", "slipway project list")
    }

    func dataset(_ reference: String) async throws -> JSON {
        try await member(reference, of: "datasets", "data set")
    }

    func experiment(_ reference: String) async throws -> JSON {
        try await member(reference, of: "experiments", "experiment")
    }

    func model(_ reference: String) async throws -> JSON {
        try await member(reference, of: "models", "model")
    }

    /// `PROJECT/MODEL:VERSION`, or `PROJECT/MODEL` for its newest version.
    func modelVersion(_ reference: String) async throws -> JSON {
        if UUID(uuidString: reference) != nil { return try await get("/v1/model-versions/\(reference)") }
        let parts = reference.split(separator: ":", maxSplits: 1)
        let model = try await model(String(parts[0]))
        let versions = model["versions"]?.arrayValue ?? []
        let number = parts.count > 1 ? Int(parts[1]) : versions.compactMap { $0["version"]?.intValue }.max()
        guard let number, let version = versions.first(where: { $0["version"]?.intValue == number }),
            let id = version["id"]?.stringValue
        else { throw notFound("there is no model version '\(reference)'; `slipway model show` lists them") }
        return try await get("/v1/model-versions/\(id)")
    }

    /// Names of deployments are unique in an organisation, so the project isn't needed.
    func deployment(_ reference: String) async throws -> JSON {
        if UUID(uuidString: reference) != nil { return try await get("/v1/deployments/\(reference)") }
        let name = reference.split(separator: "/", maxSplits: 1).last.map(String.init) ?? reference
        for project in try await list("/v1/projects") {
            let deployments = try await list("/v1/projects/\(try project.id)/deployments")
            if let found = deployments.first(where: { $0["name"]?.stringValue == name }) { return found }
        }
        throw notFound("there is no deployment '\(reference)'; `slipway deployment list` shows them")
    }

    /// Everything of one kind: of a project, or of all.
    func members(_ kind: String, of project: String?) async throws -> [JSON] {
        if let project { return try await list("/v1/projects/\(self.project(project).id)/\(kind)") }
        var all: [JSON] = []
        for project in try await list("/v1/projects") { all += try await list("/v1/projects/\(try project.id)/\(kind)") }
        return all
    }

    private func member(_ reference: String, of kind: String, _ word: String) async throws -> JSON {
        if UUID(uuidString: reference) != nil { return try await get("/v1/\(kind)/\(reference)") }
        guard let slash = reference.firstIndex(of: "/") else {
            throw Failure.usage("'\(reference)' is neither an id nor PROJECT/NAME")
        }
        let project = try await project(String(reference[..<slash]))
        let name = String(reference[reference.index(after: slash)...])
        let found = try named(
            name, among: await list("/v1/projects/\(project.id)/\(kind)"), word,
            "slipway \(word.replacing(" ", with: "")) list")
        return try await get("/v1/\(kind)/\(found.id)")
    }

    private func named(_ name: String, among items: [JSON], _ word: String, _ command: String) throws -> JSON {
        // Newest first: experiments of one name may be many.
        guard let found = items.last(where: { $0["name"]?.stringValue == name }) else {
            throw notFound("there is no \(word) '\(name)'; `\(command)` shows them")
        }
        return found
    }

    private func notFound(_ detail: String) -> Failure {
        .refused(Problem(404, "not-found", title: "Not found", detail: detail))
    }
}

extension JSON {
    var id: String {
        get throws {
            guard let id = self["id"]?.stringValue else {
                throw Failure.message("the platform's answer has no id: \(text(isPretty: false).prefix(200))")
            }
            return id
        }
    }
}
