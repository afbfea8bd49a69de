/// What numbers the symbols of a program's dimensions stand for in one of its runs.
public struct SymbolSizes: Hashable, Sendable {
    let sizes: [String: Int]

    package init(_ sizes: [String: Int]) { self.sizes = sizes }
}

extension Shape {
    /// The shape with numbers in place of its symbols.
    ///
    /// - Throws: `TensorError.symbolicDimension` where a symbol has none, or where a size would be less than 0.
    package func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Shape {
        var result = self
        for axis in 0..<rank { result.dimensions[axis] = try dimensions[axis].resolved(sizes) }
        return result
    }
}
