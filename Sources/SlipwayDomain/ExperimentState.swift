/// All that decides what an experiment does next, read in the transaction that records a finished rung.
package struct ExperimentState: Sendable {
    package struct Trial: Sendable, Hashable {
        package var id: TrialID
        package var number: Int
        package var recipe: TrialRecipe
        package var status: TrialStatus
        package var rung: Int
        package var resource: Double
        package var finished: Bool
        package var score: Double?
        package var seconds: Double

        package init(
            id: TrialID, number: Int, recipe: TrialRecipe, status: TrialStatus, rung: Int, resource: Double,
            finished: Bool, score: Double?, seconds: Double
        ) {
            self.id = id
            self.number = number
            self.recipe = recipe
            self.status = status
            self.rung = rung
            self.resource = resource
            self.finished = finished
            self.score = score
            self.seconds = seconds
        }
    }

    package var task: LearningTask
    package var objective: String
    package var preset: Preset
    package var seed: UInt64
    package var budgetSeconds: Double?
    package var budgetTrials: Int?
    /// Wall time that counts: from the first trial's start, less waits and lost attempts.
    package var spentSeconds: Double
    /// Training slots that this experiment may use at once.
    package var parallelism: Int
    package var profile: DatasetProfile
    /// The templates that fit, best guess first, as the chooser ranked them when the experiment was created.
    package var ranking: [String]
    /// The YAML of the user's own template, when one was sent with the experiment.
    package var ownTemplate: String?
    package var trials: [Trial]

    package init(
        task: LearningTask, objective: String, preset: Preset, seed: UInt64, budgetSeconds: Double?, budgetTrials: Int?,
        spentSeconds: Double, parallelism: Int, profile: DatasetProfile, ranking: [String], ownTemplate: String?,
        trials: [Trial]
    ) {
        self.task = task
        self.objective = objective
        self.preset = preset
        self.seed = seed
        self.budgetSeconds = budgetSeconds
        self.budgetTrials = budgetTrials
        self.spentSeconds = spentSeconds
        self.parallelism = parallelism
        self.profile = profile
        self.ranking = ranking
        self.ownTemplate = ownTemplate
        self.trials = trials
    }
}

/// What an experiment does next.
package enum ExperimentStep: Sendable, Hashable {
    /// A new trial, with its first rung.
    case startTrial(TrialRecipe, untilResource: Double?, seconds: Double?)
    /// The next rung of a paused trial.
    case continueTrial(TrialID, untilResource: Double?, seconds: Double?)
    /// Halved away: its score stands.
    case stopTrial(TrialID)
    /// Evaluate these on the held-out items, best first, and make the model version. `why` says why the search ended.
    case evaluate([TrialID], seconds: Double?, why: String)
    /// Nothing more can be learned.
    case fail(Problem)
}

package struct ConsideredTemplate: Codable, Hashable, Sendable {
    package var template: String
    package var fits: Bool
    package var why: String
    package init(template: String, fits: Bool, why: String) {
        self.template = template
        self.fits = fits
        self.why = why
    }
}
