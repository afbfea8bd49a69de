/// A reader of bytes from outside. Whatever the bytes are, it ends in a value that keeps its promises or in its own error.
package struct ByteDecoder: Sendable, CustomStringConvertible {
    package let name: String
    /// Small sound files, to begin with.
    package let seeds: @Sendable () throws -> [[UInt8]]
    /// Decodes the bytes and uses what came of it. The decoder's own error is no failure; anything that is thrown is.
    package let decode: @Sendable ([UInt8]) throws -> Void

    package var description: String { name }

    package init(
        _ name: String, seeds: @escaping @Sendable () throws -> [[UInt8]], decode: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.seeds = seeds
        self.decode = decode
    }
}

/// A promise of a decoder that what it returned doesn't keep.
package struct BrokenPromise: Error {
    let what: String
}

package func require(_ condition: Bool, _ what: String) throws(BrokenPromise) {
    if !condition { throw BrokenPromise(what: what) }
}
