import ArgumentParser
import Foundation
import SlipwayDomain

@main
struct Slipway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slipway",
        abstract: "Trains, deploys and serves models from labelled data, without code.",
        discussion: """
            Exit codes: 0 done, 1 the work failed, 2 not a valid command, 3 the platform isn't reachable, \
            4 the key is missing or has no right, 5 the platform refused the request, 130 interrupted.
            """,
        version: slipwayVersion,
        groupedSubcommands: [
            CommandGroup(name: "Do it", subcommands: [Quickstart.self, Train.self, Predict.self]),
            CommandGroup(
                name: "Work with a platform",
                subcommands: [
                    ProjectCommands.self, DatasetCommands.self, ExperimentCommands.self, ModelCommands.self,
                    DeploymentCommands.self,
                ]),
            CommandGroup(name: "Exchange models", subcommands: [ModelLibraryCommands.self, ONNXCommands.self, ProgramCommands.self]),
            CommandGroup(
                name: "Run a platform",
                subcommands: [
                    Up.self, Doctor.self, Config.self, Migrate.self, Admin.self, APIRole.self, WorkerRole.self,
                    ServeRole.self, TrainerRole.self,
                ]),
        ])

    static func main() async {
        do {
            let command = try await asyncParseAsRoot()
            if var role = command as? any RoleCommand {
                try await role.run()
            } else if let command = command as? any AsyncParsableCommand {
                try await CommandInterruption.cancelling {
                    var command = command
                    try await command.run()
                }
            } else {
                var command = command
                try command.run()
            }
            if let reason = Terminal.standard.outputFailure { throw Failure.message("standard output: \(reason)") }
        } catch {
            end(error)
        }
    }

    private static func end(_ error: any Error) -> Never {
        let terminal = Terminal.standard
        let arguments = CommandLine.arguments.dropFirst().prefix { $0 != "--" }
        let isJSON = arguments.contains("--json")
        switch exitCode(for: error) {
        case .success:
            // Help, the version, a completion script: answers.
            terminal.print(fullMessage(for: error))
            Foundation.exit(0)
        case .validationFailure:
            let usage = UsageProblem(error, Array(arguments))
            terminal.note(isJSON ? usage.problem.jsonText : usage.text)
            Foundation.exit(2)
        default:
            let failure = Failure(error)
            if isJSON {
                terminal.show(nil)
                terminal.note(failure.problem.jsonText)
            } else {
                terminal.error(failure)
            }
            Foundation.exit(failure.exitCode)
        }
    }
}

/// A process of a platform: it answers signals by itself.
protocol RoleCommand: AsyncParsableCommand {}
