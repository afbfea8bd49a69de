package import SlipwayDomain
package import SlipwayPostgres

// How an experiment goes on. Nobody controls it: whoever records a finished rung asks the decision what comes next and
// writes that in the same transaction, under the experiment's row lock.

/// As the experiment's organisation.
extension Transaction {
    /// Decides what comes next and makes it so. A cancelled experiment ends once nothing of it runs; a finished one stays.
    package func advance(_ experiment: ExperimentID, decide: Decide) throws {
        let current = try lock(experiment)
        guard !current.status.isFinal else { return }
        guard !current.cancelRequested else { return try settleCancelled(experiment) }
        let steps: [ExperimentStep]
        do {
            steps = try decide(current.state)
        } catch let problem as Problem {
            steps = [.fail(problem)]
        }
        var trials = current.state.trials
        for step in steps { try apply(step, to: current, &trials) }
        // A decision that leaves nothing to wait for would leave the experiment running for ever.
        let ends = steps.contains { if case .fail = $0 { true } else { false } }
        if !ends, try !hasLiveJobs(current) {
            try fail(
                experiment,
                with: Problem(
                    500, "experiment-stuck", title: "The experiment can't go on",
                    detail: "no rung is left to wait for, and none was planned"))
        }
    }

    private func apply(
        _ step: ExperimentStep, to experiment: LockedExperiment, _ trials: inout [ExperimentState.Trial]
    ) throws {
        switch step {
        case .startTrial(let recipe, let untilResource, let seconds):
            let number = (trials.map(\.number).max() ?? 0) + 1
            let trial: TrialID = try queryOne(
                """
                INSERT INTO trial (organisation_id, experiment_id, number, template, source, hyperparameters, seed)
                VALUES (\(experiment.organisation), \(experiment.id), \(number), \(recipe.template), \(recipe.source),
                        \(json: recipe.hyperparameters), \(Int64(bitPattern: recipe.seed)))
                RETURNING id
                """,
                decode: { try $0["id"] })
            trials.append(
                ExperimentState.Trial(
                    id: trial, number: number, recipe: recipe, status: .queued, rung: 0, resource: 0, finished: false, score: nil,
                    seconds: 0))
            try record([.trial(trial, number: number, template: recipe.template, .queued)], in: experiment.id)
            try enqueueRung(0, of: trial, experiment, untilResource, seconds)
        case .continueTrial(let id, let untilResource, let seconds):
            let rung: Int = try queryOne(
                "UPDATE trial SET status = 'queued', rung = rung + 1 WHERE id = \(id) RETURNING rung", decode: { try $0["rung"] })
            try enqueueRung(rung, of: id, experiment, untilResource, seconds)
        case .stopTrial(let id):
            try execute("UPDATE trial SET status = 'stopped' WHERE id = \(id)")
            if let trial = trials.first(where: { $0.id == id }) {
                let event = ExperimentEvent.trial(
                    id, number: trial.number, template: trial.recipe.template, .stopped, score: trial.score)
                try record([event], in: experiment.id)
            }
        case .evaluate(let ids, let seconds, let why):
            try record([.log(level: "info", message: "The search ends: \(why).", trial: nil)], in: experiment.id)
            // Before any waiting rung: the end of an experiment is what its budget is kept for.
            try enqueue(
                .evaluate(EvaluationWork(experiment: experiment.id, trials: ids, seconds: seconds, why: why)),
                organisation: experiment.organisation, project: experiment.project, priority: 1, requestID: experiment.requestID)
        case .fail(let problem):
            try fail(experiment.id, with: try explained(problem, by: experiment.id))
        }
    }

    /// Why no trial reached a result: what the first of them failed with, and whose fault that was.
    private func explained(_ problem: Problem, by experiment: ExperimentID) throws -> Problem {
        let found: (number: Int, template: String, problem: Problem?)? = try queryFirst(
            """
            SELECT number, template, problem FROM trial WHERE experiment_id = \(experiment) AND problem IS NOT NULL
            ORDER BY number LIMIT 1
            """,
            decode: { (try $0["number"], try $0["template"], try $0.json("problem")) })
        guard let found, let cause = found.problem else { return problem }
        var problem = problem
        problem.status = cause.status
        problem.detail += "; trial \(found.number) (\(found.template)) failed: \(cause.detail)"
        problem.errors += [.init(code: cause.code, detail: cause.detail)] + cause.errors
        return problem
    }

