package import SlipwayDomain
package import SlipwayPostgres

/// Who did what to what. Entries are only ever added.
package struct AuditEntry: Sendable {
    package let organisation: OrganisationID
    package let key: APIKeyID
    /// `project.create`
    package let action: String
    package let requestID: String

    package init(organisation: OrganisationID, key: APIKeyID, action: String, requestID: String) {
        self.organisation = organisation
        self.key = key
        self.action = action
        self.requestID = requestID
    }
}

extension Transaction {
    package func record(_ entry: AuditEntry, of object: String) throws {
        try execute("""
            INSERT INTO audit_entry (organisation_id, api_key_id, action, object, request_id)
            VALUES (\(entry.organisation), \(entry.key), \(entry.action), \(object), \(entry.requestID))
            """)
    }
}
