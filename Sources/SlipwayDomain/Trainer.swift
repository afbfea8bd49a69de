// What a worker and its trainer process say to each other. A trainer gets a job directory with `plan.json` and the
// files it names (paths are relative to the directory unless absolute), and writes one `TrainerEvent` a line to
// standard output; its standard error is the job's log. It ends when its standard input closes.

/// One piece of work for a trainer process.
package struct TrainerPlan: Codable, Sendable {
    package enum Work: Codable, Sendable {
        case importUpload(ImportPlan)
        case trainRung(RungPlan)
        case evaluate(EvaluationPlan)
        case importModel(ModelImportPlan)
    }

    package var format = 1
    package var work: Work
    /// Compute threads; part of what makes a run repeatable.
    package var threads: Int

    package init(work: Work, threads: Int) {
        self.work = work
        self.threads = threads
    }
}

package struct ImportPlan: Codable, Sendable {
    package var task: LearningTask
    /// The uploaded bytes.
    package var upload: String
    package var mediaType: String
    /// `auto`, `image-folder` or `csv`.
    package var format: String
    /// Of a table: the encoding that the request declared (`gbk`, ...), and the label column (the last one when nil).
    package var encoding: String?
    package var target: String?
    /// Of mode `append` to a table: the base's columns, which the upload must have too.
    package var columns: [ColumnProfile]?
    package var limits: ImportLimits

    package init(
        task: LearningTask, upload: String, mediaType: String, format: String, encoding: String? = nil,
        target: String? = nil, columns: [ColumnProfile]? = nil, limits: ImportLimits
    ) {
        self.task = task
        self.upload = upload
        self.mediaType = mediaType
        self.format = format
        self.encoding = encoding
        self.target = target
        self.columns = columns
        self.limits = limits
    }
}

/// What import accepts. Every default stands in the README's table of limits.
package struct ImportLimits: Codable, Hashable, Sendable {
    package var archiveEntries = 50_000
    /// Unpacked. An archive of pictures, which hardly shrink, may hold four times its own bytes if that is more.
    package var archiveBytes = 268_435_456
    package var archiveRatio = 200
    package var imagePixels = 50_000_000
    package var tableColumns = 4096
    package var tableFieldBytes = 1_048_576
    package var classes = 1000
    /// The share of items that may be rejected before the whole import fails.
    package var rejectedShare = 0.05

    package init() {}
}

/// A model that was trained elsewhere.
package struct ModelImportPlan: Codable, Sendable {
    /// The uploaded bytes: an ONNX file, a zip with one and its external data, or, where a network is named, its weights as safetensors.
    package var upload: String
    package var network: NetworkChoice?
    package var limits: ImportLimits

    package init(upload: String, network: NetworkChoice? = nil, limits: ImportLimits) {
        self.upload = upload
        self.network = network
        self.limits = limits
    }
}

/// One of the library's networks.
package struct NetworkChoice: Codable, Hashable, Sendable {
    package var name: String
    /// Another number of classes than it was published with.
    package var classes: Int?

    package init(name: String, classes: Int? = nil) {
        self.name = name
        self.classes = classes
    }
}

/// The items of one version as a trainer reads them: a file with one `DataItem` a line, in the order of their ids.
package struct DataPlan: Codable, Sendable {
    package var items: String
    /// Items of the version that have no label for this target; they were left out of `items`.
    package var unlabelled: Int
    package var columns: [ColumnProfile]?
    package var target: String?
    /// Class names in the model's class order; empty for regression.
    package var classes: [String]

    package init(items: String, unlabelled: Int, columns: [ColumnProfile]?, target: String?, classes: [String]) {
        self.items = items
        self.unlabelled = unlabelled
        self.columns = columns
        self.target = target
        self.classes = classes
    }
}

package struct DataItem: Codable, Sendable {
    package var id: Int64
    package var name: String
    package var splitHash: Int64
    package var label: String
    /// Of a picture: the path of its bytes.
    package var path: String?
    /// Of a table: the fields in the order of the plan's columns.
    package var row: [String?]?

    package init(id: Int64, name: String, splitHash: Int64, label: String, path: String? = nil, row: [String?]? = nil) {
        self.id = id
        self.name = name
        self.splitHash = splitHash
        self.label = label
        self.path = path
        self.row = row
    }

    enum CodingKeys: String, CodingKey {
        case id, name, label, path, row
        case splitHash = "split_hash"
    }
}

