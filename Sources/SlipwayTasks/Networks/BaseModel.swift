internal import Foundation
internal import KeelData
internal import KeelModels
internal import KeelProgram
internal import SlipwayDomain

/// A model from elsewhere that is trained further, with its files.
struct BaseModel: Sendable {
    let choice: BaseChoice?
    let classifier: ImportedClassifier
    /// Paths by the names of the imported version's files.
    private let files: [String: String]

    /// How the graph is called among the files of a version that goes on from it, and how the names of its external data begin there: their own are taken,
    /// or may be.
    private static let graph = "base.onnx", data = "base-data."

    /// - Errors: `Problem` 422 where it can't be trained further.
    init(_ plan: BasePlan) throws {
        do {
            try self.init(plan.files, plan.choice, Self.trainingLimits)
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
        classifier = try ImportedClassifier(model)
        (self.files, self.choice) = (files, choice)
    }

    /// Batches aren't requests: the memory that the process may have bounds them, and no clock decides what becomes of a training.
    private static var trainingLimits: ONNXLimits {
        var limits = ONNXLimits(), space = rlimit()
        let memory = ProcessInfo.processInfo.physicalMemory
        let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space) == 0
        limits.bytes = Int(clamping: isKnown ? min(UInt64(space.rlim_cur), memory) : memory)
        limits.time = .seconds(1 << 40)
        return limits
    }

    static let missing = Problem(
        422, "train-no-base", title: "The template needs a model to go on from", detail: "it trains an imported model further, and the experiment names none")

    /// Its files as a version that goes on from it has them, and where they lie.
    var filesOfVersion: [(name: String, path: String)] {
        files.map { ($0.key == ModelImport.file ? Self.graph : Self.data + $0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    /// Pictures are resized as wholes, so that nothing of a thing that fills its picture is lost.
    var preparation: PicturePreparation {
        let scaling: PictureScaling =
            switch choice?.scaling ?? .unit {
            case .unit: .unit
            case .symmetric: .symmetric
            case .imagenet: .imageNet
            case .bytes: PictureScaling(mean: [0, 0, 0], deviation: [1 / 255, 1 / 255, 1 / 255])
            }
        return PicturePreparation(width: classifier.width, height: classifier.height, fit: .stretch, scaling: scaling)
    }

    /// The shape of a network that tells as many classes apart.
    ///
    /// - Errors: `Problem` 422 where its last layer is to stay and tells other classes apart, or where it can't be trained further.
    func shape(classes: Int) throws(Problem) -> NetworkShape {
        let plan: ImportedNetwork.Plan
        do {
            plan = try classifier.plan(newClasses: choice?.head == .keep ? nil : classes)
        } catch {
            throw FineTuning.problem(error)
        }
        guard plan.classes == classes else { throw FineTuning.otherClasses(plan.classes, classes) }
        var shape = NetworkShape(kind: .imported, inputs: 3, outputs: classes)
        shape.imported = plan
        return shape
    }
}
