public import Keel

/// A rewriting of a program that keeps what it computes, up to rounding where it says so.
public struct Pass: Sendable {
    public let name: String
    /// - Returns: whether it changed anything.
    package let rewrite: @Sendable (inout Graph) throws(TensorError) -> Bool

    init(_ name: String, _ rewrite: @escaping @Sendable (inout Graph) throws(TensorError) -> Bool) {
        self.name = name
        self.rewrite = rewrite
    }

    /// All of them, in their order.
    public static let all: [Pass] = [.algebra, .constantFolding, .commonSubexpressions, .normalisationFolding, .convolutionFusion, .deadCode]
}

extension Program {
    /// The same function as a program that takes less time. The passes run in turn until none finds anything.
    ///
    /// - Parameter passes: leave one out to switch it off.
    public func optimised(_ passes: [Pass] = Pass.all) throws(TensorError) -> Program {
        var graph = graph, isChanging = true
        while isChanging {
            isChanging = false
            for pass in passes { if try pass.rewrite(&graph) { isChanging = true } }
        }
        return try Program(graph)
    }
}
