import SlipwayDomain

/// The name that a deployment is to get. Names are unique in an organisation: one that another project has is found before
/// anything is uploaded or trained.
struct EndpointName {
    let api: API
    let name: String

    /// - Parameter project: where a deployment of that name is updated; nil: a project that doesn't exist yet.
    /// - Errors: `Failure.refused` with a name that is free.
    func check(in project: String?) async throws {
        var taken: Set<String> = []
        var owner: String?
        for other in try await api.list("/v1/projects") {
            let isOwn = try other.id == project
            for deployment in try await api.list("/v1/projects/\(other.id)/deployments") {
                let found = deployment["name"]?.stringValue ?? ""
                taken.insert(found)
                if found == name, !isOwn { owner = other["name"]?.stringValue ?? "" }
            }
        }
        guard let owner else { return }
        throw Failure.refused(
            Problem(
                409, "deployment-name-taken", title: "The endpoint's name is taken",
                detail: "the project '\(owner)' has an endpoint '\(name)' already, and names are unique in an organisation: "
                    + "choose another with --endpoint, such as --endpoint \(Self.free(like: name, taken).shellQuoted)"))
    }

    /// `flowers-2`, or the next that isn't taken.
    static func free(like name: String, _ taken: Set<String>) -> String {
        var number = 2
        while taken.contains("\(name)-\(number)") { number += 1 }
        return "\(name)-\(number)"
    }
}
