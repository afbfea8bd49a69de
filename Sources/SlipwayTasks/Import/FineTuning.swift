internal import Keel
internal import KeelModels
package import KeelProgram
package import SlipwayDomain

/// What an import finds out of whether its model can be trained further; stored with the version's lineage, as `fine_tuning` among its facts.
package struct FineTuning: Codable, Sendable {
    package static let fact = "fine_tuning"

    /// Why it can't; nil where it can.
    package var why: String?
    /// Those through which no gradient goes.
    package var operators: [String] = []
    /// Channels, height and width of its pictures.
    package var picture: [Int] = []
    package var classes = 0
    /// Its float32 initialisers that are trained.
    package var weights = 0
    /// Whether a new last layer can stand in the place of its own.
    package var hasLastLayer = false

    enum CodingKeys: String, CodingKey {
        case why, operators, picture, classes, weights
        case hasLastLayer = "last_layer"
    }

    /// What holds until it is found out, and ever after where the process ends over it.
    static let unknown = FineTuning(why: "finding it out took more memory or time than an import has")

    private init(why: String) { self.why = why }

    /// Seconds for two pictures forwards.
    private static let probeSeconds = 10

    package init(_ model: ONNXModel) {
        do {
            let classifier = try ImportedClassifier(model), plan = try classifier.plan(newClasses: nil, within: Self.probeSeconds)
            picture = [classifier.channels, classifier.height, classifier.width]
            (classes, weights) = (plan.classes, plan.weights.count)
            hasLastLayer = (try? classifier.plan(newClasses: 2, within: Self.probeSeconds)) != nil
        } catch {
            why = error.description
            if case .operators(let nodes) = error { operators = nodes.map(\.withoutControls) }
        }
    }

    /// What an experiment asks for is held against what the model can, before anything is queued.
    ///
    /// - Parameters:
    ///   - scaling: as asked for; by default `imagenet` for pictures with colours, and `unit` for grey ones.
    ///   - classes: of the data set.
    /// - Errors: `Problem` 422 that names the member.
    package func choice(
        _ version: ModelVersionID, head: BaseChoice.Head, isFrozen: Bool, scaling: BaseChoice.Scaling?, task: LearningTask, classes: Int
    ) throws(Problem) -> BaseChoice {
        func fault(_ member: String, _ code: String, _ detail: String) -> Problem { Self.fault(member, code, detail) }
        guard task == .imageClassification else {
            throw fault("model_version", "train-base-task", "imported models are trained further on pictures, and the data set's task is \(task.rawValue)")
        }
        if let why {
            var problem = fault("model_version", Self.code, why)
            problem.errors += operators.map { .init(pointer: "/base/model_version", code: "model-no-gradient", detail: $0) }
            throw problem
        }
        switch head {
        case .new where !hasLastLayer: throw fault("head", Self.code, UntrainableModel.noLastLayer.description + "; 'keep' goes on with its own")
        case .keep where isFrozen: throw Self.nothingLeft
        case .keep where classes != self.classes: throw Self.otherClasses(self.classes, classes)
        case .new, .keep: break
        }
        let isGrey = picture.first == 1
        if isGrey, scaling == .imagenet { throw fault("scaling", "train-base-scaling", "'imagenet' is of three channels, and the model takes one") }
        return BaseChoice(modelVersion: version, head: head, isFrozen: isFrozen, scaling: scaling ?? (isGrey ? .unit : .imagenet))
    }

    private static let code = "train-base-unfit"

    private static func fault(_ member: String, _ code: String, _ detail: String) -> Problem {
        Problem(
            422, code, title: "The model can't be trained further like this", detail: detail,
            errors: [.init(pointer: "/base/\(member)", code: code, detail: detail)])
    }

    static var nothingLeft: Problem { fault("frozen", "train-base-frozen", "with the model's own last layer kept and its weights frozen, nothing is left to train") }

    static func otherClasses(_ own: Int, _ wanted: Int) -> Problem {
        let detail = "its last layer tells \(own) classes apart, and the data set has \(wanted): 'new' puts another in its place"
        return Problem(
            422, "train-base-classes", title: "The model's last layer can't be kept", detail: detail,
            errors: [.init(pointer: "/base/head", code: "train-base-classes", detail: detail)])
    }

    static func problem(_ error: UntrainableModel) -> Problem {
        Problem(
            422, code, title: "The model can't be trained further", detail: error.description,
            errors: [.init(pointer: "/base/model_version", code: code, detail: error.description)])
    }

    /// Computes with a model that is trained further. What its graph can't do with a batch, or has too little memory for, it couldn't the next time either.
    ///
    /// - Errors: `Problem` 422 for those; what else `body` throws.
    static func computing<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as TensorError {
            switch error.reason {
            case .custom: throw problem(.run(error.facts))
            case .outOfMemory: throw problem(.run("\(error.facts); a smaller 'batch_size' takes less"))
            default: throw error
            }
        }
    }
}
