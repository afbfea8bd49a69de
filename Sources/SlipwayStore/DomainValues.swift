internal import Foundation
package import SlipwayDomain
package import SlipwayPostgres

// How the words of SlipwayDomain stand in the database.

extension Identifier: PostgresEncodable, PostgresDecodable {
    /// Lower case, as PostgreSQL and our JSON write it, so that it may be compared as a text too.
    package var postgresParameter: Parameter { .text(description) }

    package init?(postgresText text: PostgresText) {
        guard let uuid = UUID(postgresText: text) else { return nil }
        self.init(uuid)
    }
}

extension JobID: PostgresEncodable, PostgresDecodable {}

/// A `bytea` of 32 bytes.
extension Digest: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { bytes.postgresParameter }

    package init?(postgresText text: PostgresText) {
        guard let bytes = [UInt8](postgresText: text), bytes.count == Digest.byteCount else { return nil }
        self.init(bytes: bytes)
    }
}

extension LearningTask: PostgresEncodable, PostgresDecodable {}
extension Preset: PostgresEncodable, PostgresDecodable {}
extension VersionStatus: PostgresEncodable, PostgresDecodable {}
extension VersionMode: PostgresEncodable, PostgresDecodable {}
extension ExperimentStatus: PostgresEncodable, PostgresDecodable {}
extension TrialStatus: PostgresEncodable, PostgresDecodable {}
extension JobState: PostgresEncodable, PostgresDecodable {}
extension JobLane: PostgresEncodable, PostgresDecodable {}
extension ModelVersionStatus: PostgresEncodable, PostgresDecodable {}
extension DeploymentStatus: PostgresEncodable, PostgresDecodable {}
extension RevisionStatus: PostgresEncodable, PostgresDecodable {}
extension Scope: PostgresEncodable, PostgresDecodable {}

extension Role {
    package static func tenant(_ organisation: OrganisationID) -> Role { .app(organisation: organisation.uuid) }
}
