import Foundation
import KeelData
import KeelModels
import SlipwayDomain
import SlipwayTasks
import Testing

/// A small stream of random numbers: the same data in every run.
struct Draws: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }

    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// Trains and evaluates as the platform does, without the platform: every piece is what a trainer process would run.
struct Learning {
    var task: LearningTask
    var directory: URL
    var data: DataPlan
    let models: ModelStore?
    let library: TemplateLibrary
    /// The model that trainings go on from.
    var base: BasePlan?

    /// Imports an upload into a directory that is gone after `body`.
    static func with<Result>(
        _ task: LearningTask, _ upload: [UInt8], models: ModelStore? = nil, _ body: (Learning) throws -> Result
    ) throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "slipway-learning-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try body(Learning(task, upload, in: directory, models))
    }

    private init(_ task: LearningTask, _ upload: [UInt8], in directory: URL, _ models: ModelStore?) throws {
        self.task = task
        self.directory = directory
        self.models = models
        library = try TemplateLibrary(folder: templateFolder, models: models)
        let file = directory.appending(path: "upload")
        try Data(upload).write(to: file)
        let plan = ImportPlan(task: task, upload: file.path, mediaType: "application/octet-stream", format: "auto", limits: ImportLimits())
        var lines = Data()
        var count = 0
        var summary: ImportSummary?
        let encoder = JSONEncoder()
        try importUpload(plan, into: directory.path, threads: 1) { event in
            switch event {
            case .item(let item):
                guard let label = item.label else { return }
                count += 1
                lines += try encoder.encode(
                    DataItem(
                        id: Int64(count), name: item.name, splitHash: item.splitHash, label: label,
                        path: item.file.map { directory.appending(path: $0).path }, row: item.row)) + Data("\n".utf8)
            case .imported(let imported): summary = imported
            default: break
            }
        }
        let profile = try #require(summary).profile
        let items = directory.appending(path: "items.jsonl")
        try lines.write(to: items)
        data = DataPlan(
            items: items.path, unlabelled: profile.unlabelled, columns: profile.columns, target: profile.target,
            classes: task.isClassification ? profile.classes.map(\.name) : [])
    }

    func recipe(_ template: String, _ changes: [String: JSON] = [:], seed: UInt64 = 7) throws -> TrialRecipe {
        let template = try #require(library.template(named: template))
        return TrialRecipe(
            template: template.name, source: template.source,
            hyperparameters: template.defaults(for: .fast).merging(changes) { _, new in new }, seed: seed)
    }

    /// One rung in a directory of its own.
    ///
    /// - Parameter pieces: how many steps to do before an interruption; nil: to the rung's end.
    /// - Returns: the last checkpoint, the result if the rung reached its end, and what was logged.
    func rung(
        _ recipe: TrialRecipe, number: Int = 0, until: Double? = nil, from checkpoint: String? = nil, pieces: Int? = nil
    ) throws -> (checkpoint: String, result: RungResult?, log: [String]) {
        let place = directory.appending(path: "rung-\(UUID())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        let plan = RungPlan(
            task: task, data: data, objective: Objective.initial(for: task).rawValue, recipe: recipe, rung: number,
            untilResource: until, seconds: nil, checkpoint: checkpoint, base: base)
        let interruption = Interruption()
        var steps = 0
        var last: String?
        var result: RungResult?
        var log: [String] = []
        try TrainerMain.run(TrainerPlan(work: .trainRung(plan), threads: 2), in: place, models: models, interruption: interruption) { event in
            switch event {
            case .progress:
                steps += 1
                if steps == pieces { interruption.interrupt() }
            case .checkpoint(let file, _): last = place.appending(path: file).path
            case .rung(let reached): result = reached
            case .problem(let problem): throw problem
            case .log(_, let message): log.append(message)
            default: break
            }
        }
        return (try #require(last), result, log)
    }

    /// - Returns: the folder of the model's files.
    func evaluate(
        _ trials: [(recipe: TrialRecipe, checkpoint: String)], facts: [String: JSON] = [:], seconds: Double? = nil
    ) throws -> URL {
        let place = directory.appending(path: "evaluation-\(UUID())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        let plan = EvaluationPlan(
            task: task, data: data, objective: Objective.initial(for: task).rawValue,
            candidates: trials.map { .init(trial: TrialID(UUID()), recipe: $0.recipe, checkpoint: $0.checkpoint, score: nil) },
            facts: facts, seconds: seconds, base: base)
        var result: EvaluationResult?
        try TrainerMain.run(TrainerPlan(work: .evaluate(plan), threads: 2), in: place, models: models) { event in
            if case .evaluated(let evaluated) = event { result = evaluated }
            if case .problem(let problem) = event { throw problem }
        }
        let names = try #require(result).files.map(\.name)
        let ofBase = names.filter { $0.hasPrefix("base") }
        #expect(ofBase.count == base?.files.count ?? 0)
        #expect(Set(names).subtracting(ofBase + ["model.onnx"]) == ["model.json", "model.safetensors", "report.json", "report.html", "items.jsonl"])
        return place.appending(path: "model")
    }

    /// A whole trial and its model.
    func model(_ recipe: TrialRecipe) throws -> URL {
        try evaluate([(recipe, try rung(recipe).checkpoint)])
    }
}

