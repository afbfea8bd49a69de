package import Keel

/// What a program computes, in single assignment: every value is made once, by a node, or is an input or a constant. Nodes come after those
/// whose values they read.
package struct Graph: Sendable {
    /// A value's number: its place among the specs.
    package typealias Value = Int

    package struct Node: Sendable {
        package var primitive: any Primitive
        package var inputs: [Value]
        package var outputs: [Value]
        /// How many of the outputs, the last ones, only gradients read.
        package var residuals = 0
        /// Who called it when it was traced.
        package var origin: CallStack?
    }

    package struct Port: Sendable {
        package let name: String
        package var value: Value
    }

    package var specs: [TensorSpec]
    package var constants: [Value: Tensor]
    package var nodes: [Node]
    package var inputs: [Port]
    package var outputs: [Port]
    /// Memory that a run reads and writes in place.
    package var states: [State] = []

    package struct State: Sendable {
        package let memory: TensorMemory
        /// What stands for it before and after: each update makes a new value of it.
        package let first: Value
        package var last: Value
    }

    /// A new value.
    package mutating func value(_ spec: TensorSpec) -> Value {
        specs.append(spec)
        return specs.count - 1
    }

    package mutating func constant(_ tensor: Tensor) -> Value {
        let new = value(tensor.spec)
        constants[new] = tensor
        return new
    }

    /// How often each value is read, the program's outputs included.
    package var uses: [Int] {
        var uses = [Int](repeating: 0, count: specs.count)
        for node in nodes { for value in node.inputs { uses[value] += 1 } }
        for port in outputs { uses[port.value] += 1 }
        for state in states { uses[state.last] += 1 }
        return uses
    }

    /// The place of the node that makes each value; nil for inputs and constants.
    package var makers: [Int?] {
        var makers = [Int?](repeating: nil, count: specs.count)
        for (place, node) in nodes.enumerated() { for value in node.outputs { makers[value] = place } }
        return makers
    }

    /// With other values read in place of some, which may be replaced in turn.
    package mutating func replace(_ replacements: [Value: Value]) {
        guard !replacements.isEmpty else { return }
        func last(_ value: Value) -> Value {
            var value = value
            while let next = replacements[value] { value = next }
            return value
        }
        for place in nodes.indices { nodes[place].inputs = nodes[place].inputs.map(last) }
        for place in outputs.indices { outputs[place].value = last(outputs[place].value) }
        for place in states.indices { states[place].last = last(states[place].last) }
    }

    /// How many updates there are before each node. Two nodes with as many see the same state.
    package var updatesBefore: [Int] {
        var count = 0
        return nodes.map { node in
            defer { if node.isUpdate { count += 1 } }
            return count
        }
    }
}

extension Graph.Node {
    package var isUpdate: Bool { !type(of: primitive).overwrites.isEmpty }

    /// What it makes of its inputs' values; it is no update.
    func run(_ values: [Tensor]) throws(TensorError) -> [Tensor] {
        try primitive.runStep(values, outputs: outputs.count - residuals, residuals: residuals)
    }
}
