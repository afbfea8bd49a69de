internal import Keel

extension Pass {
    /// Takes away what nothing reads: nodes, constants, and residuals whose gradient is gone. Inputs and updates of the state stay.
    public static let deadCode = Pass("dead-code") { graph throws(TensorError) in
        let before = graph.nodes.count + graph.constants.count
        var isRead = [Bool](repeating: false, count: graph.specs.count), kept: [Graph.Node] = [], dropsResiduals = false
        for port in graph.outputs { isRead[port.value] = true }
        for state in graph.states { isRead[state.last] = true }
        for var node in graph.nodes.reversed() where node.outputs.contains(where: { isRead[$0] }) {
            let residuals = node.outputs.suffix(node.residuals)
            if node.residuals > 0, !residuals.contains(where: { isRead[$0] }) {
                node.outputs.removeLast(node.residuals)
                node.residuals = 0
                dropsResiduals = true
            }
            for value in node.inputs { isRead[value] = true }
            kept.append(node)
        }
        graph.nodes = kept.reversed()
        graph.constants = graph.constants.filter { isRead[$0.key] }
        return dropsResiduals || graph.nodes.count + graph.constants.count < before
    }
}