    private func enqueueRung(
        _ rung: Int, of trial: TrialID, _ experiment: LockedExperiment, _ untilResource: Double?, _ seconds: Double?
    ) throws {
        let work = RungWork(
            experiment: experiment.id, trial: trial, rung: rung, untilResource: untilResource, seconds: seconds)
        try enqueue(
            .trainRung(work), organisation: experiment.organisation, project: experiment.project, requestID: experiment.requestID)
    }

    // MARK: The end

    /// Ends an experiment without a model. Rungs that still wait are cancelled, those that run are stopped.
    package func fail(_ experiment: ExperimentID, with problem: Problem) throws {
        let changed = try execute(
            """
            UPDATE experiment SET status = 'failed', problem = \(json: problem), finished_at = now()
            WHERE id = \(experiment) AND status IN ('queued', 'running')
            """)
        guard changed == 1 else { return }
        // This transaction has the experiment's row, and an attempt that is just writing waits for it with its job's row:
        // that one is skipped, and learns of the end from the row it waits for.
        try cancelJobs(of: experiment, orSkip: true)
        try endTrials(of: experiment, as: .cancelled)
        try record([.status(.failed, problem: problem)], in: experiment)
    }

    /// Trials that aren't finished get their last status, and the checkpoints go.
    func endTrials(of experiment: ExperimentID, as status: TrialStatus) throws {
        try execute(all: [
            """
            UPDATE trial SET status = CASE WHEN status = 'paused' THEN 'stopped' ELSE \(status)::trial_status END
            WHERE experiment_id = \(experiment) AND status IN ('queued', 'running', 'paused')
            """,
            "DELETE FROM checkpoint USING trial WHERE trial_id = trial.id AND trial.experiment_id = \(experiment)",
        ])
    }

    /// Cancels an experiment's queued jobs and asks the workers of running ones to stop.
    func cancelJobs(of experiment: ExperimentID, orSkip skipsLocked: Bool = false) throws {
        let jobs: [(JobID, JobState)] = try query(
            """
            SELECT job.id, job.state FROM experiment JOIN job USING (project_id)
            WHERE experiment.id = \(experiment) AND job.finished_at IS NULL AND NOT job.cancel_requested
                AND job.payload ->> 'experiment' = \(experiment)::text
            ORDER BY job.id FOR UPDATE OF job \(sql: skipsLocked ? "SKIP LOCKED" : "")
            """,
            decode: { (try $0["id"], try $0["state"]) })
        for (job, _) in jobs { _ = try cancel(job) }
    }

    /// Asks for an experiment's end. Its own transaction, before `finishCancelling`: from its commit on, no decision makes
    /// new jobs.
    ///
    /// - Errors: `StoreError.notFound`, `StoreError.alreadyFinished`.
    package func requestCancel(of experiment: ExperimentID) throws {
        let changed = try execute(
            "UPDATE experiment SET cancel_requested = true WHERE id = \(experiment) AND status IN ('queued', 'running')")
        guard changed == 0 else { return }
        guard try execute("SELECT FROM experiment WHERE id = \(experiment)") == 1 else { throw StoreError.notFound("experiment") }
        throw StoreError.alreadyFinished("experiment")
    }

    /// The second transaction of a cancellation: queued jobs end at once, running ones are told, and an experiment of which
    /// nothing runs is cancelled. Jobs are locked before the experiment, as the attempts do.
    package func finishCancelling(_ experiment: ExperimentID) throws {
        try cancelJobs(of: experiment)
        try settleCancelled(experiment)
    }

    /// Experiments whose cancellation was asked for and not finished: the process that did may have been killed. As the system.
    package func unsettledCancellations() throws -> [(experiment: ExperimentID, organisation: OrganisationID)] {
        try query(
            "SELECT id, organisation_id FROM experiment WHERE cancel_requested AND finished_at IS NULL",
            decode: { (try $0["id"], try $0["organisation_id"]) })
    }

    /// Ends an experiment whose cancellation was asked for, unless something of it still runs.
    func settleCancelled(_ experiment: ExperimentID) throws {
        let current = try lock(experiment)
        guard current.cancelRequested, !current.status.isFinal, try !hasLiveJobs(current) else { return }
        try execute("UPDATE experiment SET status = 'cancelled', finished_at = now() WHERE id = \(experiment)")
        try endTrials(of: experiment, as: .cancelled)
        try record([.status(.cancelled)], in: experiment)
    }