// MARK: - Data

/// A table with a column of each type, missing values, and a class that depends on several of them.
func sampleTable(rows: Int = 240, task: LearningTask, seed: UInt64 = 1) -> [UInt8] {
    var draws = Draws(state: seed)
    var text = "length,width,colour,glossy,made,note,\(task.isClassification ? "grade" : "price")\n"
    for _ in 0..<rows {
        let (length, width) = (1 + 9 * draws.uniform(), 1 + 9 * draws.uniform())
        let colour = ["红", "绿", "blue"][Int(draws.uniform() * 3)]
        let isGlossy = draws.uniform() < 0.5
        let day = 1 + Int(draws.uniform() * 28)
        let note = draws.uniform() < 0.3 ? "slightly scratched on one side" : "as new and in its box"
        let worth = length * width + (colour == "红" ? 20 : 0) + (isGlossy ? 10 : 0) + 5 * draws.uniform()
        let label = task.isClassification ? (worth > 45 ? "好" : "plain") : String(format: "%.1f", exp(worth / 30))
        let shown = draws.uniform() < 0.1 ? "" : String(format: "%.3f", width)
        text +=
            String(format: "%.3f", length)
            + ",\(shown),\(colour),\(isGlossy ? "yes" : "no"),2024-03-\(day < 10 ? "0" : "")\(day),\"\(note)\",\(label)\n"
    }
    return Array(text.utf8)
}

/// Two classes of pictures, 24 pixels square: bars that lie and bars that stand.
func samplePictures(perClass count: Int = 24, classes: [String] = ["横", "stands"]) throws -> [UInt8] {
    var zip = SampleZip()
    for (number, name) in classes.enumerated() {
        for index in 0..<count {
            zip.add("\(name)/\(index).jpg", try samplePicture(lies: number == 0, seed: UInt64(number * 1000 + index)))
        }
    }
    return zip.bytes
}

func samplePicture(lies: Bool, seed: UInt64) throws -> [UInt8] {
    let side = 24
    var draws = Draws(state: seed &+ 99)
    for _ in 0..<4 { _ = draws.next() }
    let (ground, ink) = (150 + 100 * draws.uniform(), 100 * draws.uniform())
    let start = 4 + Int(draws.uniform() * 12)
    var pixels = [UInt8](repeating: 0, count: 3 * side * side)
    for y in 0..<side {
        for x in 0..<side {
            let isInk = (start..<(start + 5)).contains(lies ? y : x)
            let value = UInt8(min(max((isInk ? ink : ground) + 20 * draws.uniform(), 0), 255))
            for channel in 0..<3 { pixels[3 * (y * side + x) + channel] = value }
        }
    }
    return try Picture(width: side, height: side, pixels: pixels).jpeg(quality: 90)
}

extension JSON {
    var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }
    subscript(index: Int) -> JSON? { elements.indices.contains(index) ? elements[index] : nil }
}
