import ArgumentParser
import Foundation
import SlipwayClient
import SlipwayDomain
import SlipwaySystem

struct Quickstart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the whole way, from data to predictions, on two real data sets.",
        discussion: """
            Starts a platform in a fresh temporary data directory, does everything through its HTTP API, and leaves it \
            stopped.
            """)

    @Option(help: "A data directory to use instead of a temporary one; it is kept.") var dataDir: String?
    @Flag(help: "Keep the temporary data directory.") var keep = false
    @Option(help: "Seconds that each training may take.") var seconds = 20.0
    @Flag(help: "Print nothing but what came out, as JSON on standard output, and a problem as JSON on standard error.")
    var json = false

    func validate() throws {
        guard seconds >= 10 else { throw ValidationError("a training takes at least 10 seconds") }
    }

    func run() async throws {
        let start = ContinuousClock.now
        let terminal = Terminal.standard
        let steps = Steps(terminal: terminal, isQuiet: json)
        let configuration = try Configuration(flags: [:], environment: ProcessInfo.processInfo.environment)
        let examples = try ShareFolder(configuration).examples
        let folder = try dataDir ?? Self.temporaryFolder()
        let isKept = keep || dataDir != nil
        steps.note(terminal.styled("Slipway \(slipwayVersion)", .bold) + terminal.styled(", a platform in \(folder)", .dim))
        steps.note()

        let platform = PlatformProcess(dataDirectory: folder)
        let result: [String: JSON]
        do {
            let api = try await steps.run("Starting PostgreSQL, api, worker and serve") { _ in
                ("The platform is up", try await platform.start())
            }
            result = [
                "digits": try await digits(api, steps, examples), "breast_cancer": try await table(api, steps, examples),
            ]
            try await steps.run("Stopping the platform") { _ in ("The platform is stopped", try await platform.stop()) }
        } catch {
            await platform.kill()
            steps.note("The platform's files, its logs among them, are in \(folder)")
            throw error
        }
        if !isKept { try? FileManager.default.removeItem(atPath: folder) }

        let time = ContinuousClock.now - start
        if json {
            let whole: [String: JSON] = ["seconds": .number(time / .seconds(1)), "data_sets": .object(result)]
            return terminal.print(JSON.object(whole).text())
        }
        terminal.note()
        terminal.note(terminal.styled("Done in \(time.spoken).", .bold) + " How to go on:")
        let command = CommandLine.arguments[0].shellQuoted
        let place = isKept ? " --data-dir \(folder.shellQuoted)" : ""
        for (text, what) in [
            ("\(command) up\(place)", "keeps a platform running"),
            ("\(command) train PHOTOS.zip --deploy\(place)", "a zip or a folder with one folder of pictures a class"),
            ("\(command) train TABLE.csv --deploy\(place)", "a table; the last column is what to predict"),
            ("\(command) --help", "everything else"),
        ] {
            terminal.note("  \(terminal.styled(text, .cyan))")
            terminal.note("      \(what)")
        }
    }

    /// Handwritten digits as pictures; one of them is asked about as a client would.
    private func digits(_ api: API, _ steps: Steps, _ examples: String) async throws -> JSON {
        title("Pictures: handwritten digits (UCI)", steps)
        let outcome = try await train("\(examples)/digits.zip", "digits", api, steps)
        let items = try await api.get(
            "/v1/datasets/\(outcome.dataset.id)/versions/\(outcome.version["version"]?.intValue ?? 1)/items?split=test&limit=1")
        guard let item = items["items"]?.arrayValue.first, let content = item["content"]?.stringValue else {
            throw Failure.message("the data set has no test items")
        }
        let picture = try await api.checked(.init("GET", content))
        let label = item["annotation"]?["label"]?.cell ?? "?"
        return try await predict(outcome, api, steps, asked: "a picture of a \(label)") {
            try await $0.predict(Data(picture.body), as: item["media_type"]?.stringValue ?? "image/png")
        }
    }

    private func table(_ api: API, _ steps: Steps, _ examples: String) async throws -> JSON {
        title("Table: breast cancer diagnoses (UCI)", steps)
        let outcome = try await train("\(examples)/breast-cancer.csv", "breast-cancer", api, steps)
        let items = try await api.get(
            "/v1/datasets/\(outcome.dataset.id)/versions/\(outcome.version["version"]?.intValue ?? 1)/items?split=test&limit=1")
        guard let item = items["items"]?.arrayValue.first, let row = item["row"] else {
            throw Failure.message("the data set has no test items")
        }
        let label = item["annotation"]?["label"]?.cell ?? "?"
        return try await predict(outcome, api, steps, asked: "a row of class \(label)") { try await $0.predict(inputs: [row]) }
    }

    private func title(_ text: String, _ steps: Steps) {
        steps.note()
        steps.note(steps.terminal.styled(text, .bold))
    }

    private func train(_ file: String, _ name: String, _ api: API, _ steps: Steps) async throws -> Training.Outcome {
        var options = TrainingOptions.none
        options.seconds = seconds
        options.preset = .fast
        options.seed = 1
        let training = Training(api: api, steps: steps, file: file, project: name, options: options, isDeployed: true)
        let outcome = try await training.run()
        let score = try Score(of: outcome.modelVersion, objective: "accuracy")
        steps.note("  " + steps.terminal.styled(score.text, .green))
        return outcome
    }

    private func predict(
        _ outcome: Training.Outcome, _ api: API, _ steps: Steps, asked: String, _ ask: (Prediction) async throws -> JSON
    ) async throws -> JSON {
        guard let deployment = outcome.deployment else { preconditionFailure("the training was told to deploy") }
        let caller = Prediction(api: api, deployment: try deployment.id)
        let answer = try await steps.run("Predicting") { _ in
            let answer = try await ask(caller)
            let cells = Predict.cells(of: answer["predictions"]?.arrayValue.first ?? .null)
            return ("Asked about \(asked) that it never saw: \(cells.filter { !$0.isEmpty }.joined(separator: ", "))", answer)
        }
        return [
            "metrics": outcome.modelVersion["metrics"] ?? .null, "template": outcome.experiment["chosen"]?["template"] ?? .null,
            "prediction": answer["predictions"]?.arrayValue.first ?? .null,
        ]
    }

    /// Where PostgreSQL's user may enter too, when we are root.
    private static func temporaryFolder() throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "slipway-quickstart-\(getpid())")
            .path(percentEncoded: false)
        guard mkdir(path, 0o755) == 0 else { throw Failure.message("\(path): \(String(cString: strerror(errno)))") }
        return path
    }
}

