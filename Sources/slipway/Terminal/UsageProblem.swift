import ArgumentParser
import SlipwayDomain

/// A command line that doesn't parse: what the parser says, or which command was probably meant.
struct UsageProblem {
    /// One sentence, for programs.
    let message: String
    /// With the usage, for people.
    let text: String

    init(_ error: any Error, _ arguments: [String]) {
        guard let unknown = UnknownCommand(in: arguments) else {
            (message, text) = (Slipway.message(for: error), Slipway.fullMessage(for: error))
            return
        }
        message = unknown.message
        text = "Error: \(unknown.message)\n  See '\(unknown.path) --help' for the commands that there are."
    }

    var problem: Problem { Failure.usage(message).problem }
}

/// A word where the name of a subcommand should stand.
private struct UnknownCommand {
    let word: String
    /// The commands before it: `slipway project`.
    let path: String
    private let nearest: String?

    init?(in arguments: [String]) {
        var command: any ParsableCommand.Type = Slipway.self
        var path = [Slipway._commandName]
        for argument in arguments {
            let choices = command.configuration.subcommands
            guard !choices.isEmpty, !argument.hasPrefix("-"), argument != "help" else { return nil }
            if let next = choices.first(where: { $0._commandName == argument || $0.configuration.aliases.contains(argument) }) {
                command = next
                path.append(argument)
                continue
            }
            word = argument
            self.path = path.joined(separator: " ")
            let names = choices.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
            let best = names.min { editDistance(argument, $0) < editDistance(argument, $1) }
            nearest = best.flatMap { editDistance(argument, $0) <= max(2, argument.count / 3) ? $0 : nil }
            return
        }
        return nil
    }

    var message: String {
        "there is no command '\(path) \(word)'" + (nearest.map { "; did you mean '\(path) \($0)'?" } ?? "")
    }
}
