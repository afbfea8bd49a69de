import ArgumentParser
import SlipwayDomain

struct ProjectCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "project", abstract: "Projects: folders with one purpose.",
        subcommands: [Create.self, List.self, Show.self, Delete.self])

    private static let members = ["id", "name", "description", "created_at"]

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes a project.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name, unique in your organisation.") var name: String
        @Option(help: "What it is for.") var description = ""

        func run() async throws {
            let project = try await connection.api().post(
                "/v1/projects", ["name": .string(name), "description": .string(description)])
            connection.output.show(project, members)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the projects.")
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            connection.output.show(try await connection.api().list("/v1/projects"), members)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a project.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name or id.") var project: String

        func run() async throws {
            connection.output.show(try await connection.api().project(project), members)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a project that nothing uses any more.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "Its name or id.") var project: String

        func run() async throws {
            let api = try connection.api()
            let id = try await api.project(project).id
            try await api.delete("/v1/projects/\(id)")
            connection.output.done("deleted project \(project)", ["id": .string(id)])
        }
    }
}
