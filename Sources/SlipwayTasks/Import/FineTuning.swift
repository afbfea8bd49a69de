internal import Keel
internal import KeelModels
package import KeelProgram
package import SlipwayDomain

/// What an import finds out of whether its model can be trained further; stored with the version's lineage, as `fine_tuning` among its facts.
package struct FineTuning: Codable, Sendable {
    package static let fact = "fine_tuning"
    /// Grows when more models can be trained further.
    private static let newestForm = 2

    /// Nil in the first.
    private var form: Int? = FineTuning.newestForm
    /// Why it can't; nil where it can.
    package var why: String?
    /// Those through which no gradient goes.
    package var operators: [String] = []
    /// Channels, height and width of its pictures; none where it takes rows.
    package var picture: [Int] = []
    /// Of a row; nil where it takes pictures.
    package var numbers: Int?
    /// Scores that it answers with; one may be a number that it estimates.
    package var classes = 0
    /// Its float32 initialisers that are trained.
    package var weights = 0
    /// Whether a new last layer can stand in the place of its own.
    package var hasLastLayer = false

    enum CodingKeys: String, CodingKey {
        case form, why, operators, picture, numbers, classes, weights
        case hasLastLayer = "last_layer"
    }

    /// Whether it can't by what held when it was imported; today's import may find that it can.
    package var isOutdated: Bool { why != nil && (form ?? 1) < Self.newestForm }

    /// What holds until it is found out, and ever after where the process ends over it.
    static let unknown = FineTuning(why: "finding it out took more memory or time than an import has")

    private init(why: String) { self.why = why }

    /// Seconds for two examples forwards.
    private static let probeSeconds = 10

    package init(_ model: ONNXModel) {
        do {
            let estimator = try ImportedEstimator(model), plan = try estimator.plan(.scores, within: Self.probeSeconds)
            switch estimator.input {
            case .pictures(let channels, let height, let width, _): picture = [channels, height, width]
            case .rows(let numbers): self.numbers = numbers
            }
            (classes, weights) = (plan.outputs, plan.weights.count)
            hasLastLayer = (try? estimator.plan(.newLayer(outputs: 2), within: Self.probeSeconds)) != nil
        } catch {
            why = error.description
            if case .operators(let nodes) = error { operators = nodes.map(\.withoutControls) }
        }
    }

    /// What an experiment asks for is held against what the model can, before anything is queued.
    ///
    /// - Parameters:
    ///   - scaling: as asked for; by default `imagenet` for pictures with colours, `unit` for grey ones, and `none` for rows.
    ///   - columns: as asked for, of a table.
    ///   - profile: of the data set's version, with the target of the experiment.
    /// - Errors: `Problem` 422 that names the member.
    package func choice(
        _ version: ModelVersionID, head: BaseChoice.Head, isFrozen: Bool, scaling: BaseChoice.Scaling?, columns: [String]?, task: LearningTask,
        profile: DatasetProfile
    ) throws(Problem) -> BaseChoice {
        if let why {
            var problem = Self.fault("model_version", Self.code, why)
            problem.errors += operators.map { .init(pointer: "/base/model_version", code: "model-no-gradient", detail: $0) }
            throw problem
        }
        guard task.items == (numbers == nil ? .pictures : .rows) else { throw Self.otherItems(task.items) }
        switch head {
        case .new where !hasLastLayer: throw Self.fault("head", Self.code, UntrainableModel.noLastLayer.description + "; 'keep' goes on with its own")
        case .keep where isFrozen: throw Self.nothingLeft
        case .keep: try Self.require(classes, for: task.isClassification ? profile.classes.count : 1, isClassification: task.isClassification)
        case .new: break
        }
        guard let numbers else {
            if columns != nil { throw Self.fault("columns", "train-base-columns", "the model takes pictures, which have no columns") }
            return BaseChoice(modelVersion: version, head: head, isFrozen: isFrozen, scaling: try scalingOfPictures(scaling))
        }
        if let scaling, !BaseChoice.Scaling.ofRows.contains(scaling) { throw Self.otherScaling(scaling, "takes rows of numbers", BaseChoice.Scaling.ofRows) }
        let chosen = try BaseColumns(numbers, named: columns, among: profile.columns ?? [], target: profile.target)
        return BaseChoice(modelVersion: version, head: head, isFrozen: isFrozen, scaling: scaling ?? .plain, columns: chosen.names)
    }

    private func scalingOfPictures(_ scaling: BaseChoice.Scaling?) throws(Problem) -> BaseChoice.Scaling {
        let isGrey = picture.first == 1, allowed = BaseChoice.Scaling.ofPictures.filter { !isGrey || $0 != .imagenet }
        guard let scaling else { return isGrey ? .unit : .imagenet }
        guard allowed.contains(scaling) else { throw Self.otherScaling(scaling, "takes pictures of \(isGrey ? "one channel" : "three channels")", allowed) }
        return scaling
    }

    private static let code = "train-base-unfit"

    static func fault(_ member: String, _ code: String, _ detail: String) -> Problem {
        Problem(
            422, code, title: "The model can't be trained further like this", detail: detail,
            errors: [.init(pointer: "/base/\(member)", code: code, detail: detail)])
    }

    static var nothingLeft: Problem { fault("frozen", "train-base-frozen", "with the model's own last layer kept and its weights frozen, nothing is left to train") }

    /// - Errors: `Problem` 422 where a last layer that stays, with so many outputs, isn't the data set's. One score tells two classes apart: it is the second one's.
    static func require(_ own: Int, for wanted: Int, isClassification: Bool) throws(Problem) {
        guard own != wanted, !(isClassification && own == 1 && wanted == 2) else { return }
        let task = isClassification ? "tells \(own) classes apart, and the data set has \(wanted)" : "answers with \(own) numbers, and one is to be estimated"
        let detail = "its last layer \(task): 'new' puts another in its place"
        throw Problem(
            422, "train-base-classes", title: "The model's last layer can't be kept", detail: detail,
            errors: [.init(pointer: "/base/head", code: "train-base-classes", detail: detail)])
    }

    /// - Parameter items: of the data set.
    static func otherItems(_ items: ItemKind) -> Problem {
        let detail = switch items {
        case .pictures: "the model takes rows of numbers, and the data set has pictures"
        case .rows: "the model takes pictures, and the data set is a table"
        }
        return fault("model_version", "train-base-task", detail)
    }

    private static func otherScaling(_ scaling: BaseChoice.Scaling, _ what: String, _ allowed: [BaseChoice.Scaling]) -> Problem {
        fault(
            "scaling", "train-base-scaling",
            "'\(scaling.rawValue)' isn't for a model that \(what): \(allowed.map { "'\($0.rawValue)'" }.joined(separator: ", ")) are")
    }

    static func problem(_ error: UntrainableModel) -> Problem {
        Problem(
            422, code, title: "The model can't be trained further", detail: error.description,
            errors: [.init(pointer: "/base/model_version", code: code, detail: error.description)])
    }

    /// Runs a model that was trained further as a deployment would.
    ///
    /// - Errors: `Problem` 422 where its graph takes more than a predict call has, or makes what doesn't fit; what else `body` throws.
    static func serving<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as TensorError {
            switch error.reason {
            case .custom, .outOfMemory: break
            case .shape, .rank, .innerDimensions: throw problem(.run(error.facts))
            default: throw error
            }
            let limits = ModelImport.limits
            let detail = "a predict call has \(limits.bytes >> 30) GiB and \(limits.time) for a few inputs, and what was trained takes more, or can't take them: "
                + "\(error.facts). A smaller model, or one of smaller pictures, takes less."
            throw Problem(
                422, "train-base-too-large", title: "The model that was trained further can't be served", detail: detail,
                errors: [.init(pointer: "/base/model_version", code: "train-base-too-large", detail: detail)])
        }
    }

    /// Computes with a model that is trained further. What its graph can't do with a batch, or has too little memory for, it couldn't the next time either.
    ///
    /// - Errors: `Problem` 422 for those; what else `body` throws.
    static func computing<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as TensorError {
            switch error.reason {
            case .custom, .shape, .rank, .innerDimensions: throw problem(.run(error.facts))
            case .outOfMemory: throw problem(.run("\(error.facts); a smaller 'batch_size' takes less"))
            default: throw error
            }
        }
    }
}
