package import Foundation
package import SlipwayDomain

/// What a client sent.
package enum PredictRequest: Sendable {
    case picture([UInt8])
    case json(Data)
}

/// What a model is made of.
package struct ModelSource: Sendable, Hashable {
    /// Whether it was trained elsewhere. Its files are strangers' then, whatever they are called.
    package let isImported: Bool
    /// The version's files, paths by name.
    package let files: [String: String]

    package init(isImported: Bool, files: [String: String]) {
        self.isImported = isImported
        self.files = files
    }
}

/// A model in memory. Any number of lanes may ask it at once.
package protocol LoadedModel: AnyObject, Sendable {
    /// Answers something made up, so that the first client doesn't wait for kernels to be compiled and memory to be mapped.
    func warmUp() throws
    /// The body of the answer.
    ///
    /// - Parameter isAbandoned: asked now and then: whether nobody waits for the answer any more.
    /// - Errors: `Problem` for what is wrong with the request; `CancellationError` once the call is abandoned.
    func answer(_ request: PredictRequest, as version: ModelVersionID, isAbandoned: () -> Bool) throws -> Data
}
