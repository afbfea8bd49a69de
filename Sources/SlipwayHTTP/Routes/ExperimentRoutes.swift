internal import Foundation
internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore
internal import SlipwayTasks

struct ExperimentRoutes {
    let database: Database
    let library: TemplateLibrary

    struct Shown: Sendable {
        let experiment: ExperimentRecord
        /// Nil in lists.
        let trials: [TrialRecord]?
    }

    static let trial = View<TrialRecord>("Trial", [
        .always("id", .identifier) { .text($0.id) },
        .always("number", .count) { .integer($0.number) },
        .always("template", .string) { .string($0.template) },
        .always("status", .choice(["queued", "running", "paused", "stopped", "succeeded", "failed", "cancelled"])) {
            .string($0.status.rawValue)
        },
        .always("hyperparameters", .anyObject) { .raw($0.hyperparameters.text) },
        .always("metrics", .anyObject) { .raw($0.metrics.text) },
        .sometimes("score", .anyNumber) { $0.score.map(Output.number) },
        .always("seconds", .anyNumber) { .number($0.seconds) },
        .sometimes("problem", .reference("Problem")) { $0.problem.map { .raw($0.text) } },
    ])

    /// As it is stored.
    static let baseSchema = Schema.object([
        .required("model_version", .identifier), .required("head", .choice(BaseChoice.Head.allCases.map(\.rawValue))), .required("frozen", .boolean),
        .required("scaling", .choice(BaseChoice.Scaling.allCases.map(\.rawValue))), .optional("columns", .names),
    ])

    static let view = View<Shown>("Experiment", [
        .always("id", .identifier) { .text($0.experiment.id) },
        .always("project", .identifier) { .text($0.experiment.project) },
        .always("name", .name) { .string($0.experiment.name) },
        .always("dataset", .identifier) { .text($0.experiment.dataset) },
        .always("version", .integer(1...Int.max)) { .integer($0.experiment.version) },
        .always("task", .string) { .string($0.experiment.task.rawValue) },
        .always("objective", .string) { .string($0.experiment.objective) },
        .always("preset", .choice(Preset.allCases.map(\.rawValue))) { .string($0.experiment.preset.rawValue) },
        .sometimes("target", .string) { $0.experiment.target.map(Output.string) },
        .sometimes("base", baseSchema) { $0.experiment.base.map { .raw($0.text) } },
        .always("seed", .count) { .integer(Int($0.experiment.seed)) },
        .always("budget", .object([.optional("seconds", .anyNumber), .optional("trials", .count)])) {
            .object([
                ("seconds", $0.experiment.budgetSeconds.map(Output.number)),
                ("trials", $0.experiment.budgetTrials.map(Output.integer)),
            ])
        },
        .always("status", .choice(["queued", "running", "succeeded", "failed", "cancelled"])) { .string($0.experiment.status.rawValue) },
        .always("progress", .number(0...1)) { .number($0.experiment.progress) },
        .sometimes("chosen", .object([.required("template", .string), .required("why", .string)])) {
            $0.experiment.chosen.map { .raw($0.text) }
        },
        .always("considered", .array(.object([.required("template", .string), .required("fits", .boolean), .required("why", .string)]))) {
            .raw($0.experiment.considered.text)
        },
        .sometimes("trials", .array(trial.reference)) { $0.trials.map { .array($0.map(trial.output)) } },
        .sometimes("best_trial", .identifier) { $0.experiment.bestTrial.map { .text($0) } },
        .sometimes("metrics", .anyObject) { $0.experiment.metrics.map { .raw($0.text) } },
        .sometimes("model_version", .identifier) { $0.experiment.modelVersion.map { .text($0) } },
        .sometimes("problem", .reference("Problem")) { $0.experiment.problem.map { .raw($0.text) } },
        .always("created_at", .time) { .time($0.experiment.createdAt) },
        .sometimes("started_at", .time) { $0.experiment.startedAt.map(Output.time) },
        .sometimes("finished_at", .time) { $0.experiment.finishedAt.map(Output.time) },
        .always("request_id", .string) { .string($0.experiment.requestID) },
    ])

