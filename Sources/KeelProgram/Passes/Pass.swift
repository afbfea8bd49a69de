public import Keel

/// A rewriting of a program that keeps what it computes, up to rounding where it says so.
public struct Pass: Sendable {
    public let name: String
    /// Whether it runs once the others find nothing any more: they don't know what it makes.
    let isLast: Bool
    /// - Returns: whether it changed anything.
    package let rewrite: @Sendable (inout Graph) throws(TensorError) -> Bool

    init(_ name: String, isLast: Bool = false, _ rewrite: @escaping @Sendable (inout Graph) throws(TensorError) -> Bool) {
        self.name = name
        self.isLast = isLast
        self.rewrite = rewrite
    }

    /// All of them, in their order.
    public static let all: [Pass] = [
        .algebra, .constantFolding, .commonSubexpressions, .normalisationFolding, .deadChannels, .convolutionFusion, .geluRecognition,
        .layerNormRecognition, .attentionRecognition, .linearFusion, .deadCode, .quantisationRecognition, .zeroSkipping,
        .elementwiseFusion,
    ]
}

extension Program {
    /// The same function as a program that takes less time. The passes run in turn until none finds anything; some run after the others.
    ///
    /// - Parameter passes: leave one out to switch it off.
    public func optimised(_ passes: [Pass] = Pass.all) throws(TensorError) -> Program {
        var graph = graph, isChanging = true
        while isChanging {
            isChanging = false
            for pass in passes where !pass.isLast { if try pass.rewrite(&graph) { isChanging = true } }
        }
        for pass in passes where pass.isLast { _ = try pass.rewrite(&graph) }
        for place in graph.nodes.indices {
            guard let nesting = graph.nodes[place].primitive as? any Nesting else { continue }
            graph.nodes[place].primitive = try nesting.rewritten { (program) throws(TensorError) in try program.optimised(passes) }
        }
        return try Program(graph)
    }
}
