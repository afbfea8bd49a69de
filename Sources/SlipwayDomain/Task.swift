/// What is to be learned. The raw values are the words of the API, the database and `Templates/`.
package enum LearningTask: String, Codable, Sendable, CaseIterable {
    case imageClassification = "image-classification"
    case tabularClassification = "tabular-classification"
    case tabularRegression = "tabular-regression"

    package var items: ItemKind {
        switch self {
        case .imageClassification: .pictures
        case .tabularClassification, .tabularRegression: .rows
        }
    }

    package var isClassification: Bool { self != .tabularRegression }
}

/// What the items of a data set are. Where more than the claims below depends on it, a `switch` says so: another kind is
/// then an error of the compiler wherever it matters.
package enum ItemKind: String, Sendable {
    case pictures, rows

    /// Whether an item goes by a name, that of its file.
    package var hasNames: Bool { self == .pictures }
    /// Whether an item has columns, any of which can be what is learned.
    package var hasTarget: Bool { self == .rows }
}

/// How much to spend: `fast` for a first look, `balanced` by default, `best` when only the score counts.
package enum Preset: String, Codable, Sendable, CaseIterable {
    case fast, balanced, best
}

package enum VersionStatus: String, Codable, Sendable { case importing, ready, failed }
package enum VersionMode: String, Codable, Sendable { case new, append, replace, relabel }
package enum ExperimentStatus: String, Codable, Sendable {
    case queued, running, succeeded, failed, cancelled

    package var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
}
/// `paused`: between two rungs. `stopped`: halved away, its score stands.
package enum TrialStatus: String, Codable, Sendable {
    case queued, running, paused, stopped, succeeded, failed, cancelled
}
package enum JobState: String, Codable, Sendable { case queued, running, succeeded, failed, cancelled }
package enum JobLane: String, Codable, Sendable, CaseIterable { case data, training }
package enum ModelVersionStatus: String, Codable, Sendable { case importing, ready, failed }
package enum DeploymentStatus: String, Codable, Sendable { case deploying, ready, failed, stopped }
package enum RevisionStatus: String, Codable, Sendable { case deploying, ready, failed, retired }

/// What an API key may do. A route asks for exactly one.
package enum Scope: String, Codable, Sendable, CaseIterable {
    case platform  // make and list organisations
    case admin  // keys of its own organisation
    case read, write, predict
}
