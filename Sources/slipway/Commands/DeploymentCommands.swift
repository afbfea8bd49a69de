import ArgumentParser
import SlipwayDomain

struct DeploymentCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deployment", abstract: "Deployments: named endpoints that answer predict calls.",
        subcommands: [Create.self, List.self, Show.self, Update.self, Stop.self, Delete.self])

    private static let members = ["id", "name", "status", "revision", "url", "problem", "created_at"]

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deploys a model version, and waits until it serves.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name, unique in your organisation.") var name: String
        @OptionGroup var version: VersionArgument
        @Option(help: "The project's name or id (default: the model's).") var project: String?

        func run() async throws {
            let api = try connection.api()
            let version = try await api.modelVersion(version.reference)
            let project = try await api.project(ofVersion: version, orNamed: project)
            let deployment = try await connection.output.steps.run("Deploying \(name)") { progress in
                let rollout = Rollout(api: api, name: name, project: project, isNew: true)
                let deployment = try await rollout.run(modelVersion: version.id, progress)
                return (Rollout.summary(of: deployment), deployment)
            }
            connection.output.show(deployment, members)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the deployments.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The project's name or id; all when left out.") var project: String?

        func run() async throws {
            let deployments = try await connection.api().members("deployments", of: project)
            connection.output.show(deployments, ["id", "name", "status", "revision", "url"])
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a deployment.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name or id.") var deployment: String

        func run() async throws {
            connection.output.show(try await connection.api().deployment(deployment), members)
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a deployment serve another model version, without a failed request.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name or id.") var deployment: String
        @OptionGroup var version: VersionArgument

        func run() async throws {
            let api = try connection.api()
            let deployment = try await api.deployment(deployment)
            let version = try await api.modelVersion(version.reference)
            let updated = try await connection.output.steps.run("Updating") { progress in
                let updated = try await Rollout.update(deployment, to: version.id, with: api, progress)
                return (Rollout.summary(of: updated), updated)
            }
            connection.output.show(updated, members)
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops a deployment and frees its memory.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name or id.") var deployment: String

        func run() async throws {
            let api = try connection.api()
            let id = try await api.deployment(deployment).id
            connection.output.show(try await api.post("/v1/deployments/\(id)/stop"), members)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a deployment; one that serves stops at once.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name or id.") var deployment: String

        func run() async throws {
            let api = try connection.api()
            let id = try await api.deployment(deployment).id
            try await api.delete("/v1/deployments/\(id)")
            connection.output.done("deleted deployment \(deployment)", ["id": .string(id)])
        }
    }
}

extension API {
    fileprivate func project(ofVersion version: JSON, orNamed name: String?) async throws -> String {
        if let name { return try await project(name).id }
        guard let model = version["model"]?.stringValue,
            let project = try await get("/v1/models/\(model)")["project"]?.stringValue
        else { throw Failure.message("the platform's answer names no project; give one with --project") }
        return project
    }
}
