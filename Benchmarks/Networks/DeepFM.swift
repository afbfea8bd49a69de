package import Keel
package import KeelNN

/// DeepFM (Guo et al., 2017). `ids [batch, fields]`, `dense [batch, numbers]` → logits `[batch, 1]`.
package struct DeepFM: Layer {
    var first, second: Embedding
    var dense: Linear
    var deep: Sequential

    package init(rows: Int, features: Int, fields: Int, numbers: Int, widths: [Int], using generator: inout Philox) throws(TensorError) {
        first = try Embedding(rows, 1, deviation: 0.01, using: &generator)
        second = try Embedding(rows, features, deviation: 0.01, using: &generator)
        dense = try Linear(numbers, 1, using: &generator)
        var layers: [any Layer] = [], from = fields * features + numbers
        for width in widths {
            layers += [try Linear(from, width, using: &generator), Activation.relu] as [any Layer]
            from = width
        }
        layers.append(try Linear(from, 1, using: &generator))
        deep = Sequential(layers)
    }

    package func callAsFunction(_ ids: Tensor, _ numbers: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let e = try second(ids, in: context)                                                      // [batch, fields, features]
        let linear = try first(ids, in: context).sum([1]) + dense(numbers, in: context)           // [batch, 1]
        let pairs = try (e.sum([1]).squared() - e.squared().sum([1])).sum([1], keepingAxes: true) * 0.5
        return try linear + pairs + deep(.concatenated([e.flattened(from: 1), numbers], axis: 1), in: context)
    }

    /// The ids alone, with no numbers: what the protocol asks for.
    package func callAsFunction(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try self(ids, .zeros([ids.shape.size(0), dense.weight.shape.size(1)]), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try dense.forEachState(body, under: "dense")
        try deep.forEachState(body, under: "deep")
    }
}
