// experiment TASK TRAIN-FILE TEST-FILE [--seconds N] [--trials N] [--threads N] [--preset P] [--template NAME] [--target COLUMN] [--seed N]
//
// One experiment without the platform: what the worker and the scheduler would do, in one process and in a loop. The
// model is then judged on a file that was kept aside. Prints one line a trial and a last line of JSON.
import Foundation
import SlipwayDomain
import SlipwayTasks

@main
enum Experiment {
    static func main() throws {
        let arguments = Arguments(CommandLine.arguments)
        guard let task = LearningTask(rawValue: arguments.positional[0]) else { fatalError("no such task") }
        let thread = Thread {
            do {
                try run(task, arguments)
            } catch {
                print("failed: \(error)")
                exit(1)
            }
            exit(0)
        }
        thread.stackSize = 64 << 20
        thread.start()
        while true { sleep(1000) }
    }

    static func run(_ task: LearningTask, _ arguments: Arguments) throws {
        let work = FileManager.default.temporaryDirectory.appending(path: "experiment-\(getpid())")
        try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
        let keeps = arguments.options["keep"] != nil
        defer { if !keeps { try? FileManager.default.removeItem(at: work) } }
        let threads = Int(arguments.options["threads"] ?? "2") ?? 2
        let train = try Version(task, arguments.positional[1], in: work.appending(path: "train"), threads, arguments.options["target"])
        let kept = try Version(task, arguments.positional[2], in: work.appending(path: "kept"), threads, arguments.options["target"])
        try Preflight.check(task, train.profile)
        let library = try TemplateLibrary(folder: URL(fileURLWithPath: "Templates"))
        let own = try arguments.options["template"].map { try library.template(chosenBy: .string($0), for: task) }
        let choice = try TemplateChoice(for: task, train.profile, from: library, own: own)
        for line in choice.considered { print("considered \(line.template) fits=\(line.fits): \(line.why)") }
        var state = ExperimentState(
            task: task, objective: arguments.options["objective"] ?? Objective.initial(for: task).rawValue,
            preset: Preset(rawValue: arguments.options["preset"] ?? "balanced") ?? .balanced,
            seed: UInt64(arguments.options["seed"] ?? "1") ?? 1,
            budgetSeconds: arguments.options["seconds"].flatMap(Double.init),
            budgetTrials: arguments.options["trials"].flatMap(Int.init), spentSeconds: 0, parallelism: 1,
            profile: train.profile, ranking: choice.ranking.map(\.name), ownTemplate: own?.source, trials: [])
        var checkpoints: [TrialID: String] = [:]
        let began = ContinuousClock.now
        func spent() -> Double { (ContinuousClock.now - began) / .seconds(1) }
        while true {
            state.spentSeconds = spent()
            let steps = try ExperimentDecision.next(state, library)
            for step in steps {
                switch step {
                case .startTrial(let recipe, let until, let seconds):
                    let trial = ExperimentState.Trial(
                        id: TrialID(UUID()), number: state.trials.count, recipe: recipe, status: .running, rung: 0,
                        resource: 0, finished: false, score: nil, seconds: 0)
                    state.trials.append(trial)
                    try runRung(state.trials.count - 1, until, seconds)
                case .continueTrial(let id, let until, let seconds):
                    guard let index = state.trials.firstIndex(where: { $0.id == id }) else { fatalError("unknown trial") }
                    state.trials[index].rung += 1
                    try runRung(index, until, seconds)
                case .stopTrial(let id):
                    guard let index = state.trials.firstIndex(where: { $0.id == id }) else { fatalError("unknown trial") }
                    state.trials[index].status = .stopped
                case .evaluate(let ids, let seconds, let why):
                    print("ends after \(format(spent())) s: \(why)")
                    try evaluate(ids, seconds)
                    return
                case .fail(let problem):
                    print("failed: \(problem.detail)")
                    return
                }
            }
        }

        func runRung(_ index: Int, _ until: Double?, _ seconds: Double?) throws {
            let directory = work.appending(path: "trial-\(index)-\(state.trials[index].rung)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let id = state.trials[index].id
            let plan = RungPlan(
                task: task, data: train.plan, objective: state.objective, recipe: state.trials[index].recipe,
                rung: state.trials[index].rung, untilResource: until, seconds: seconds, checkpoint: checkpoints[id])
            let start = spent()
            var result: RungResult?
            try TrainerMain.run(TrainerPlan(work: .trainRung(plan), threads: threads), in: directory) { event in
                switch event {
                case .checkpoint(let file, _): checkpoints[id] = directory.appending(path: file).path
                case .rung(let rung): result = rung
                case .problem(let problem): print("problem: \(problem.detail)")
                case .log(let level, let message): print("\(level): \(message)")
                case .metric(let name, let value, let step):
                    if arguments.options["verbose"] != nil { print("  \(format(spent())) \(name) \(format(value)) at \(step)") }
                default: break
                }
            }
            state.trials[index].seconds += spent() - start
            guard let result else {
                state.trials[index].status = .failed
                return
            }
            state.trials[index].status = result.finished ? .succeeded : .paused
            state.trials[index].finished = result.finished
            state.trials[index].score = result.score
            state.trials[index].resource = result.resource
            let values = state.trials[index].recipe.hyperparameters.sorted { $0.key < $1.key }
                .map { "\($0.key)=\($0.value.doubleValue.map { format($0) } ?? "")" }.joined(separator: " ")
            print(
                "trial \(index) \(state.trials[index].recipe.template) rung \(state.trials[index].rung) score \(format(result.score)) "
                    + "at \(result.resource) in \(format(spent() - start)) s (limit \(seconds.map { format($0) } ?? "none")) finished=\(result.finished) \(values)")
        }

        func evaluate(_ ids: [TrialID], _ seconds: Double?) throws {
            let directory = work.appending(path: "evaluation")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let candidates = ids.compactMap { id -> EvaluationPlan.Candidate? in
                guard let trial = state.trials.first(where: { $0.id == id }), let file = checkpoints[id] else { return nil }
                return .init(trial: id, recipe: trial.recipe, checkpoint: file, score: trial.score)
            }
            let plan = EvaluationPlan(
                task: task, data: train.plan, objective: state.objective, candidates: candidates,
                facts: ["project": "bench", "dataset": .string(arguments.positional[1])], seconds: seconds)
            var result: EvaluationResult?
            try TrainerMain.run(TrainerPlan(work: .evaluate(plan), threads: threads), in: directory) { event in
                if case .evaluated(let evaluated) = event { result = evaluated }
                if case .problem(let problem) = event { print("problem: \(problem.detail)") }
            }
            guard let result else { return }
            let total = spent()
            print("evaluated: \(result.trials.count) trials mixed")
            for (name, value) in result.metrics.sorted(by: { $0.key < $1.key }) { print("  \(name) \(format(value))") }
            let folder = directory.appending(path: "model")
            for file in result.files {
                let size = try FileManager.default.attributesOfItem(atPath: directory.appending(path: file.path).path)[.size]
                print("  \(file.name) \(size ?? 0)")
            }
            let aside = try kept.judge(Predictor(folder: folder), train.plan)
            var line: [String: JSON] = ["total_seconds": .number(total), "file": .string(arguments.positional[1])]
            for (name, value) in aside { line["aside_\(name)"] = .number(value) }
            print(String(decoding: try JSONEncoder().encode(line), as: UTF8.self))
            if keeps { print("kept in \(work.path)") }
        }
    }
}

func format(_ value: Double) -> String { String(format: "%.4g", value) }

struct Arguments {
    var positional: [String] = []
    var options: [String: String] = [:]

