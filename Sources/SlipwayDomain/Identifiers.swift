package import Foundation

/// An opaque identifier, a string outside and a UUID inside. `Kind` keeps those of different things apart.
package struct Identifier<Kind>: Hashable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    package let uuid: UUID

    package init(_ uuid: UUID) { self.uuid = uuid }

    /// Nil when the text is no UUID: such an identifier names nothing, so routes answer it like an unknown one.
    package init?(_ description: String) {
        guard let uuid = UUID(uuidString: description) else { return nil }
        self.uuid = uuid
    }

    package var description: String { uuid.uuidString.lowercased() }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let identifier = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no identifier")
        }
        self = identifier
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

package enum OrganisationKind {}
package enum APIKeyKind {}
package enum ProjectKind {}
package enum DatasetKind {}
package enum ExperimentKind {}
package enum TrialKind {}
package enum ModelKind {}
package enum ModelVersionKind {}
package enum DeploymentKind {}
package enum WorkerKind {}

package typealias OrganisationID = Identifier<OrganisationKind>
package typealias APIKeyID = Identifier<APIKeyKind>
package typealias ProjectID = Identifier<ProjectKind>
package typealias DatasetID = Identifier<DatasetKind>
package typealias ExperimentID = Identifier<ExperimentKind>
package typealias TrialID = Identifier<TrialKind>
package typealias ModelID = Identifier<ModelKind>
package typealias ModelVersionID = Identifier<ModelVersionKind>
package typealias DeploymentID = Identifier<DeploymentKind>
package typealias WorkerID = Identifier<WorkerKind>

/// A job's identifier: a number inside, the order in which jobs were made.
package struct JobID: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    package let rawValue: Int64

    package init(rawValue: Int64) { self.rawValue = rawValue }

    package init?(_ description: String) {
        guard let number = Int64(description) else { return nil }
        rawValue = number
    }

    package var description: String { String(rawValue) }

    package static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
}
