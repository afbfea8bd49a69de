package import SlipwayDomain
package import SlipwayPostgres

package struct NewExperiment: Sendable {
    package var project: ProjectID
    package var name: String
    package var dataset: DatasetID
    package var version: Int
    package var task: LearningTask
    package var objective: String
    package var preset: Preset
    package var target: String?
    /// The user's choice: a template's name, or a whole template's YAML.
    package var template: String?
    package var base: BaseChoice?
    package var seed: UInt64
    package var budgetSeconds: Double?
    package var budgetTrials: Int?
    /// As the chooser ranked them, those that fit first.
    package var considered: [ConsideredTemplate]
    package var requestID: String

    package init(
        project: ProjectID, name: String, dataset: DatasetID, version: Int, task: LearningTask, objective: String, preset: Preset,
        target: String?, template: String?, base: BaseChoice? = nil, seed: UInt64, budgetSeconds: Double?, budgetTrials: Int?,
        considered: [ConsideredTemplate], requestID: String
    ) {
        self.project = project
        self.name = name
        self.dataset = dataset
        self.version = version
        self.task = task
        self.objective = objective
        self.preset = preset
        self.target = target
        self.template = template
        self.base = base
        self.seed = seed
        self.budgetSeconds = budgetSeconds
        self.budgetTrials = budgetTrials
        self.considered = considered
        self.requestID = requestID
    }
}

/// `ExperimentDecision.next` with the platform's templates: the store doesn't know how to learn.
package typealias Decide = @Sendable (ExperimentState) throws -> [ExperimentStep]

extension Transaction {
    /// Creates an experiment with its first trials and their jobs. As its organisation; the caller has checked that it can
    /// be trained (`Preflight`).
    package func startExperiment(_ new: NewExperiment, decide: Decide) throws -> ExperimentID {
        let chosen = new.considered.first { $0.fits }.map { ChosenTemplate(template: $0.template, why: $0.why) }
        let created: (id: ExperimentID, organisation: OrganisationID)? = try queryFirst(
            """
            INSERT INTO experiment (organisation_id, project_id, name, dataset_id, version, task, objective, preset, target, template,
                base, base_version_id, seed, budget_seconds, budget_trials, chosen, considered, request_id)
            SELECT organisation_id, id, \(new.name), \(new.dataset), \(new.version), \(new.task), \(new.objective), \(new.preset),
                \(new.target), to_jsonb(\(new.template)::text), \(json: new.base), \(new.base?.modelVersion), \(Int64(bitPattern: new.seed)), \(new.budgetSeconds),
                \(new.budgetTrials), \(json: chosen), \(json: new.considered), \(new.requestID)
            FROM project WHERE id = \(new.project)
            RETURNING id, organisation_id
            """,
            decode: { (try $0["id"], try $0["organisation_id"]) })
        guard let created else { throw StoreError.notFound("project") }
        try record([.status(.queued)], in: created.id)
        try advance(created.id, decide: decide)
        return created.id
    }
}

/// The API's `chosen`.
package struct ChosenTemplate: Codable, Hashable, Sendable {
    package var template: String
    package var why: String

    package init(template: String, why: String) {
        self.template = template
        self.why = why
    }
}
