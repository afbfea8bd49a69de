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
            4 the key is missing or has no right, 5 the platform refused the request.
            """,
        version: slipwayVersion,
        groupedSubcommands: [
            CommandGroup(name: "Do it", subcommands: [Train.self, Predict.self]),
            CommandGroup(
                name: "Work with a platform",
                subcommands: [
                    ProjectCommands.self, DatasetCommands.self, ExperimentCommands.self, ModelCommands.self,
                    DeploymentCommands.self,
                ]),
            CommandGroup(name: "Run a platform", subcommands: [Config.self]),
        ])

    static func main() async {
        let command: any ParsableCommand
        do {
            command = try await asyncParseAsRoot()
        } catch {
            // Help, the version and a completion script are answers; the rest is not a valid command.
            let isAnswer = exitCode(for: error) == .success
            if isAnswer { Terminal.standard.print(fullMessage(for: error)) } else { Terminal.standard.note(fullMessage(for: error)) }
            Foundation.exit(isAnswer ? 0 : 2)
        }
        do {
            try await run(command)
        } catch {
            let failure = Failure(error)
            if CommandLine.arguments.contains("--json") {
                Terminal.standard.note(failure.problem.jsonText)
            } else {
                Terminal.standard.error(failure)
            }
            Foundation.exit(failure.exitCode)
        }
    }

    private static func run(_ command: any ParsableCommand) async throws {
        if var command = command as? any AsyncParsableCommand {
            try await command.run()
        } else {
            var command = command
            do { try command.run() } catch let exit as CleanExit { Terminal.standard.print(fullMessage(for: exit)) }
        }
    }
}
