import ArgumentParser
import Foundation
import SlipwayDomain

struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trains a model from a file: project, upload, training and, with --deploy, an endpoint.",
        discussion: """
            DATA is a zip or a folder with one folder of pictures a class, or a CSV with a header. Run again, it makes \
            the data set's next version and the deployment's next revision.
            """)

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "A zip, a folder of pictures, or a CSV.", completion: .file()) var data: String
    @Flag(help: "Deploy the model when it is trained.") var deploy = false
    @Option(help: "Deploy it as the endpoint of this name (default: the data set's).") var endpoint: String?
    @Option(help: "The project's name (default: the file's).") var project: String?
    @Option(help: "What is to be learned (default: follows from the file).") var task: LearningTask?
    @Option(help: "The text encoding of a table, such as gbk.") var encoding: String?
    @Option(help: "Where to write the report (default: NAME-report.html here).", completion: .file()) var report: String?
    @OptionGroup(title: "Training") var options: TrainingOptions
    @Flag(inversion: .prefixedNo, help: "Wait for the end, with a live progress line on a terminal.") var watch = true

    private var isDeployed: Bool { deploy || endpoint != nil }

    func validate() throws {
        if !watch && (isDeployed || report != nil) {
            throw ValidationError("--no-watch starts the training and returns: it can't deploy or write a report")
        }
    }

    func run() async throws {
        let output = connection.output
        let path = report ?? Training.stem(of: data) + "-report.html"
        if watch { try checkReport(path) }
        let training = Training(
            api: try connection.api(), steps: output.steps, file: data, project: project, task: task, encoding: encoding,
            options: options, isDeployed: isDeployed, endpoint: endpoint)
        guard watch else {
            let experiment = try await training.start()
            return output.show(experiment, ExperimentCommands.members)
        }
        let outcome = try await training.run()
        try await training.api.download(file: "report.html", ofVersion: outcome.modelVersion.id, to: path)
        let score = try Score(of: outcome.modelVersion, objective: outcome.experiment["objective"]?.stringValue)

        if output.isJSON {
            var result: [String: JSON] = [
                "project": outcome.project, "dataset": outcome.dataset, "version": outcome.version,
                "experiment": outcome.experiment, "model_version": outcome.modelVersion, "report": .string(path),
            ]
            result["deployment"] = outcome.deployment
            return output.terminal.print(JSON.object(result).text())
        }
        let terminal = output.terminal
        terminal.note()
        terminal.print(score.text)
        terminal.print("Report    \(path)")
        if let deployment = outcome.deployment {
            let name = deployment["name"]?.cell ?? ""
            terminal.print("Endpoint  \(training.api.http.base)/v1/deployments/\(try deployment.id)/predict")
            let example = training.isPictures(outcome) ? "PICTURE.jpg" : "ROWS.csv"
            terminal.note("Try it: slipway predict \(name.shellQuoted) \(example)")
        } else {
            terminal.note("Deploy it: slipway deployment create NAME \(try outcome.modelVersion.id)")
        }
    }
}

extension LearningTask: ExpressibleByArgument {}

extension Training {
    func isPictures(_ outcome: Outcome) -> Bool {
        outcome.modelVersion["task"]?.stringValue.flatMap(LearningTask.init(rawValue:))?.items == .pictures
    }
}

extension String {
    /// As one word of a shell command.
    var shellQuoted: String {
        let isPlain = !isEmpty && allSatisfy { $0.isLetter || $0.isNumber || "-_./:@".contains($0) }
        return isPlain ? self : "'" + replacing("'", with: "'\\''") + "'"
    }
}