/// A model from elsewhere that a training goes on from.
package struct BasePlan: Codable, Sendable {
    package var choice: BaseChoice
    /// Paths by the names of its version's files.
    package var files: [String: String]

    package init(choice: BaseChoice, files: [String: String]) {
        self.choice = choice
        self.files = files
    }
}

/// A template with its hyperparameters settled.
package struct TrialRecipe: Codable, Hashable, Sendable {
    package var template: String
    /// The template's YAML: a trainer needs no other source, and lineage keeps it.
    package var source: String
    package var hyperparameters: [String: JSON]
    package var seed: UInt64

    package init(template: String, source: String, hyperparameters: [String: JSON], seed: UInt64) {
        self.template = template
        self.source = source
        self.hyperparameters = hyperparameters
        self.seed = seed
    }
}

package struct RungPlan: Codable, Sendable {
    package var task: LearningTask
    package var data: DataPlan
    package var objective: String
    package var recipe: TrialRecipe
    package var rung: Int
    /// Train until this many units of the template's resource (epochs, boosting rounds) are done in all; nil: until
    /// the recipe's own end.
    package var untilResource: Double?
    /// Stop, evaluate and report when this much wall time has gone by since the process began; nil: no limit.
    package var seconds: Double?
    /// The newest checkpoint of the trial: a file that an earlier attempt or rung wrote.
    package var checkpoint: String?
    package var base: BasePlan?

    package init(
        task: LearningTask, data: DataPlan, objective: String, recipe: TrialRecipe, rung: Int, untilResource: Double?,
        seconds: Double?, checkpoint: String?, base: BasePlan? = nil
    ) {
        self.task = task
        self.data = data
        self.objective = objective
        self.recipe = recipe
        self.rung = rung
        self.untilResource = untilResource
        self.seconds = seconds
        self.checkpoint = checkpoint
        self.base = base
    }
}

/// Evaluation of the best trial (or an ensemble of the best) on the held-out test items, and the model's files.
package struct EvaluationPlan: Codable, Sendable {
    package struct Candidate: Codable, Sendable {
        package var trial: TrialID
        package var recipe: TrialRecipe
        package var checkpoint: String
        package var score: Double?

        package init(trial: TrialID, recipe: TrialRecipe, checkpoint: String, score: Double?) {
            self.trial = trial
            self.recipe = recipe
            self.checkpoint = checkpoint
            self.score = score
        }
    }

    package var task: LearningTask
    package var data: DataPlan
    package var objective: String
    /// Best first.
    package var candidates: [Candidate]
    /// Names and reasons for the report's reader: project, data set, version, experiment, chosen, considered.
    package var facts: [String: JSON]
    package var seconds: Double?
    package var base: BasePlan?

    package init(
        task: LearningTask, data: DataPlan, objective: String, candidates: [Candidate], facts: [String: JSON],
        seconds: Double?, base: BasePlan? = nil
    ) {
        self.task = task
        self.data = data
        self.objective = objective
        self.candidates = candidates
        self.facts = facts
        self.seconds = seconds
        self.base = base
    }
}

/// One line that a trainer writes.
package enum TrainerEvent: Codable, Sendable {
    case progress(fraction: Double, message: String?)
    case log(level: String, message: String)
    /// `step` counts the template's resource (epochs, rounds).
    case metric(name: String, value: Double, step: Double)
    case item(ImportedItem)
    case rejected(RejectedItem)
    /// A file in the job directory from which the trial can go on; complete and synced when it is named.
    case checkpoint(file: String, resource: Double)
    case imported(ImportSummary)
    case rung(RungResult)
    case evaluated(EvaluationResult)
    /// The last one holds, and stays where the process ends after it.
    case importedModel(ModelImportResult)
    /// The work can't succeed, whoever repeats it: the user's data or choice is at fault.
    case problem(Problem)
}

