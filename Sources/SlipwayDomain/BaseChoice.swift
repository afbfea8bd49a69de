/// The imported model version from which an experiment goes on: the API's `base`.
package struct BaseChoice: Codable, Hashable, Sendable {
    /// The last layer: one that begins anew for the data set's classes, or the model's own, whose outputs are the data set's classes in their order.
    package enum Head: String, Codable, Sendable, CaseIterable { case new, keep }

    /// What the model takes for a byte of a picture.
    package enum Scaling: String, Codable, Sendable, CaseIterable {
        /// 0 to 1.
        case unit
        /// -1 to 1.
        case symmetric
        /// 0 to 1, less the means of ImageNet's channels and divided by their deviations.
        case imagenet
        /// 0 to 255.
        case bytes
    }

    package var modelVersion: ModelVersionID
    package var head: Head
    /// Whether only a new last layer learns.
    package var isFrozen: Bool
    package var scaling: Scaling

    package init(modelVersion: ModelVersionID, head: Head = .new, isFrozen: Bool = false, scaling: Scaling) {
        self.modelVersion = modelVersion
        self.head = head
        self.isFrozen = isFrozen
        self.scaling = scaling
    }

    enum CodingKeys: String, CodingKey {
        case head, scaling
        case modelVersion = "model_version"
        case isFrozen = "frozen"
    }
}