    private static let request = Schema.object([
        .optional("name", .name, "the data set's, by default"),
        .required("dataset", .identifier),
        .optional("version", .integer(1...Int(Int32.max)), "the latest one that is ready, by default"),
        .optional("objective", .choice(Objective.allCases.map(\.rawValue)), "see /v1/tasks"),
        .optional("preset", .choice(Preset.allCases.map(\.rawValue)), "`balanced` by default"),
        .optional(
            "budget",
            .object([
                .optional(
                    "seconds", .number(10...30 * 86_400),
                    "an upper limit; 60, 300 or 1800 by the preset, when there is no budget in trials"),
                .optional("trials", .integer(1...1000)),
            ])),
        .optional("target", .text(maximum: 1000), "a table's target column, where it isn't the version's"),
        .optional("template", .oneOf([.text(maximum: 65_536), .anyObject]), "a template's name, or a whole template (YAML or an object)"),
        .optional(
            "base",
            .object([
                .required("model_version", .identifier, "an imported one of the project, which takes pictures or rows of numbers and answers with a score for each class, or a number"),
                .optional(
                    "head", .choice(BaseChoice.Head.allCases.map(\.rawValue)),
                    "`new`, the default: a last layer that begins anew; `keep`: the model's own, whose outputs are the data set's classes in their order, or its target"),
                .optional("frozen", .boolean, "whether only the new last layer learns; false by default"),
                .optional(
                    "scaling", .choice(BaseChoice.Scaling.allCases.map(\.rawValue)),
                    "what the model takes for a picture's bytes (`imagenet` by default, `unit` of a model for grey pictures; also `symmetric`, `bytes`) or for "
                        + "a table's numbers (`none` by default; `standard`: less their mean, by their deviation)"),
                .optional(
                    "columns", .array(.text(maximum: 1000), count: 1...4096),
                    "the table's columns that are the model's numbers, in its order; by default all of numbers or true and false, but for the target and identifiers"),
            ]), "trains an imported model further, in place of a network of the templates'"),
        .optional("seed", .count, "0 by default"),
    ])

    var routes: [Route] {
        [
            Route(.get, "/v1/projects/{project}/experiments", .scope(.read), "List a project's experiments", query: QueryParameter.page,
                content: .list(Self.view.reference), handle: list),
            Route(.post, "/v1/projects/{project}/experiments", .scope(.write), "Train: start an experiment on a data set version",
                body: .json(Self.request), status: .accepted, content: .json(Self.view.reference), isIdempotent: true, handle: start),
            Route(.get, "/v1/experiments/{experiment}", .scope(.read), "Show an experiment with its trials",
                content: .json(Self.view.reference), handle: show),
            Route(.post, "/v1/experiments/{experiment}/cancel", .scope(.write), "Cancel an experiment", status: .accepted,
                content: .json(Self.view.reference), handle: cancel),
            Route(.delete, "/v1/experiments/{experiment}", .scope(.write), "Delete an experiment that has ended and has no model",
                status: .noContent, content: .none, handle: delete),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: call.role) {
            try $0.experiments(in: project, after: position, limit: page.limit + 1)
        }
        return .json(
            page.output(records.map { Shown(experiment: $0, trials: nil) }, Self.view) {
                CreationPosition(createdAt: $0.experiment.createdAt, id: $0.experiment.id.uuid)
            })
    }

    func show(_ call: Call) async throws -> Response {
        let id: ExperimentID = try call.identifier("experiment", of: "experiment")
        return .json(Self.view.output(try await shown(id, call)))
    }

    private func shown(_ id: ExperimentID, _ call: Call) async throws -> Shown {
        try await database.transaction(as: call.role) { Shown(experiment: try $0.experiment(id), trials: try $0.trials(of: id)) }
    }