    private func hasLiveJobs(_ experiment: LockedExperiment) throws -> Bool {
        try execute(
            """
            SELECT FROM job WHERE project_id = \(experiment.project) AND finished_at IS NULL
                AND payload ->> 'experiment' = \(experiment.id)::text LIMIT 1
            """) == 1
    }

    // MARK: The state

    struct LockedExperiment {
        let id: ExperimentID
        let organisation: OrganisationID
        let project: ProjectID
        let status: ExperimentStatus
        let cancelRequested: Bool
        let requestID: String
        let state: ExperimentState
    }

    /// The experiment as it is now, and stays until the end of the transaction.
    func lock(_ id: ExperimentID) throws -> LockedExperiment {
        struct Columns {
            var organisation: OrganisationID, project: ProjectID, dataset: DatasetID, version: Int, task: LearningTask
            var objective: String, preset: Preset, target: String?, template: SlipwayDomain.JSON?, seed: Int64
            var budgetSeconds: Double?, budgetTrials: Int?, status: ExperimentStatus, cancelRequested: Bool
            var considered: [ConsideredTemplate], spentSeconds: Double, requestID: String
        }
        let found = try queryFirst(
            """
            SELECT organisation_id, project_id, dataset_id, version, task, objective, preset, target, template, seed,
                budget_seconds, budget_trials, status, cancel_requested, considered, spent_seconds, request_id
            FROM experiment WHERE id = \(id) FOR UPDATE
            """,
            decode: {
                Columns(
                    organisation: try $0["organisation_id"], project: try $0["project_id"], dataset: try $0["dataset_id"],
                    version: try $0["version"], task: try $0["task"], objective: try $0["objective"], preset: try $0["preset"],
                    target: try $0["target"], template: try $0.json("template"), seed: try $0["seed"],
                    budgetSeconds: try $0["budget_seconds"], budgetTrials: try $0["budget_trials"], status: try $0["status"],
                    cancelRequested: try $0["cancel_requested"], considered: try $0.json("considered"),
                    spentSeconds: try $0["spent_seconds"], requestID: try $0["request_id"])
            })
        guard let columns = found else { throw StoreError.notFound("experiment") }
        let trials = try query(
            """
            SELECT id, number, template, source, hyperparameters, seed, status, rung, resource, finished, score, seconds
            FROM trial WHERE experiment_id = \(id) ORDER BY number
            """,
            decode: {
                ExperimentState.Trial(
                    id: try $0["id"], number: try $0["number"], recipe: try TrialRecipe($0), status: try $0["status"],
                    rung: try $0["rung"], resource: try $0["resource"], finished: try $0["finished"], score: try $0["score"],
                    seconds: try $0["seconds"])
            })
        let labelled = try labelledVersion(columns.version, of: columns.dataset, target: columns.target, task: columns.task)
        return LockedExperiment(
            id: id, organisation: columns.organisation, project: columns.project, status: columns.status,
            cancelRequested: columns.cancelRequested, requestID: columns.requestID,
            state: ExperimentState(
                task: columns.task, objective: columns.objective, preset: columns.preset, seed: UInt64(bitPattern: columns.seed),
                budgetSeconds: columns.budgetSeconds, budgetTrials: columns.budgetTrials, spentSeconds: columns.spentSeconds,
                // Rungs of one experiment run one after the other, so that the seconds of its budget are those of a clock.
                parallelism: 1, profile: labelled.profile,
                ranking: columns.considered.filter(\.fits).map(\.template), ownTemplate: Self.ownTemplate(columns.template),
                trials: trials))
    }

    /// The YAML of a template that came with the experiment; a mere name is in the ranking already.
    private static func ownTemplate(_ choice: SlipwayDomain.JSON?) -> String? {
        guard let text = choice?.stringValue, text.contains("\n") || text.contains(":") else { return nil }
        return text
    }
}

extension TrialRecipe {
    init(_ row: Row) throws {
        let seed: Int64 = try row["seed"]
        self.init(
            template: try row["template"], source: try row["source"], hyperparameters: try row.json("hyperparameters"),
            seed: UInt64(bitPattern: seed))
    }
}
