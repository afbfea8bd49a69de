internal import SlipwayDomain

/// What a caller of the store can act on.
package enum StoreError: Error, Hashable, Sendable {
    /// One thing that stands in the way of a removal.
    package struct User: Hashable, Sendable {
        package let kind: String
        package let id: String

        package init(kind: String, id: String) {
            self.kind = kind
            self.id = id
        }
    }

    /// No such thing in the organisation of the transaction. `what` is a word of the API: `data set`.
    case notFound(_ what: String)
    case nameTaken(_ what: String, name: String)
    case inUse(_ what: String, by: [User])
    case alreadyFinished(_ what: String)
}
