internal import Keel

/// How the values of a plan lie between its steps: plain, or with their channels in blocks, as convolutions make them. Each step is given its inputs the
/// way its kernel works on them, and a value that lies otherwise is moved there once for all steps that want it so.
///
/// A step is given a plain copy of a blocked value where
/// - its kernel takes no blocks;
/// - it goes through numbers one by one, or joins or cuts tensors, of inputs that don't lie alike, and so makes something plain;
/// - its result is plain and has the input's shape: the kernel works on both place by place.
///
/// All other inputs are read as they lie. So no byte is moved that the kernels wouldn't have moved themselves, each for itself, and what is moved lies in
/// the arena, where it can be shared and written over; it lies there until its last reader, which the plan counts. Nothing is moved from plain to blocks: what
/// convolutions read that way they reorder within, as oneDNN wants it for their sizes.
///
/// Layouts depend on sizes and on the processor, so this belongs to a plan and not to the graph.
struct LayoutAssignment {
    /// Without it every value is read plain.
    let isOn: Bool
    /// The plain copies of blocked values.
    private var copies: [Graph.Value: Graph.Value] = [:]

    init(isOn: Bool) { self.isOn = isOn }

    /// The node as it is to run, after the moves that it needs.
    ///
    /// - Parameter values: how those that are made so far lie. New ones get the next numbers.
    mutating func steps(for node: Graph.Node, _ values: [Tensor?]) throws(TensorError) -> [Graph.Node] {
        guard !node.isUpdate else { return [node] }
        var node = node, moves: [Graph.Node] = []
        let inputs = node.inputs.compactMap { values[$0] }, areRead = try readPlain(by: node, inputs)
        for (place, value) in node.inputs.enumerated() where areRead[place] {
            guard let move = inputs[place].unblocking else { continue }
            let copy = copies[value] ?? values.count + moves.count
            if copies.updateValue(copy, forKey: value) == nil { moves.append(Graph.Node(primitive: move, inputs: [value], outputs: [copy])) }
            node.inputs[place] = copy
        }
        return moves + [node]
    }

    /// For each input whether its numbers are to lie plain.
    private func readPlain(by node: Graph.Node, _ inputs: [Tensor]) throws(TensorError) -> [Bool] {
        let all = [Bool](repeating: true, count: inputs.count), kind = type(of: node.primitive)
        guard isOn, kind.takesBlocked else { return all }
        guard inputs.contains(where: { $0.layout != .strided }) else { return all.map { _ in false } }
        let made = try node.primitive.places(inputs, outputs: node.outputs.count - node.residuals, residuals: node.residuals).outputs[0]
        guard made.layout == .strided else { return all.map { _ in false } }
        // What makes blocks itself is a convolution, whose first input lies as it likes.
        if !kind.makesBlocked, kind.takesHalf || node.primitive is any InPlace { return all }
        return inputs.enumerated().map { place, input in input.shape == made.shape && !(kind.makesBlocked && place == 0) }
    }
}
