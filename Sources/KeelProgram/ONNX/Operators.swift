/// An operator: from which opset on it has this form, and what computes it.
struct Operator: Sendable {
    let name: String
    let domain: String
    let opsets: ClosedRange<Int>
    let compute: @Sendable (OperatorCall) throws -> [ONNXValue]

    init(_ name: String, _ since: Int = 1, until: Int = .max, domain: String = "", _ compute: @escaping @Sendable (OperatorCall) throws -> [ONNXValue]) {
        self.name = name
        self.domain = domain
        opsets = since...until
        self.compute = compute
    }
}

/// The operators that can be computed.
enum Operators {
    struct Key: Hashable {
        let domain: String, name: String
    }

    private static let table: [Key: [Operator]] = Dictionary(
        grouping: elementwise + logical + wholeNumbers + products + convolutions + poolings + normalisations + reductions + arranging + indexing
            + constants + activations + ordering + recurrent + quantisation + control + sequences + pictures + regions + signal + losses
            + attention + text + trees + supportVectors + linearModels + features,
        by: { Key(domain: $0.domain, name: $0.name) })

    static func find(_ node: ONNX.Node, _ opset: Int) -> Operator? {
        table[Key(domain: node.domain, name: node.type)]?.first { $0.opsets.contains(opset) }
    }

    /// Why a node can't be computed; nil where it can.
    static func reasonAgainst(_ node: ONNX.Node, _ opset: Int) -> String? {
        guard let known = table[Key(domain: node.domain, name: node.type)] else { return "isn't known" }
        if opset == 0 { return "the model doesn't name the operator set '\(node.domain)'" }
        if known.contains(where: { $0.opsets.contains(opset) }) { return nil }
        return "known in opsets \(known.map { $0.opsets.upperBound == .max ? "\($0.opsets.lowerBound) and later" : "\($0.opsets.lowerBound) to \($0.opsets.upperBound)" }.joined(separator: ", "))"
    }
}
