internal import Keel
package import KeelProgram

/// A model from elsewhere that tells pictures apart, as what training can go on from.
package struct ImportedClassifier: Sendable {
    /// Of its weights, several copies of which training holds.
    package static let mostWeightBytes = 512 << 20
    private static let sides = 8...1024

    package let model: ONNXModel
    /// What a picture is: planes, rows, columns.
    package let channels, height, width: Int

    /// - Throws: `UntrainableModel` where the model doesn't take pictures of one size, float32 `[batch, 1 or 3, height, width]`, and answer with one tensor.
    package init(_ model: ONNXModel) throws(UntrainableModel) {
        guard let input = model.inputs.first, model.inputs.count == 1 else { throw .input("it has \(model.inputs.count) inputs; one of pictures is expected") }
        let shape = input.sizes.map { "[\($0.map { $0.size.map(String.init) ?? $0.name ?? "?" }.joined(separator: ", "))]" } ?? "of any rank"
        guard input.kind == .float32, let sizes = input.sizes, sizes.count == 4, let channels = sizes[1].size, channels == 1 || channels == 3 else {
            throw .input("its input '\(input.name)' is \(input.kind.map { "\($0)" } ?? "no tensor") \(shape); pictures are float32 [batch, 1 or 3, height, width]")
        }
        guard let height = sizes[2].size, let width = sizes[3].size, Self.sides.contains(height), Self.sides.contains(width) else {
            throw .input(
                "its input '\(input.name)' is \(shape); height and width must be numbers from \(Self.sides.lowerBound) to \(Self.sides.upperBound)")
        }
        guard let output = model.outputs.first, model.outputs.count == 1 else { throw .output("it has \(model.outputs.count) outputs; one of scores is expected") }
        guard output.kind == .float32 else { throw .output("its output '\(output.name)' isn't float32") }
        let bytes = model.initializers.values.reduce(0) { sum, value in
            if case .tensor(let tensor, .float32) = value { sum + 4 * tensor.count } else { sum }
        }
        guard bytes <= Self.mostWeightBytes else { throw .weights(bytes: bytes, limit: Self.mostWeightBytes) }
        (self.model, self.channels, self.height, self.width) = (model, channels, height, width)
    }

    /// How a network goes on from it, found by running it once on two random pictures, forwards and backwards.
    ///
    /// - Parameters:
    ///   - classes: that a new last layer tells apart; nil where the model's own stays.
    ///   - seconds: that the way forwards may take; nil: as the model's limits say.
    /// - Throws: `UntrainableModel`.
    package func plan(newClasses classes: Int?, within seconds: Int? = nil) throws(UntrainableModel) -> ImportedNetwork.Plan {
        guard let output = classes == nil ? model.logits : model.lastFeatures else { throw .noLastLayer }
        var generator = Philox(seed: 0)
        let pictures: Tensor
        do {
            pictures = try .normal([2, channels, height, width], using: &generator)
        } catch {
            throw .run(error.facts)
        }
        var size = 0
        let graph = try TrainableGraph.probed(model, upTo: output, on: pictures, within: seconds) { shape throws(UntrainableModel) in
            guard let sizes = shape.sizes, sizes.first == 2 else { throw .run("of two pictures it makes \(shape)") }
            if classes == nil {
                guard sizes.count == 2, sizes[1] > 0 else { throw .output("for two pictures it answers \(shape); [2, classes] is expected") }
            } else {
                guard sizes.count == 2 || sizes.count == 4, sizes[1] > 0 else { throw .noLastLayer }
            }
            size = sizes[1]
        }
        let weights = graph.weights.map(\.name)
        // A new last layer has weights of its own.
        guard classes != nil || !weights.isEmpty else { throw .noWeights }
        return ImportedNetwork.Plan(output: output, weights: weights, channels: channels, features: classes == nil ? nil : size, classes: classes ?? size)
    }
}
