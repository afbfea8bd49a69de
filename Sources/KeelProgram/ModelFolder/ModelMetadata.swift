/// What is known of a model beside its graph and weights.
public struct ModelMetadata: Codable, Sendable, Equatable {
    /// A step between what a client sends and a model's input, by its name and its numbers: `Preparation("resize", ["side": [224]])`.
    public struct Preparation: Codable, Sendable, Equatable {
        public var operation: String
        public var numbers: [String: [Double]]

        public init(_ operation: String, _ numbers: [String: [Double]] = [:]) {
            self.operation = operation
            self.numbers = numbers
        }
    }

    public var name: String
    public var version: String
    /// For each input that needs any, in order.
    public var preprocessing: [String: [Preparation]]
    /// In the order of the scores.
    public var labels: [String]
    /// Where it comes from: data set, seed, program, licence, ...
    public var lineage: [String: String]

    public init(
        name: String, version: String = "1", preprocessing: [String: [Preparation]] = [:], labels: [String] = [], lineage: [String: String] = [:]
    ) {
        self.name = name
        self.version = version
        self.preprocessing = preprocessing
        self.labels = labels
        self.lineage = lineage
    }
}

/// `model.json`: what the folder holds. Its format number rises when a reader of the old one would go wrong; a reader of this one goes on reading every
/// older format.
struct ModelManifest: Codable {
    struct File: Codable {
        let bytes: Int
        let sha256: String
    }

    static let format = 1, name = "model.json", graph = "model.onnx", weights = "model.safetensors"
    /// More than any list of labels takes.
    static let maximumBytes = 16 << 20

    var format = Self.format
    var files: [String: File]
    var metadata: ModelMetadata
}
