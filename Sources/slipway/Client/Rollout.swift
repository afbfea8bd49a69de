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
        return try await Self.wait(for: deployment, with: api, progress)
    }

    static func update(_ deployment: JSON, to modelVersion: String, with api: API, _ progress: Steps.Progress) async throws
        -> JSON
    {
        let updated = try await api.post(
            "/v1/deployments/\(deployment.id)/revisions", ["model_version": .string(modelVersion)])
        return try await wait(for: updated, with: api, progress)
    }

    /// Until the newest revision of the answer serves. The one before goes on serving when it can't be loaded.
    private static func wait(for answer: JSON, with api: API, _ progress: Steps.Progress) async throws -> JSON {
        let id = try answer.id
        guard let number = (answer["revisions"]?.arrayValue ?? []).compactMap({ $0["revision"]?.intValue }).max() else {
            throw Failure.message("the platform's answer names no revision")
        }
        while true {
            let deployment = try await api.get("/v1/deployments/\(id)")
            let revision = deployment["revisions"]?.arrayValue.first { $0["revision"]?.intValue == number }
            switch revision?["status"]?.stringValue {
            case "ready": return deployment
            case "failed": throw Failure.work(try Problem(in: revision ?? .null))
            case "deploying": progress.update("warming up")
            default:
                throw Failure.work(
                    Problem(
                        409, "revision-retired", title: "Not deployed",
                        detail: "The deployment was stopped, or got a newer revision, before this one served."))
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// `Deployed as flowers, revision 1`.
    static func summary(of deployment: JSON) -> String {
        "Deployed as \(deployment["name"]?.cell ?? ""), revision \(deployment["revision"]?.cell ?? "")"
    }
}
