import ArgumentParser
import Foundation
import SlipwayDomain

struct ExperimentCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "experiment", abstract: "Experiments: one press of \"train\" each.",
        subcommands: [Create.self, List.self, Show.self, Watch.self, Cancel.self, Delete.self])

    static let members = [
        "id", "name", "status", "progress", "task", "objective", "preset", "chosen", "metrics", "model_version",
        "problem", "created_at", "finished_at",
    ]

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Starts an experiment.", aliases: ["start"])
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The data set: PROJECT/NAME, or its id.") var dataset: String
        @OptionGroup var training: TrainingOptions
        @Flag(inversion: .prefixedNo, help: "Wait for the end, with a live progress line.") var watch = Terminal.standard.isLive

        func run() async throws {
            let api = try connection.api()
            let dataset = try await api.dataset(dataset)
            guard let project = dataset["project"]?.stringValue else {
                throw Failure.message("the platform's answer names no project")
            }
            let experiment = try await api.post("/v1/projects/\(project)/experiments", training.body(dataset: dataset.id))
            try await finish(experiment, api, connection, watch: watch)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the experiments.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The project's name or id; all when left out.") var project: String?

        func run() async throws {
            let experiments = try await connection.api().members("experiments", of: project)
            connection.output.show(experiments, ["id", "name", "status", "progress", "created_at"])
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows an experiment with its trials.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var experiment: String

        func run() async throws {
            let experiment = try await connection.api().experiment(experiment)
            connection.output.show(experiment, members)
            guard !connection.json, let trials = experiment["trials"]?.arrayValue, !trials.isEmpty else { return }
            connection.output.terminal.print()
            connection.output.show(trials, ["id", "template", "status", "score", "hyperparameters"])
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Follows an experiment to its end; exit code 1 when it fails.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var experiment: String

        func run() async throws {
            let api = try connection.api()
            try await finish(api.experiment(experiment), api, connection, watch: true)
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Ends an experiment; nothing of it is kept.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var experiment: String

        func run() async throws {
            let api = try connection.api()
            let id = try await api.experiment(experiment).id
            connection.output.show(try await api.post("/v1/experiments/\(id)/cancel"), members)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes an experiment that has ended and has no model.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var experiment: String

        func run() async throws {
            let api = try connection.api()
            let id = try await api.experiment(experiment).id
            try await api.delete("/v1/experiments/\(id)")
            connection.output.done("deleted experiment \(experiment)", ["id": .string(id)])
        }
    }

    private static func finish(
        _ experiment: JSON, _ api: API, _ connection: ConnectionOptions, watch: Bool
    ) async throws {
        guard watch else { return connection.output.show(experiment, members) }
        let ended = try await ExperimentWatch(api: api, id: experiment.id).shown(by: connection.output.steps)
        connection.output.show(ended, members)
    }
}

/// What an experiment can be told, here and in `slipway train`.
struct TrainingOptions: ParsableArguments {
    @Option(help: "The experiment's name.") var name: String?
    @Option(help: "The data set's version (default: the newest).") var datasetVersion: Int?
    @Option(help: "How much to spend: fast, balanced or best.") var preset: Preset?
    @Option(help: "Seconds that the experiment may take, report included (at least 10).") var seconds: Double?
    @Option(help: "Trials that the experiment may take: the repeatable kind of budget.") var trials: Int?
    @Option(help: "What to be best in, such as accuracy or rmse.") var objective: String?
    @Option(help: "The column to predict (default: the one named at upload, or the last).") var target: String?
    @Option(help: "A template by name, or a YAML file with one.", completion: .file()) var template: String?
    @Option(help: "The id of an imported model's version that is to be trained further.") var base: String?
    @Flag(help: "Of that model, only a new last layer learns.") var frozen = false
    @Flag(help: "That model's last layer stays: its outputs are the data set's classes in their order, or the target.") var keepHead = false
    @Option(help: "What that model takes for a picture's bytes (unit, symmetric, imagenet or bytes) or a table's numbers (none or standard).")
    var scaling: BaseChoice.Scaling?
    @Option(name: .customLong("column"), help: "A column of the table that is one of that model's numbers; once for each, in its order.") var columns: [String] = []
    @Option(help: "Makes the training repeatable, together with --trials.") var seed: UInt32?

    /// Nothing but defaults, for commands that decide for themselves.
    static var none: TrainingOptions {
        guard let options = try? parse([]) else { preconditionFailure("every option has a default") }
        return options
    }

    func validate() throws {
        guard base != nil || !frozen && !keepHead && scaling == nil && columns.isEmpty else {
            throw ValidationError("--frozen, --keep-head, --scaling and --column are of a model that is trained further: name it with --base")
        }
    }

    func body(dataset: String) throws -> JSON {
        var body: [String: JSON] = ["dataset": .string(dataset)]
        body["name"] = name.map(JSON.string)
        body["version"] = datasetVersion.map(JSON.integer)
        body["preset"] = preset.map { .string($0.rawValue) }
        body["objective"] = objective.map(JSON.string)
        body["target"] = target.map(JSON.string)
        body["seed"] = seed.map { .integer(Int($0)) }
        var budget: [String: JSON] = [:]
        budget["seconds"] = seconds.map { $0 == $0.rounded() ? .integer(Int($0)) : .number($0) }
        budget["trials"] = trials.map(JSON.integer)
        if !budget.isEmpty { body["budget"] = .object(budget) }
        if let template {
            let isFile = template.hasSuffix(".yaml") || template.hasSuffix(".yml")
            body["template"] = .string(isFile ? String(decoding: try readFile(template), as: UTF8.self) : template)
        }
        if let base {
            var choice: [String: JSON] = ["model_version": .string(base)]
            if frozen { choice["frozen"] = true }
            if keepHead { choice["head"] = "keep" }
            choice["scaling"] = scaling.map { .string($0.rawValue) }
            if !columns.isEmpty { choice["columns"] = .array(columns.map(JSON.string)) }
            body["base"] = .object(choice)
        }
        return .object(body)
    }
}

extension Preset: ExpressibleByArgument {}
extension BaseChoice.Scaling: ExpressibleByArgument {}
