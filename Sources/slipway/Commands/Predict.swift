import ArgumentParser
import Foundation
import SlipwayClient
import SlipwayDomain
import SlipwayTasks

struct Predict: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Asks a deployment.",
        discussion: """
            INPUT is a picture (.png, .jpg), a table (.csv, its rows), or JSON (.json, - for standard input): an object, \
            a list of them, or {"inputs": [...]}.
            """)

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "The deployment's name or id.") var deployment: String
    @Argument(help: "Files to ask about.", completion: .file()) var inputs: [String] = []
    @Option(help: "A row as JSON, such as '{\"age\": 42}'.") var row: String?
    @Option(help: "The text encoding of a table, such as gbk.") var encoding: String?

    func validate() throws {
        guard !inputs.isEmpty || row != nil else { throw ValidationError("name a file, or give a --row") }
    }

    func run() async throws {
        let api = try connection.api()
        let caller = Prediction(api: api, deployment: try await api.deployment(deployment).id)
        var answers: [(input: String, answer: JSON)] = []
        if let row {
            answers.append(("row", try await caller.predict(json: Data(row.utf8), name: "--row")))
        }
        for input in inputs {
            switch input == "-" ? "json" : URL(filePath: input).pathExtension.lowercased() {
            case "png": answers.append((input, try await caller.predict(readFile(input), as: "image/png")))
            case "jpg", "jpeg": answers.append((input, try await caller.predict(readFile(input), as: "image/jpeg")))
            case "csv", "tsv", "txt": answers.append((input, try await caller.predict(table: input, encoding: encoding)))
            case "json": answers.append((input, try await caller.predict(json: readFile(input), name: input)))
            default: throw Failure.usage("\(input): a .png, .jpg, .csv or .json is wanted")
            }
        }
        show(answers)
    }

    private func show(_ answers: [(input: String, answer: JSON)]) {
        let output = connection.output
        guard !output.isJSON else {
            let all = answers.map(\.answer)
            return output.terminal.print((all.count == 1 ? all[0] : JSON.object(["answers": .array(all)])).text())
        }
        let warnings = Set(answers.flatMap { $0.answer["warnings"]?.arrayValue ?? [] }.map(\.cell)).sorted()
        // A row that has few of a wide table's columns gives one for each of the others.
        for warning in warnings.prefix(warnings.count > 5 ? 3 : 5) { output.terminal.note("note: \(warning)") }
        if warnings.count > 5 { output.terminal.note("note: and \(warnings.count - 3) more like these; --json has all") }
        var rows: [[String]] = []
        for (input, answer) in answers {
            let predictions = answer["predictions"]?.arrayValue ?? []
            for (index, prediction) in predictions.enumerated() {
                let name = predictions.count == 1 ? input : "\(input) \(index + 1)"
                rows.append([name] + Self.cells(of: prediction))
            }
        }
        for line in table(["input", "answer", ""], rows).dropFirst() { output.terminal.print(line) }
    }

    /// A class with its score, or a number with its interval.
    static func cells(of prediction: JSON) -> [String] {
        if let label = prediction["label"] {
            return [label.cell, prediction["score"]?.doubleValue.map { "\(($0 * 1000).rounded() / 10) %" } ?? ""]
        }
        let interval = prediction["interval"]?.arrayValue.map(\.cell) ?? []
        return [
            prediction["value"]?.cell ?? prediction.cell,
            interval.count == 2 ? "(\(interval[0]) to \(interval[1]))" : "",
        ]
    }
}

/// Calls of one deployment.
struct Prediction {
    let api: API
    let deployment: String

    func predict(_ bytes: Data, as mediaType: String) async throws -> JSON {
        let response = try await api.checked(
            .init(
                "POST", "/v1/deployments/\(deployment)/predict", headers: [("Content-Type", mediaType)],
                body: .bytes(Array(bytes))))
        return try JSON(parsing: response.body)
    }

    func predict(inputs: [JSON]) async throws -> JSON {
        try await predict(
            Data(JSON.object(["inputs": .array(inputs)]).text(isPretty: false).utf8), as: "application/json")
    }

    /// An object, a list of them, or the whole body.
    func predict(json: Data, name: String) async throws -> JSON {
        let value: JSON
        do {
            value = try JSON(parsing: json)
        } catch {
            throw Failure.usage("\(name): not valid JSON")
        }
        switch value {
        case .object(let members) where members["inputs"] != nil: return try await predict(json, as: "application/json")
        case .array(let items): return try await predict(inputs: items)
        default: return try await predict(inputs: [value])
        }
    }

    /// Row by row in calls of a thousand.
    func predict(table path: String, encoding: String?) async throws -> JSON {
        try checkFile(path)
        var rows = try TableInputs(path: path, encoding: encoding)
        var (predictions, warnings): ([JSON], [JSON]) = ([], [])
        var version: JSON = .null
        while true {
            let next = try rows.next(1000)
            guard !next.isEmpty else { break }
            let answer = try await predict(inputs: next)
            predictions += answer["predictions"]?.arrayValue ?? []
            for warning in answer["warnings"]?.arrayValue ?? [] where !warnings.contains(warning) {
                warnings.append(warning)
            }
            version = answer["model_version"] ?? .null
        }
        var whole: [String: JSON] = ["model_version": version, "predictions": .array(predictions)]
        if !warnings.isEmpty { whole["warnings"] = .array(warnings) }
        return .object(whole)
    }
}
