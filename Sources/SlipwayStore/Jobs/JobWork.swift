package import SlipwayDomain
internal import SlipwayPostgres

/// What a job does. Kinds and the members of payloads stand in the database and outlive the process that wrote them:
/// never rename one, and give a new member a default.
package enum JobWork: Sendable, Hashable {
    case importVersion(VersionWork)
    case relabelVersion(VersionWork)
    case importModel(ModelImportWork)
    case trainRung(RungWork)
    case evaluate(EvaluationWork)

    package enum Kind: String, Sendable, CaseIterable {
        case importVersion = "import-version"
        case relabelVersion = "relabel-version"
        case importModel = "import-model"
        case trainRung = "train-rung"
        case evaluate
    }

    package var kind: Kind {
        switch self {
        case .importVersion: .importVersion
        case .relabelVersion: .relabelVersion
        case .importModel: .importModel
        case .trainRung: .trainRung
        case .evaluate: .evaluate
        }
    }

    package var lane: JobLane {
        switch self {
        case .importVersion, .relabelVersion, .importModel: .data
        case .trainRung, .evaluate: .training
        }
    }

    package var experiment: ExperimentID? {
        switch self {
        case .importVersion, .relabelVersion, .importModel: nil
        case .trainRung(let work): work.experiment
        case .evaluate(let work): work.experiment
        }
    }

    /// Throws when the payload isn't one of this kind: it comes from another build.
    init(_ kind: Kind, in row: Row) throws(PostgresError) {
        self = switch kind {
        case .importVersion: .importVersion(try row.json("payload"))
        case .relabelVersion: .relabelVersion(try row.json("payload"))
        case .importModel: .importModel(try row.json("payload"))
        case .trainRung: .trainRung(try row.json("payload"))
        case .evaluate: .evaluate(try row.json("payload"))
        }
    }

    var payload: any Encodable & Sendable {
        switch self {
        case .importVersion(let work), .relabelVersion(let work): work
        case .importModel(let work): work
        case .trainRung(let work): work
        case .evaluate(let work): work
        }
    }
}

/// What a job is about, as far as its payload says so in members that have one meaning for all kinds: those of jobs that another build made, too.
package struct JobSubject: Decodable, Hashable, Sendable {
    package private(set) var dataset: DatasetID?
    package private(set) var version: Int?
    package private(set) var modelVersion: ModelVersionID?
    package private(set) var experiment: ExperimentID?

    init() {}

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        // A member of another form is one of another meaning.
        dataset = try? members.decode(DatasetID.self, forKey: .dataset)
        version = try? members.decode(Int.self, forKey: .version)
        modelVersion = try? members.decode(ModelVersionID.self, forKey: .modelVersion)
        experiment = try? members.decode(ExperimentID.self, forKey: .experiment)
    }

    private enum CodingKeys: String, CodingKey {
        case dataset, version, experiment
        case modelVersion = "model_version"
    }
}

extension JobWork.Kind: PostgresEncodable, PostgresDecodable {}

package struct VersionWork: Codable, Hashable, Sendable {
    package var dataset: DatasetID
    package var version: Int

    package init(dataset: DatasetID, version: Int) {
        self.dataset = dataset
        self.version = version
    }
}

package struct ModelImportWork: Codable, Hashable, Sendable {
    package var modelVersion: ModelVersionID
    /// Whose weights the upload is.
    package var network: NetworkChoice?

    package init(modelVersion: ModelVersionID, network: NetworkChoice? = nil) {
        self.modelVersion = modelVersion
        self.network = network
    }

    enum CodingKeys: String, CodingKey {
        case modelVersion = "model_version"
        case network
    }
}

package struct RungWork: Codable, Hashable, Sendable {
    package var experiment: ExperimentID
    package var trial: TrialID
    package var rung: Int
    package var untilResource: Double?
    package var seconds: Double?

    package init(experiment: ExperimentID, trial: TrialID, rung: Int, untilResource: Double?, seconds: Double?) {
        self.experiment = experiment
        self.trial = trial
        self.rung = rung
        self.untilResource = untilResource
        self.seconds = seconds
    }

    enum CodingKeys: String, CodingKey {
        case experiment, trial, rung, seconds
        case untilResource = "until_resource"
    }
}

package struct EvaluationWork: Codable, Hashable, Sendable {
    package var experiment: ExperimentID
    /// Best first.
    package var trials: [TrialID]
    package var seconds: Double?
    /// Why the search has ended.
    package var why: String?

    package init(experiment: ExperimentID, trials: [TrialID], seconds: Double?, why: String?) {
        self.experiment = experiment
        self.trials = trials
        self.seconds = seconds
        self.why = why
    }
}
