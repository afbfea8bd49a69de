package import SlipwayDomain
package import SlipwayPostgres

/// What a worker needs to know to train a rung, or to evaluate.
package struct TrainingTask: Sendable {
    package struct Candidate: Sendable {
        package let trial: TrialID
        package let number: Int
        package let recipe: TrialRecipe
        package let score: Double?
        /// Newest first.
        package let checkpoints: [Digest]
    }

    /// The imported model that it goes on from, with its files.
    package struct Base: Sendable {
        package let choice: BaseChoice
        package let files: [(name: String, blob: Digest)]
    }

    package let project: ProjectID
    package let projectName: String
    package let name: String
    package let task: LearningTask
    package let objective: String
    package let seed: Int64
    package let data: LabelledVersion
    package let datasetName: String
    package let base: Base?
    package let chosen: ChosenTemplate?
    package let considered: [ConsideredTemplate]
    package let budgetSeconds: Double?
    package let budgetTrials: Int?
    package let spentSeconds: Double
    package let finishedTrials: Int
    /// In the order that was asked for.
    package let candidates: [Candidate]
}

/// The experiment has ended, or is to end, while an attempt for it was under way.
package struct ExperimentEnded: Error, Hashable {}

/// As the experiment's organisation, in fenced transactions.
extension Transaction {
    /// - Errors: `ExperimentEnded`, `StoreError.notFound`.
    package func trainingTask(of experiment: ExperimentID, trials: [TrialID]) throws -> TrainingTask {
        struct Columns {
            var project: ProjectID, projectName: String, name: String, task: LearningTask, objective: String, seed: Int64,
                dataset: DatasetID
            var datasetName: String, version: Int, target: String?, base: BaseChoice?, chosen: ChosenTemplate?, considered: [ConsideredTemplate]
            var budgetSeconds: Double?, budgetTrials: Int?, spentSeconds: Double, finishedTrials: Int
        }
        let found = try queryFirst(
            """
            SELECT experiment.project_id, project.name AS project_name, experiment.name, experiment.task, objective, seed, dataset_id,
                dataset.name AS dataset_name, version, target, base, chosen, considered, budget_seconds, budget_trials, spent_seconds,
                (SELECT count(*) FROM trial WHERE experiment_id = experiment.id
                     AND trial.status NOT IN ('queued', 'running')) AS finished_trials
            FROM experiment JOIN project ON project.id = experiment.project_id JOIN dataset ON dataset.id = dataset_id
            WHERE experiment.id = \(experiment) AND status IN ('queued', 'running') AND NOT cancel_requested
            """,
            decode: {
                Columns(
                    project: try $0["project_id"], projectName: try $0["project_name"], name: try $0["name"], task: try $0["task"],
                    objective: try $0["objective"], seed: try $0["seed"], dataset: try $0["dataset_id"],
                    datasetName: try $0["dataset_name"],
                    version: try $0["version"], target: try $0["target"], base: try $0.json("base"), chosen: try $0.json("chosen"),
                    considered: try $0.json("considered"), budgetSeconds: try $0["budget_seconds"],
                    budgetTrials: try $0["budget_trials"], spentSeconds: try $0["spent_seconds"],
                    finishedTrials: try $0["finished_trials"])
            })
        guard let columns = found else { throw ExperimentEnded() }
        let candidates: [TrainingTask.Candidate] = try query(
            """
            SELECT trial.id, number, template, source, hyperparameters, seed, score,
                ARRAY(SELECT blob FROM checkpoint WHERE trial_id = trial.id ORDER BY sequence DESC) AS checkpoints
            FROM unnest(\(trials)::uuid[]) WITH ORDINALITY AS asked(id, place) JOIN trial ON trial.id = asked.id
            WHERE trial.experiment_id = \(experiment) ORDER BY asked.place
            """,
            decode: {
                TrainingTask.Candidate(
                    trial: try $0["id"], number: try $0["number"], recipe: try TrialRecipe($0), score: try $0["score"],
                    checkpoints: try $0["checkpoints"])
            })
        guard candidates.count == trials.count else { throw StoreError.notFound("trial") }
        return TrainingTask(
            project: columns.project, projectName: columns.projectName, name: columns.name, task: columns.task,
            objective: columns.objective, seed: columns.seed,
            data: try labelledVersion(columns.version, of: columns.dataset, target: columns.target, task: columns.task),
            datasetName: columns.datasetName, base: try columns.base.map(base), chosen: columns.chosen, considered: columns.considered,
            budgetSeconds: columns.budgetSeconds, budgetTrials: columns.budgetTrials, spentSeconds: columns.spentSeconds,
            finishedTrials: columns.finishedTrials, candidates: candidates)
    }

    private func base(_ choice: BaseChoice) throws -> TrainingTask.Base {
        let files: [(name: String, blob: Digest)] = try query(
            "SELECT name, blob FROM model_file WHERE model_version_id = \(choice.modelVersion) ORDER BY name",
            decode: { (try $0["name"], try $0["blob"]) })
        guard !files.isEmpty else {
            throw Problem(422, "train-base-gone", title: "The model that was to be trained further is gone", detail: "its version was deleted meanwhile")
        }
        return TrainingTask.Base(choice: choice, files: files)
    }

