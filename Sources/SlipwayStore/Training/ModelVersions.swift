package import SlipwayDomain
package import SlipwayPostgres

/// A file of a model version, staged.
package struct NewModelFile: Sendable {
    package let name: String
    package let digest: Digest
    package let bytes: Int

    package init(name: String, digest: Digest, bytes: Int) {
        self.name = name
        self.digest = digest
        self.bytes = bytes
    }
}

/// Where a model comes from: the API's lineage.
package struct Lineage: Codable, Sendable {
    package struct Part: Codable, Sendable {
        package var trial: TrialID
        package var number: Int
        package var template: String
        /// The template's YAML.
        package var source: String
        package var hyperparameters: [String: SlipwayDomain.JSON]
        package var seed: UInt64
        package var score: Double?
    }

    package var dataset: DatasetID
    package var datasetName: String
    package var version: Int
    package var task: LearningTask
    package var objective: String
    package var target: String?
    package var experiment: ExperimentID
    /// The imported model that it goes on from.
    package var base: BaseChoice?
    /// Of the best of the trials below.
    package var template: String?
    package var hyperparameters: [String: SlipwayDomain.JSON]?
    /// The experiment's: the trials' follow from it.
    package var seed: Int64
    /// The trials that the model is made of, best first.
    package var trials: [Part]
    package var split: String
    package var threads: Int
    /// What trained it: name, version and SHA-256 of the executable.
    package var binary: String

    enum CodingKeys: String, CodingKey {
        case dataset, version, task, objective, target, experiment, base, template, hyperparameters, seed, trials, split, threads, binary
        case datasetName = "dataset_name"
    }
}

extension Transaction {
    /// An evaluation has ended: one transaction makes the model version and ends the experiment. Returns the model version and
    /// the blobs that lost a reference. As the experiment's organisation; the job has been ended in this transaction already.
    ///
    /// - Errors: `ExperimentEnded`.
    package func record(
        _ result: EvaluationResult, files: [NewModelFile], of work: EvaluationWork, _ task: TrainingTask, seconds: Double,
        threads: Int, binary: String, place: () throws -> Void
    ) throws -> (version: ModelVersionID, released: [Digest]) {
        let current = try lock(work.experiment)
        guard !current.status.isFinal, !current.cancelRequested else { throw ExperimentEnded() }
        try publish(files.map { ($0.digest, $0.bytes) }, place: place)

        let parts = result.trials.compactMap { id in task.candidates.first { $0.trial == id } }
        let metrics = result.metrics.filter(\.value.isFinite)
        let lineage = Lineage(
            dataset: task.data.dataset, datasetName: task.datasetName, version: task.data.version, task: task.task,
            objective: task.objective, target: task.data.profile.target, experiment: work.experiment,
            base: task.base?.choice, template: parts.first?.recipe.template, hyperparameters: parts.first?.recipe.hyperparameters, seed: task.seed,
            trials: parts.map {
                Lineage.Part(
                    trial: $0.trial, number: $0.number, template: $0.recipe.template, source: $0.recipe.source,
                    hyperparameters: $0.recipe.hyperparameters, seed: $0.recipe.seed, score: $0.score)
            },
            split: "of each class (of all rows, for regression) the \(Int(Split.testShare * 100)) % with the smallest content "
                + "hashes are held out",
            threads: threads, binary: binary)
        let (model, number) = try nextNumber(of: task, in: current)
        let version: ModelVersionID = try queryOne(
            """
            INSERT INTO model_version (organisation_id, model_id, number, experiment_id, task, classes, inputs, metrics, lineage)
            VALUES (\(current.organisation), \(model), \(number), \(work.experiment), \(task.task), \(json: result.classes),
                    \(json: result.inputs), \(json: metrics), \(json: lineage))
            RETURNING id
            """,
            decode: { try $0["id"] })
        try execute(
            """
            INSERT INTO model_file (model_version_id, name, organisation_id, blob, bytes)
            SELECT \(version), name, \(current.organisation), blob, bytes
            FROM unnest(\(files.map(\.name))::text[], \(files.map(\.digest))::bytea[], \(files.map(\.bytes))::bigint[])
                AS file(name, blob, bytes)
            """)

        let released: [Digest] = try query(
            "SELECT blob FROM checkpoint JOIN trial ON trial.id = trial_id WHERE experiment_id = \(work.experiment)",
            decode: { try $0["blob"] })
        try execute("UPDATE trial SET status = 'succeeded' WHERE id = ANY (\(result.trials)::uuid[])")
        try endTrials(of: work.experiment, as: .cancelled)
        try execute(
            """
            UPDATE experiment SET status = 'succeeded', progress = 1, finished_at = now(), metrics = \(json: metrics),
                best_trial = \(parts.first?.trial), chosen = \(json: Self.chosen(parts, task, work.why)), model_version_id = \(version),
                spent_seconds = spent_seconds + \(seconds)
            WHERE id = \(work.experiment)
            """)
        try record([.progress(1, message: nil), .status(.succeeded, modelVersion: version)], in: work.experiment)
        return (version, released)
    }

    /// The next version of the model that has the experiment's name; one of another task keeps its name to itself.
    private func nextNumber(of task: TrainingTask, in experiment: LockedExperiment) throws -> (ModelID, Int) {
        for name in [task.name, "\(task.name) (\(task.task.rawValue))"] {
            let found: (ModelID, Int)? = try queryFirst(
                """
                INSERT INTO model (organisation_id, project_id, name, task, next_version)
                VALUES (\(experiment.organisation), \(experiment.project), \(name), \(task.task), 2)
                ON CONFLICT (project_id, name) DO UPDATE SET next_version = model.next_version + 1
                    WHERE model.task = \(task.task)
                RETURNING id, next_version - 1 AS number
                """,
                decode: { (try $0["id"], try $0["number"]) })
            if let found { return found }
        }
        throw StoreError.nameTaken("model", name: task.name)
    }

    /// What the experiment chose in the end, in plain words.
    private static func chosen(_ parts: [TrainingTask.Candidate], _ task: TrainingTask, _ why: String?) -> ChosenTemplate? {
        guard let best = parts.first else { return task.chosen }
        let guess = task.considered.first { $0.template == best.recipe.template }?.why
        let result = parts.count > 1
            ? "a mix of the \(parts.count) best trials, led by this template, did best on the validation items"
            : "its trial \(best.number) did best on the validation items"
        let end = why.map { "the search ended because \($0)" }
        return ChosenTemplate(template: best.recipe.template, why: [guess, result, end].compactMap(\.self).joined(separator: "; "))
    }
}
