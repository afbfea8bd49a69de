/// The imported model version from which an experiment goes on: the API's `base`.
package struct BaseChoice: Codable, Hashable, Sendable {
    /// The last layer: one that begins anew for the data set, or the model's own, whose outputs are the data set's classes in their order, or the target.
    package enum Head: String, Codable, Sendable, CaseIterable { case new, keep }

    /// What the model takes for a byte of a picture, or for a number of a table.
    package enum Scaling: String, Codable, Sendable, CaseIterable {
        /// 0 to 1.
        case unit
        /// -1 to 1.
        case symmetric
        /// 0 to 1, less the means of ImageNet's channels and divided by their deviations.
        case imagenet
        /// 0 to 255.
        case bytes
        /// A column's numbers as they are.
        case plain = "none"
        /// A column's numbers less their mean, by their deviation, both of the rows that are trained on.
        case standard

        package static let ofPictures: [Scaling] = [.unit, .symmetric, .imagenet, .bytes], ofRows: [Scaling] = [.plain, .standard]
    }

    package var modelVersion: ModelVersionID
    package var head: Head
    /// Whether only a new last layer learns.
    package var isFrozen: Bool
    package var scaling: Scaling
    /// The table's columns that are the model's numbers, in its order; nil where it takes pictures.
    package var columns: [String]?

    package init(modelVersion: ModelVersionID, head: Head = .new, isFrozen: Bool = false, scaling: Scaling, columns: [String]? = nil) {
        self.modelVersion = modelVersion
        self.head = head
        self.isFrozen = isFrozen
        self.scaling = scaling
        self.columns = columns
    }

    enum CodingKeys: String, CodingKey {
        case head, scaling, columns
        case modelVersion = "model_version"
        case isFrozen = "frozen"
    }
}