    init(_ arguments: [String]) {
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            if word.hasPrefix("--") { options[String(word.dropFirst(2))] = rest.popFirst() ?? "" } else { positional.append(word) }
        }
    }
}

/// An imported file.
struct Version {
    var profile: DatasetProfile
    var plan: DataPlan
    var items: [DataItem] = []

    init(_ task: LearningTask, _ file: String, in directory: URL, _ threads: Int, _ target: String?) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let plan = ImportPlan(
            task: task, upload: URL(fileURLWithPath: file).path,
            mediaType: file.hasSuffix(".zip") ? "application/zip" : "text/csv", format: "auto", target: target, limits: ImportLimits())
        var items: [DataItem] = []
        var summary: ImportSummary?
        var lines = Data()
        let encoder = JSONEncoder()
        try TrainerMain.run(TrainerPlan(work: .importUpload(plan), threads: threads), in: directory) { event in
            switch event {
            case .item(let item):
                guard let label = item.label else { return }
                let data = DataItem(
                    id: Int64(items.count + 1), name: item.name, splitHash: item.splitHash, label: label,
                    path: item.file.map { directory.appending(path: $0).path }, row: item.row)
                items.append(data)
                lines += try encoder.encode(data) + Data("\n".utf8)
            case .imported(let imported): summary = imported
            case .problem(let problem): print("problem: \(problem)")
            default: break
            }
        }
        guard let summary else { fatalError("the import failed") }
        profile = summary.profile
        let path = directory.appending(path: "items.jsonl")
        try lines.write(to: path)
        self.plan = DataPlan(
            items: path.path, unlabelled: profile.unlabelled, columns: profile.columns, target: profile.target,
            classes: task.isClassification ? profile.classes.map(\.name) : [])
        self.items = items
        print("\(file): \(items.count) items, \(profile.classes.count) classes, columns: "
            + (profile.columns ?? []).map { "\($0.name):\($0.type.rawValue)\($0.isIdentifier ? "(id)" : "")" }.joined(separator: " "))
    }

    /// The metrics of a model on all items of this file.
    func judge(_ predictor: Predictor, _ training: DataPlan) throws -> [String: Double] {
        var truth: [String] = []
        var answers: [[String: Any]] = []
        for start in stride(from: 0, to: items.count, by: 256) {
            let batch = items[start..<min(start + 256, items.count)]
            var inputs: [[String: Any]] = []
            for item in batch {
                truth.append(item.label)
                if let row = item.row, let columns = plan.columns {
                    var input: [String: Any] = [:]
                    for (column, field) in zip(columns, row) where column.name != training.target {
                        input[column.name] = field ?? NSNull()
                    }
                    inputs.append(input)
                } else if let path = item.path {
                    inputs.append(["base64": try Data(contentsOf: URL(fileURLWithPath: path)).base64EncodedString()])
                }
            }
            let answer = try predictor.predict(json: JSONSerialization.data(withJSONObject: ["inputs": inputs]))
            let document = try JSONSerialization.jsonObject(with: answer.json(modelVersion: "m")) as? [String: Any]
            answers += document?["predictions"] as? [[String: Any]] ?? []
        }
        if !predictor.task.isClassification {
            let errors = zip(truth, answers).map { (Double($0) ?? 0) - ($1["value"] as? Double ?? 0) }
            return ["rmse": (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()]
        }
        let said = answers.map { $0["label"] as? String ?? "" }
        let right = zip(truth, said).count { $0 == $1 }
        var f1 = 0.0
        let classes = Set(truth)
        for name in classes {
            let both = zip(truth, said).count { $0 == name && $1 == name }
            f1 += 2 * Double(both) / Double(truth.count { $0 == name } + said.count { $0 == name })
        }
        return ["accuracy": Double(right) / Double(truth.count), "macro_f1": f1 / Double(classes.count)]
    }
}
