internal import Foundation
internal import KeelData
internal import KeelModels
package import KeelProgram
internal import SlipwayDomain

/// A model from elsewhere that is trained further, with its files.
struct BaseModel: Sendable {
    let choice: BaseChoice?
    let estimator: ImportedEstimator
    /// Paths by the names of the imported version's files.
    private let files: [String: String]

    /// How the graph is called among the files of a version that goes on from it, and how the names of its external data begin there: their own are taken,
    /// or may be.
    private static let graph = "base.onnx", data = "base-data."

    /// - Errors: `Problem` 422 where it can't be trained further.
    init(_ plan: BasePlan) throws {
        do {
            try self.init(plan.files, plan.choice, ONNXLimits.training)
        } catch let error as UntrainableModel {
            throw FineTuning.problem(error)
        }
    }

    /// That of a version which goes on from one; nil where none of its files is one's.
    ///
    /// - Parameter paths: by the names of the version's files.
    /// - Errors: `ModelFault`.
    init?(ofVersion paths: [String: String]) throws {
        guard let graph = paths[Self.graph] else { return nil }
        var files = [ModelImport.file: graph]
        for (name, path) in paths where name.hasPrefix(Self.data) { files[String(name.dropFirst(Self.data.count))] = path }
        do {
            try self.init(files, nil, ModelImport.limits)
        } catch {
            throw ModelFault("the model that it goes on from can't be read: \(error)")
        }
    }

    private init(_ files: [String: String], _ choice: BaseChoice?, _ limits: ONNXLimits) throws {
        guard let graph = files[ModelImport.file] else { throw ModelFault("it has no \(ModelImport.file)") }
        let model = try ONNXModel(reading: graph, files: files.filter { $0.key != ModelImport.file }, limits: limits)
        estimator = try ImportedEstimator(model)
        (self.files, self.choice) = (files, choice)
    }

    /// - Errors: `Problem` 422 where there is none.
    static func required(_ base: BaseModel?) throws(Problem) -> BaseModel {
        if let base { return base }
        throw Problem(
            422, "train-no-base", title: "The template needs a model to go on from", detail: "it trains an imported model further, and the experiment names none")
    }

    /// Its files as a version that goes on from it has them, and where they lie.
    var filesOfVersion: [(name: String, path: String)] {
        files.map { ($0.key == ModelImport.file ? Self.graph : Self.data + $0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    /// Pictures are resized as wholes, so that nothing of a thing that fills its picture is lost.
    ///
    /// - Errors: `Problem` 422 where it takes none.
    var preparation: PicturePreparation {
        get throws(Problem) {
            guard case .pictures(_, let height, let width, _) = estimator.input else { throw FineTuning.otherItems(.pictures) }
            let scaling: PictureScaling =
                switch choice?.scaling ?? .unit {
                case .unit: .unit
                case .symmetric: .symmetric
                case .imagenet: .imageNet
                case .bytes: PictureScaling(mean: [0, 0, 0], deviation: [1 / 255, 1 / 255, 1 / 255])
                case .plain, .standard: preconditionFailure("an experiment with pictures is refused a scaling of rows")
                }
            return PicturePreparation(width: width, height: height, fit: .stretch, scaling: scaling)
        }
    }

    /// How rows become what it takes.
    ///
    /// - Parameter rows: fields in the order of `profiles`, of the items that are trained on only.
    /// - Errors: `Problem` 422 where it takes no rows, or others.
    func encoder(_ profiles: [ColumnProfile], _ rows: [[String?]]) throws(Problem) -> TableEncoder {
        guard case .rows(let numbers) = estimator.input else { throw FineTuning.otherItems(.rows) }
        let columns = try BaseColumns(numbers, named: choice?.columns, among: profiles, target: nil)
        return TableEncoder(numbers: columns.names, profiles: profiles, rows: rows, isStandardised: choice?.scaling == .standard)
    }

    /// Whether its graph takes what the input makes of one item.
    func takes(_ input: NetworkInput) -> Bool {
        switch (estimator.input, input) {
        case (.pictures(_, let height, let width, _), .planes(let preparation)): (preparation.height, preparation.width) == (height, width)
        case (.rows(let numbers), .rows): input.sizes == [numbers]
        default: false
        }
    }

    /// The shape of a network with such answers.
    ///
    /// - Errors: `Problem` 422 where its last layer is to stay and has other ones, or where it can't be trained further.
    func shape(for link: Link) throws(Problem) -> NetworkShape {
        let keeps = choice?.head == .keep
        var plan: ImportedNetwork.Plan
        do {
            plan = try estimator.plan(!keeps ? .newLayer(outputs: link.outputs) : link.isRegression ? .value : .scores)
        } catch {
            throw FineTuning.problem(error)
        }
        try FineTuning.require(plan.outputs, for: link.outputs, isClassification: !link.isRegression)
        plan.outputs = link.outputs
        if keeps, link.isRegression { (plan.mean, plan.deviation) = (link.mean, link.deviation) }
        let inputs = if case .rows(let numbers) = estimator.input { numbers } else { 3 }
        var shape = NetworkShape(kind: .imported, inputs: inputs, outputs: link.outputs)
        shape.imported = plan
        return shape
    }
}

extension ONNXLimits {
    /// Of a model in the training that goes on from it. Batches aren't requests: the memory that the process may have bounds them, and no clock decides what
    /// becomes of a training.
    package static var training: ONNXLimits {
        var limits = ONNXLimits(), space = rlimit()
        let memory = ProcessInfo.processInfo.physicalMemory
        let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space) == 0
        limits.bytes = Int(clamping: isKnown ? min(UInt64(space.rlim_cur), memory) : memory)
        limits.time = .seconds(1 << 40)
        return limits
    }
}