    /// `POST /v1/projects/{project}/experiments`: 202 with the queued experiment. What can't be trained is a 422 here, before
    /// a second of training is spent.
    func start(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let (body, digest) = try await call.json()
        let wish = try ExperimentWish(body)
        let library = library
        return try await call.create("experiment.start", body: digest, in: database) { transaction in
            _ = try transaction.project(project)
            let new = try wish.checked(in: project, library, requestID: call.id, transaction)
            let id = try transaction.startExperiment(new) { try ExperimentDecision.next($0, library) }
            let shown = Shown(experiment: try transaction.experiment(id), trials: try transaction.trials(of: id))
            return Created(object: "experiment \(id)", location: "/v1/experiments/\(id)", output: Self.view.output(shown))
        }
    }

    func cancel(_ call: Call) async throws -> Response {
        let id: ExperimentID = try call.identifier("experiment", of: "experiment")
        let audit = try call.audit("experiment.cancel")
        try await database.transaction(as: call.role) { transaction in
            try transaction.requestCancel(of: id)
            try transaction.record(audit, of: "experiment \(id)")
        }
        try await database.transaction(as: call.role) { try $0.finishCancelling(id) }
        return .json(Self.view.output(try await shown(id, call)), status: .accepted)
    }

    func delete(_ call: Call) async throws -> Response {
        let id: ExperimentID = try call.identifier("experiment", of: "experiment")
        return try await call.remove("experiment.delete", "experiment \(id)", in: database) { try $0.deleteExperiment(id) }
    }
}

/// What a client asked to be trained.
private struct ExperimentWish: Sendable {
    let name: String?
    let dataset: String
    let version: Int?
    let objective: String?
    let preset: Preset
    let budgetSeconds: Double?
    let budgetTrials: Int?
    let target: String?
    let template: JSON?
    let base: JSON?
    let seed: Int

    init(_ body: JSON) throws {
        name = body["name"]?.stringValue
        dataset = body["dataset"]?.stringValue ?? ""
        version = body["version"]?.intValue
        objective = body["objective"]?.stringValue
        preset = body["preset"]?.stringValue.flatMap(Preset.init) ?? .balanced
        let trials = body["budget"]?["trials"]?.intValue
        budgetTrials = trials
        budgetSeconds = body["budget"]?["seconds"]?.doubleValue ?? (trials == nil ? Self.seconds(preset) : nil)
        target = body["target"]?.stringValue
        template = body["template"]
        base = body["base"]
        seed = body["seed"]?.intValue ?? 0
    }

    private static func seconds(_ preset: Preset) -> Double {
        switch preset {
        case .fast: 60
        case .balanced: 300
        case .best: 1800
        }
    }

    /// - Errors: `Problem` 422, which names the member at fault or says with a `train-` code why the data can't be learned from.
    func checked(in project: ProjectID, _ library: TemplateLibrary, requestID: String, _ transaction: Transaction) throws -> NewExperiment {
        let dataset = try namedDataset(transaction)
        let version = try readyVersion(of: dataset, transaction)
        guard let stored = version.profile else { throw Problem.invalidBody("/version", "version-not-ready", "the version has no profile") }
        var profile = try JSONDecoder().decode(DatasetProfile.self, from: Data(stored.text.utf8))
        let task = dataset.task
        if target != nil, !task.items.hasTarget {
            throw Problem.invalidBody("/target", "member-unknown", "a data set of \(task.rawValue) has no target column")
        }
        let targeted = try Preflight.retargeted(profile, to: target, for: task)
        if task.isClassification, let name = targeted.target, name != profile.target, targeted.classes.isEmpty {
            // The column has more values than its profile lists.
            profile = targeted
            profile.classes = try transaction.classCounts(
                ofColumn: name, version: version.number, of: dataset.id, limit: ImportLimits().classes + 1)
        } else {
            profile = targeted
        }
        try Preflight.check(task, profile)
        let objective = try self.objective.map { try Objective(named: $0, for: task) } ?? .initial(for: task)
        let base = try base.map { try self.base($0, in: project, task, profile, transaction) }
        let own = try template.map { try library.template(chosenBy: $0, for: task, hasBase: base != nil) }
        let choice = try TemplateChoice(for: task, profile, from: library, own: own, hasBase: base != nil)
        let isKnown = own.map { own in library.template(named: own.name) == own } ?? false
        return NewExperiment(
            project: project, name: name ?? dataset.name, dataset: dataset.id, version: version.number, task: task,
            objective: objective.rawValue, preset: preset, target: target, template: own.map { isKnown ? $0.name : $0.source },
            base: base, seed: UInt64(seed), budgetSeconds: budgetSeconds, budgetTrials: budgetTrials, considered: choice.considered,
            requestID: requestID)
    }

