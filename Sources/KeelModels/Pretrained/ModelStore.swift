#if canImport(Glibc)
import Glibc
#endif

/// A folder of pretrained models: one folder a model, with its weights, its licence, and `model.json`, which is written last. What is there works without
/// a network.
public struct ModelStore: Sendable, Hashable {
    public let folder: String

    public init(folder: String) { self.folder = folder }

    /// `$SLIPWAY_MODELS`, or else `slipway/models` in `$XDG_DATA_HOME`, or in `.local/share` of the home folder.
    public init(environment: [String: String]) {
        func path(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
        folder = path("SLIPWAY_MODELS")
            ?? "\(path("XDG_DATA_HOME") ?? "\(path("HOME") ?? "/var/lib")/.local/share")/slipway/models"
    }

    /// Whether `model.json`, which is written last, is there.
    public func has(_ model: PretrainedModel) -> Bool { access(path(of: "model.json", in: model), R_OK) == 0 }

    /// Where a file of a model lies, whether it is there or not.
    public func path(of file: String, in model: PretrainedModel) -> String { "\(folder)/\(model.name)/\(file)" }
}
