internal import SlipwayDomain

/// A revision with its model in memory. When the last call that found it is done, the memory goes back.
final class ServedRevision: Sendable {
    let number: Int
    let modelVersion: ModelVersionID
    let model: any LoadedModel
    private let released: @Sendable () -> Void

    init(
        number: Int, modelVersion: ModelVersionID, model: any LoadedModel, released: @escaping @Sendable () -> Void
    ) {
        self.number = number
        self.modelVersion = modelVersion
        self.model = model
        self.released = released
    }

    deinit { released() }
}
