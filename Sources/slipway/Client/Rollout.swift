import Foundation
import SlipwayDomain

/// Brings a model version to a named endpoint: a new deployment, or a new revision of the one that has the name.
struct Rollout {
    let api: API
    let name: String
    let project: String
    /// A deployment of that name is an error instead of being updated.
    var isNew = false

    func run(modelVersion: String, _ progress: Steps.Progress) async throws -> JSON {
        if !isNew {
            let deployments = try await api.list("/v1/projects/\(project)/deployments")
            if let deployment = deployments.first(where: { $0["name"]?.stringValue == name }) {
                return try await Self.update(deployment, to: modelVersion, with: api, progress)
            }
        }
        let deployment = try await api.post(
            "/v1/projects/\(project)/deployments", ["name": .string(name), "model_version": .string(modelVersion)])
        return try await Self.wait(for: deployment, after: nil, with: api, progress)
    }

    static func update(_ deployment: JSON, to modelVersion: String, with api: API, _ progress: Steps.Progress) async throws
        -> JSON
    {
        let before = deployment["revision"]?.intValue
        let updated = try await api.post(
            "/v1/deployments/\(deployment.id)/revisions", ["model_version": .string(modelVersion)])
        return try await wait(for: updated, after: before, with: api, progress)
    }

    /// Until a revision after `before` serves.
    private static func wait(for deployment: JSON, after before: Int?, with api: API, _ progress: Steps.Progress)
        async throws -> JSON
    {
        let id = try deployment.id
        while true {
            let deployment = try await api.get("/v1/deployments/\(id)")
            let revision = deployment["revision"]?.intValue
            switch deployment["status"]?.stringValue {
            case "ready" where revision != nil && revision != before: return deployment
            case "failed": throw Failure.work(try Problem(in: deployment))
            case "stopped":
                throw Failure.work(
                    Problem(409, "deployment-stopped", title: "Stopped", detail: "The deployment was stopped meanwhile."))
            // The old revision goes on serving when the new one can't be loaded; the problem says why.
            case "ready" where deployment["problem"].map({ $0 != .null }) ?? false:
                throw Failure.work(try Problem(in: deployment))
            default: progress.update("warming up")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// `Deployed as flowers, revision 1`.
    static func summary(of deployment: JSON) -> String {
        "Deployed as \(deployment["name"]?.cell ?? ""), revision \(deployment["revision"]?.cell ?? "")"
    }
}