package struct ImportedItem: Codable, Sendable {
    package var name: String
    package var splitHash: Int64
    package var label: String?
    /// Of a picture: the staged file in the job directory, its digest in hex, and what decoding showed.
    package var file: String?
    package var sha256: String?
    package var bytes: Int?
    package var mediaType: String?
    package var width: Int?
    package var height: Int?
    /// Of a table.
    package var row: [String?]?

    package init(
        name: String, splitHash: Int64, label: String?, file: String? = nil, sha256: String? = nil, bytes: Int? = nil,
        mediaType: String? = nil, width: Int? = nil, height: Int? = nil, row: [String?]? = nil
    ) {
        self.name = name
        self.splitHash = splitHash
        self.label = label
        self.file = file
        self.sha256 = sha256
        self.bytes = bytes
        self.mediaType = mediaType
        self.width = width
        self.height = height
        self.row = row
    }
}

package struct RejectedItem: Codable, Hashable, Sendable {
    package var name: String
    package var code: String
    package var reason: String
    package var line: Int?
    package var column: String?

    package init(name: String, code: String, reason: String, line: Int? = nil, column: String? = nil) {
        self.name = name
        self.code = code
        self.reason = reason
        self.line = line
        self.column = column
    }
}

package struct ImportSummary: Codable, Sendable {
    package var format: String
    package var profile: DatasetProfile
    package var warnings: [String]

    package init(format: String, profile: DatasetProfile, warnings: [String]) {
        self.format = format
        self.profile = profile
        self.warnings = warnings
    }
}

package struct RungResult: Codable, Sendable {
    /// On the validation split, larger is better (an error is negated), comparable between the trials of an experiment.
    package var score: Double
    package var metrics: [String: Double]
    /// Units of the template's resource done in all.
    package var resource: Double
    /// No further training would help: the recipe's end, or early stopping.
    package var finished: Bool
    package var peakMemoryBytes: Int?
    /// Of this rung in earlier attempts, whose work this one went on with.
    package var earlierSeconds: Double?

    package init(
        score: Double, metrics: [String: Double], resource: Double, finished: Bool, peakMemoryBytes: Int? = nil,
        earlierSeconds: Double? = nil
    ) {
        self.score = score
        self.metrics = metrics
        self.resource = resource
        self.finished = finished
        self.peakMemoryBytes = peakMemoryBytes
        self.earlierSeconds = earlierSeconds
    }
}

package struct EvaluationResult: Codable, Sendable {
    package struct File: Codable, Sendable {
        /// Its name among the model version's files, such as `report.json`.
        package var name: String
        /// Where it lies in the job directory.
        package var path: String
        package init(name: String, path: String) {
            self.name = name
            self.path = path
        }
    }

    /// On the held-out test items: `accuracy`, `macro_f1`, ... or `rmse`, ...; the baseline's under `baseline_...`.
    package var metrics: [String: Double]
    package var classes: [String]
    /// What predict takes: the model version's `inputs` in the API.
    package var inputs: JSON
    package var files: [File]
    /// The trials that the model is made of, best first.
    package var trials: [TrialID]

    package init(
        metrics: [String: Double], classes: [String], inputs: JSON, files: [File], trials: [TrialID]
    ) {
        self.metrics = metrics
        self.classes = classes
        self.inputs = inputs
        self.files = files
        self.trials = trials
    }
}

package struct ModelImportResult: Codable, Sendable {
    package struct File: Codable, Sendable {
        /// Its name among the model version's files.
        package var name: String
        /// Where it lies in the job directory; nil of the upload itself.
        package var path: String?

        package init(name: String, path: String?) {
            self.name = name
            self.path = path
        }
    }

    /// What predict takes and answers: the model version's `inputs` and `outputs` in the API.
    package var inputs: JSON
    package var outputs: JSON
    /// What the file says of its origin, and how the model runs here, for its lineage.
    package var facts: [String: JSON]
    package var files: [File]

    package init(inputs: JSON, outputs: JSON, facts: [String: JSON], files: [File]) {
        self.inputs = inputs
        self.outputs = outputs
        self.facts = facts
        self.files = files
    }
}