/// `slipway up` as a child of this process, on a free port.
private final class PlatformProcess {
    private let dataDirectory: String
    private var process: ChildProcess?

    init(dataDirectory: String) { self.dataDirectory = dataDirectory }

    func start() async throws -> API {
        try FileManager.default.createDirectory(atPath: dataDirectory, withIntermediateDirectories: true)
        unlink(dataDirectory + "/url")
        let path = dataDirectory + "/up.log"
        let log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard log >= 0 else { throw Failure.message("\(path): \(String(cString: strerror(errno)))") }
        defer { close(log) }
        var command = ChildProcess.Command(
            ShareFolder.binary, ["up", "--data-dir", dataDirectory, "--port", "0"],
            environment: ProcessInfo.processInfo.environment)
        command.descriptors = [nil, log, log]
        // It stops its children and PostgreSQL in good order; the kernel's SIGKILL would not.
        command.deathSignal = SIGTERM
        command.killsGroupAtEnd = false
        let process = try ChildProcess.spawn(command)
        self.process = process
        for _ in 0..<600 {
            if let exit = try process.poll() {
                let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                throw Failure.message("the platform ended with \(exit):\n\(text.suffix(2000))")
            }
            if let url = try? String(contentsOfFile: dataDirectory + "/url", encoding: .utf8),
                let key = try? String(contentsOfFile: dataDirectory + "/admin.key", encoding: .utf8)
            {
                let api = try API(
                    url: url.trimmingCharacters(in: .whitespacesAndNewlines),
                    key: key.trimmingCharacters(in: .whitespacesAndNewlines))
                if let answer = try? await api.http.send(.init("GET", "/readyz")), answer.status == 200 { return api }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw Failure.message("the platform wasn't ready within a minute; its log is \(path)")
    }

    func stop() async throws {
        guard let process else { return }
        process.signal(SIGTERM)
        let exit = await process.wait()
        self.process = nil
        guard exit.ending.isSuccess else { throw Failure.message("the platform ended with \(exit)") }
    }

    func kill() async {
        guard let process else { return }
        process.signal(SIGTERM)
        _ = await process.wait()
    }
}