    /// The imported version that is to be trained further; one of another project is as unknown as one that isn't there.
    private func base(_ body: JSON, in project: ProjectID, _ task: LearningTask, _ profile: DatasetProfile, _ transaction: Transaction) throws -> BaseChoice {
        func fault(_ code: String, _ detail: String) -> Problem { .invalidBody("/base/model_version", code, detail) }
        let version: ModelVersionRecord
        do {
            guard let id = body["model_version"]?.stringValue.flatMap(ModelVersionID.init) else { throw StoreError.notFound("model version") }
            version = try transaction.modelVersion(id)
            guard try transaction.model(version.model).project == project else { throw StoreError.notFound("model version") }
        } catch is StoreError {
            throw fault("model-version-unknown", "the project has no model version of this id")
        }
        guard version.experiment == nil else { throw fault("model-version-trained", "the model was trained here; only imported ones are trained further") }
        switch version.status {
        case .ready: break
        case .importing: throw Problem.conflict("version-importing", "the model is still being imported")
        case .failed: throw fault("model-version-not-ready", "the model couldn't be imported")
        }
        let lineage = try JSONReader.read(Array(version.lineage.text.utf8))
        let fact = lineage["import"]?["facts"]?[FineTuning.fact]
        guard let found = try fact.map({ try JSONDecoder().decode(FineTuning.self, from: JSONEncoder().encode($0)) }), !found.isOutdated else {
            throw fault("model-version-older", "the model was imported before models like it could be trained further: import it again")
        }
        let columns: [String]? = if case .array(let names)? = body["columns"] { names.compactMap(\.stringValue) } else { nil }
        return try found.choice(
            version.id, head: body["head"]?.stringValue.flatMap(BaseChoice.Head.init) ?? .new, isFrozen: body["frozen"] == true,
            scaling: body["scaling"]?.stringValue.flatMap(BaseChoice.Scaling.init), columns: columns, task: task, profile: profile)
    }

    private func namedDataset(_ transaction: Transaction) throws -> DatasetRecord {
        do {
            guard let id = DatasetID(dataset) else { throw StoreError.notFound("data set") }
            return try transaction.dataset(id)
        } catch is StoreError {
            throw Problem.invalidBody("/dataset", "dataset-unknown", "there is no data set of this id")
        }
    }

    private func readyVersion(of dataset: DatasetRecord, _ transaction: Transaction) throws -> DatasetVersionRecord {
        guard let number = version ?? dataset.latestVersion else {
            throw Problem.invalidBody("/dataset", "dataset-not-ready", "the data set has no version that is ready")
        }
        do {
            let record = try transaction.datasetVersion(number, of: dataset.id)
            switch record.status {
            case .ready: return record
            case .importing: throw Problem.conflict("version-importing", "the version is still being imported")
            case .failed: throw Problem.invalidBody("/version", "version-failed", "the version's import has failed; it holds no items")
            }
        } catch is StoreError {
            throw Problem.invalidBody("/version", "version-unknown", "the data set has no version \(number)")
        }
    }
}