    /// A trainer starts: the experiment runs, and so does the trial, if it is for one.
    ///
    /// - Errors: `ExperimentEnded`.
    package func begin(_ experiment: ExperimentID, trial: TrialID?) throws {
        try requireRunning(experiment)
        let isFirst = try execute(
            """
            UPDATE experiment SET status = 'running', started_at = coalesce(started_at, now())
            WHERE id = \(experiment) AND status = 'queued'
            """) == 1
        if isFirst { try record([.status(.running)], in: experiment) }
        guard let trial else { return }
        let started: (Int, String)? = try queryFirst(
            "UPDATE trial SET status = 'running' WHERE id = \(trial) AND status = 'queued' RETURNING number, template",
            decode: { (try $0["number"], try $0["template"]) })
        if let (number, template) = started {
            try record([.trial(trial, number: number, template: template, .running)], in: experiment)
        }
    }

    /// Takes the experiment's row, so that what follows is in its order.
    ///
    /// - Errors: `ExperimentEnded`.
    package func requireRunning(_ experiment: ExperimentID) throws {
        let isRunning = try execute(
            "SELECT FROM experiment WHERE id = \(experiment) AND status IN ('queued', 'running') AND NOT cancel_requested FOR UPDATE")
        guard isRunning == 1 else { throw ExperimentEnded() }
    }

    /// What a trainer has told since the last time.
    ///
    /// - Errors: `ExperimentEnded`.
    package func record(_ events: [ExperimentEvent], progress: Double?, in experiment: ExperimentID) throws {
        try requireRunning(experiment)
        if let progress {
            try execute("UPDATE experiment SET progress = greatest(progress, least(\(progress)::real, 1)) WHERE id = \(experiment)")
        }
        try record(events, in: experiment)
    }

    /// A checkpoint becomes the trial's newest; the newest two are kept. Returns the blobs of those that went.
    ///
    /// - Errors: `ExperimentEnded`.
    package func record(
        checkpoint: Digest, bytes: Int, resource: Double, of work: RungWork, place: () throws -> Void
    ) throws -> [Digest] {
        try requireRunning(work.experiment)
        try publish(checkpoint, bytes: bytes, place: place)
        let sequence: Int = try queryOne(
            """
            INSERT INTO checkpoint (trial_id, sequence, organisation_id, rung, resource, blob)
            SELECT trial.id, coalesce(max(checkpoint.sequence), 0) + 1, trial.organisation_id, \(work.rung), \(resource), \(checkpoint)
            FROM trial LEFT JOIN checkpoint ON checkpoint.trial_id = trial.id WHERE trial.id = \(work.trial)
            GROUP BY trial.id RETURNING sequence
            """,
            decode: { try $0["sequence"] })
        return try query(
            "DELETE FROM checkpoint WHERE trial_id = \(work.trial) AND sequence <= \(sequence - 2) RETURNING blob",
            decode: { try $0["blob"] })
    }

    /// A rung has ended: its result is the trial's, its time is the experiment's, and the experiment goes on. The job has been
    /// ended in this transaction already.
    package func record(_ result: RungResult, of work: RungWork, seconds: Double, decide: Decide) throws {
        _ = try lock(work.experiment)
        let status: TrialStatus = result.finished ? .succeeded : .paused
        let metrics = result.metrics.filter(\.value.isFinite)
        // A score that isn't a number loses against every other.
        let score = result.score.isFinite ? result.score : -Double.greatestFiniteMagnitude
        let trial: (Int, String)? = try queryFirst(
            """
            UPDATE trial SET status = \(status), rung = \(work.rung), resource = \(result.resource), finished = \(result.finished),
                score = \(score), metrics = \(json: metrics), seconds = seconds + \(seconds)
            WHERE id = \(work.trial) AND status IN ('queued', 'running') RETURNING number, template
            """,
            decode: { (try $0["number"], try $0["template"]) })
        guard let (number, template) = trial else { return }
        try spend(seconds, in: work.experiment)
        try record([.trial(work.trial, number: number, template: template, status, score: score)], in: work.experiment)
        try advance(work.experiment, decide: decide)
    }

    /// A trial can't go on, but others may: the decision says.
    package func fail(_ work: RungWork, with problem: Problem, seconds: Double, decide: Decide) throws {
        _ = try lock(work.experiment)
        let trial: (Int, String)? = try queryFirst(
            """
            UPDATE trial SET status = 'failed', problem = \(json: problem), seconds = seconds + \(seconds)
            WHERE id = \(work.trial) AND status IN ('queued', 'running') RETURNING number, template
            """,
            decode: { (try $0["number"], try $0["template"]) })
        guard let (number, template) = trial else { return }
        try spend(seconds, in: work.experiment)
        try record([.trial(work.trial, number: number, template: template, .failed, problem: problem)], in: work.experiment)
        try advance(work.experiment, decide: decide)
    }

    /// A rung's attempt was cancelled with its job.
    package func cancel(_ work: RungWork, decide: Decide) throws {
        _ = try lock(work.experiment)
        try execute("UPDATE trial SET status = 'cancelled' WHERE id = \(work.trial) AND status IN ('queued', 'running')")
        try advance(work.experiment, decide: decide)
    }

    /// An evaluation's attempt was cancelled with its job.
    package func cancelEvaluation(of experiment: ExperimentID) throws {
        let current = try lock(experiment)
        guard !current.status.isFinal else { return }
        guard current.cancelRequested else {
            let problem = Problem(
                409, "evaluation-cancelled", title: "The evaluation was cancelled", detail: "the job that evaluates was cancelled")
            return try fail(experiment, with: problem)
        }
        try settleCancelled(experiment)
    }

    /// The attempt is given back or will be repeated: the trial waits again.
    package func requeue(_ work: RungWork) throws {
        try execute("UPDATE trial SET status = 'queued' WHERE id = \(work.trial) AND status = 'running'")
    }

    private func spend(_ seconds: Double, in experiment: ExperimentID) throws {
        try execute("UPDATE experiment SET spent_seconds = spent_seconds + \(seconds) WHERE id = \(experiment)")
    }
}
