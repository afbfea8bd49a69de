package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct ExperimentRecord: Sendable {
    package let id: ExperimentID
    package let project: ProjectID
    package let name: String
    package let dataset: DatasetID
    package let version: Int
    package let task: LearningTask
    package let objective: String
    package let preset: Preset
    package let target: String?
    package let base: RawJSON?
    package let seed: Int64
    package let budgetSeconds: Double?
    package let budgetTrials: Int?
    package let status: ExperimentStatus
    package let progress: Double
    package let chosen: RawJSON?
    package let considered: RawJSON
    package let bestTrial: TrialID?
    package let metrics: RawJSON?
    package let modelVersion: ModelVersionID?
    package let problem: RawJSON?
    package let requestID: String
    package let createdAt: Date
    package let startedAt: Date?
    package let finishedAt: Date?

    init(_ row: Row) throws {
        id = try row["id"]
        project = try row["project_id"]
        name = try row["name"]
        dataset = try row["dataset_id"]
        version = try row["version"]
        task = try row["task"]
        objective = try row["objective"]
        preset = try row["preset"]
        target = try row["target"]
        base = try row["base"]
        seed = try row["seed"]
        budgetSeconds = try row["budget_seconds"]
        budgetTrials = try row["budget_trials"]
        status = try row["status"]
        progress = try row["progress"]
        chosen = try row["chosen"]
        considered = try row["considered"]
        bestTrial = try row["best_trial"]
        metrics = try row["metrics"]
        modelVersion = try row["model_version_id"]
        problem = try row["problem"]
        requestID = try row["request_id"]
        createdAt = try row["created_at"]
        startedAt = try row["started_at"]
        finishedAt = try row["finished_at"]
    }

    static let columns: SQL = """
        id, project_id, name, dataset_id, version, task, objective, preset, target, base, seed, budget_seconds, budget_trials, status,
        progress, chosen, considered, best_trial, metrics, model_version_id, problem, request_id, created_at, started_at, finished_at
        """
}

package struct TrialRecord: Sendable {
    package let id: TrialID
    package let number: Int
    package let template: String
    package let status: TrialStatus
    package let hyperparameters: RawJSON
    package let metrics: RawJSON
    package let score: Double?
    package let seconds: Double
    package let problem: RawJSON?

    init(_ row: Row) throws {
        id = try row["id"]
        number = try row["number"]
        template = try row["template"]
        status = try row["status"]
        hyperparameters = try row["hyperparameters"]
        metrics = try row["metrics"]
        score = try row["score"]
        seconds = try row["seconds"]
        problem = try row["problem"]
    }
}

package struct ExperimentEventRecord: Sendable {
    package let sequence: Int64
    package let kind: String
    package let data: RawJSON

    init(_ row: Row) throws {
        sequence = try row["sequence"]
        kind = try row["kind"]
        data = try row["data"]
    }
}

extension Transaction {
    package func experiment(_ id: ExperimentID) throws -> ExperimentRecord {
        let experiment = try queryFirst(
            "SELECT \(sql: ExperimentRecord.columns) FROM experiment WHERE id = \(id)", decode: ExperimentRecord.init)
        guard let experiment else { throw StoreError.notFound("experiment") }
        return experiment
    }

    package func experiments(in project: ProjectID, after position: CreationPosition?, limit: Int) throws -> [ExperimentRecord] {
        _ = try self.project(project)
        return try query("""
            SELECT \(sql: ExperimentRecord.columns) FROM experiment WHERE project_id = \(project) \(sql: .after(position))
            ORDER BY created_at, id LIMIT \(limit)
            """, decode: ExperimentRecord.init)
    }

    package func trials(of experiment: ExperimentID) throws -> [TrialRecord] {
        try query("""
            SELECT id, number, template, status, hyperparameters, metrics, score, seconds, problem FROM trial
            WHERE experiment_id = \(experiment) ORDER BY number
            """, decode: TrialRecord.init)
    }

    /// The events behind `sequence`, and whether more can come. Sequences are taken under the experiment's row lock, and the
    /// last event of an experiment says how it ended; the status is read before the events, so that none is missed.
    package func events(
        of experiment: ExperimentID, after sequence: Int64, limit: Int
    ) throws -> (events: [ExperimentEventRecord], mayGrow: Bool) {
        let status = try queryFirst("SELECT status FROM experiment WHERE id = \(experiment)") {
            try $0["status"] as ExperimentStatus
        }
        guard let status else { throw StoreError.notFound("experiment") }
        let events = try query("""
            SELECT sequence, kind, data FROM experiment_event WHERE experiment_id = \(experiment) AND sequence > \(sequence)
            ORDER BY sequence LIMIT \(limit)
            """, decode: ExperimentEventRecord.init)
        return (events, !status.isFinal || events.count == limit)
    }

    /// - Errors: `StoreError.inUse` while it runs, or while its model version is there.
    package func deleteExperiment(_ id: ExperimentID) throws {
        let status = try queryFirst("SELECT status FROM experiment WHERE id = \(id) FOR UPDATE") { try $0["status"] as ExperimentStatus }
        guard let status else { throw StoreError.notFound("experiment") }
        guard status.isFinal else { throw StoreError.inUse("experiment", by: [.init(kind: "running experiment", id: id.description)]) }
        try requireUnused("experiment", "SELECT 'model' AS kind, model_id::text AS id FROM model_version WHERE experiment_id = \(id)")
        try execute("DELETE FROM experiment WHERE id = \(id)")
    }
}
