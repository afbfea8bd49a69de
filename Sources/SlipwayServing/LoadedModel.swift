package import SlipwayDomain

/// What a client asks: a picture's bytes, or the elements of `inputs`.
package enum PredictInputs: Sendable {
    case picture([UInt8], mediaType: String)
    case list([JSON])
}

package struct PredictAnswer: Sendable {
    /// One an input, in order.
    package var predictions: [JSON]
    package var warnings: [String]

    package init(predictions: [JSON], warnings: [String] = []) {
        self.predictions = predictions
        self.warnings = warnings
    }
}

/// A model in memory. The lanes see to it that it answers one call at a time.
package protocol LoadedModel: AnyObject, Sendable {
    /// Answers something made up, so that the first client doesn't wait for kernels to be compiled and memory to be mapped.
    func warmUp() throws
    /// - Errors: `Problem` for what is wrong with the inputs.
    func answer(_ inputs: PredictInputs) throws -> PredictAnswer
}
