internal import Keel
package import KeelProgram

/// A model from elsewhere that tells pictures, or rows of numbers, apart, or estimates a number of them, as what training can go on from.
package struct ImportedEstimator: Sendable {
    /// Of its weights, several copies of which training holds.
    package static let mostWeightBytes = 512 << 20

    /// What it takes, float32.
    package enum Input: Hashable, Sendable {
        /// `[batch, channels, height, width]`, or `[batch, height, width, channels]`; one channel or three.
        case pictures(channels: Int, height: Int, width: Int, areChannelsLast: Bool)
        /// `[batch, numbers]`.
        case rows(numbers: Int)

        /// The shape of one, as the model takes it.
        var sizes: [Int] {
            switch self {
            case .pictures(let channels, let height, let width, let areChannelsLast): areChannelsLast ? [height, width, channels] : [channels, height, width]
            case .rows(let numbers): [numbers]
            }
        }
    }

    /// How a network that goes on from it ends.
    package enum Ending: Hashable, Sendable {
        /// In a new last layer, in the place of its own.
        case newLayer(outputs: Int)
        /// In its own scores, as they are before a last softmax or sigmoid.
        case scores
        /// In the number that it answers.
        case value
    }

    package let model: ONNXModel
    package let input: Input
    private let output: String

    /// - Throws: `UntrainableModel` where the model doesn't take pictures of one size or rows of numbers, and answer with one float32 tensor.
    package init(_ model: ONNXModel) throws(UntrainableModel) {
        guard let input = model.inputs.first, model.inputs.count == 1 else {
            throw .input("it has \(model.inputs.count) inputs; one, of pictures or of rows of numbers, is expected")
        }
        self.input = try Input(input)
        // Classifiers may name the class as well.
        let outputs = model.outputs.filter { $0.kind == .float32 }
        guard let output = outputs.first, outputs.count == 1 else {
            throw .output("\(outputs.count) of its \(model.outputs.count) outputs are float32 tensors; one, of scores or of a number, is expected")
        }
        self.output = output.name
        let bytes = model.initializers.values.reduce(0) { sum, value in
            if case .tensor(let tensor, .float32) = value { sum + 4 * tensor.count } else { sum }
        }
        guard bytes <= Self.mostWeightBytes else { throw .weights(bytes: bytes, limit: Self.mostWeightBytes) }
        self.model = model
    }

    /// How a network goes on from it, found by running it on two random examples, forwards and backwards, and on one.
    ///
    /// - Parameter seconds: that the way forwards may take; nil: as the model's limits say.
    /// - Throws: `UntrainableModel`.
    package func plan(_ ending: Ending, within seconds: Int? = nil) throws(UntrainableModel) -> ImportedNetwork.Plan {
        let last = model.lastLayer(before: output), end: String
        switch ending {
        case .newLayer:
            guard let last else { throw .noLastLayer }
            end = last.features
        case .scores: end = model.logits(of: output) ?? output
        case .value: end = output
        }
        var generator = Philox(seed: 0)
        let one: Tensor, two: Tensor
        do {
            two = try .normal(Shape([2] + input.sizes), using: &generator)
            one = try .normal(Shape([1] + input.sizes), using: &generator)
        } catch {
            throw .run(error.facts)
        }
        var sizes: [Int] = [], size = 0, areChances = false
        let graph = try TrainableGraph.probed(model, upTo: end, on: two, within: seconds) { y throws(UntrainableModel) in
            sizes = try Self.sizes(y, of: 2)
            switch ending {
            case .newLayer:
                size = sizes[1]
                guard sizes.count == 2 || sizes.count == 4 && last?.isConvolution == true, size > 0 else { throw .noLastLayer }
            case .scores, .value:
                // Before a softmax that was taken off, and a change of shape, there may be axes of nothing.
                let long = sizes.dropFirst().filter { $0 != 1 }
                size = long.first ?? 1
                guard sizes.count == 2 || end != output, long.count <= 1, size > 0 else {
                    throw .output("for two examples it answers \(y.shape); [2, classes] or [2] is expected")
                }
                if ending == .scores, end == output { areChances = try self.areChances(y, classes: size) }
            }
        }
        let alone: Tensor
        do {
            alone = try graph(one, weights: graph.weights.map(\.tensor))
        } catch {
            throw .run(error.facts)
        }
        guard try Self.sizes(alone, of: 1).dropFirst() == sizes.dropFirst() else { throw .run("for a batch of 1 it makes \(alone.shape)") }
        let weights = graph.weights.map(\.name)
        guard case .newLayer(let outputs) = ending else {
            guard !weights.isEmpty else { throw .noWeights }
            return ImportedNetwork.Plan(output: end, weights: weights, outputs: size, areChances: areChances ? true : nil)
        }
        // A new last layer has weights of its own.
        return ImportedNetwork.Plan(output: end, weights: weights, features: size, outputs: outputs)
    }

    /// Of what the graph makes of so many examples; two at least.
    private static func sizes(_ y: Tensor, of count: Int) throws(UntrainableModel) -> [Int] {
        do {
            return try ImportedNetwork.rows(y, of: Dimension(count)).shape.sizes ?? []
        } catch {
            throw .run(error.facts)
        }
    }

    /// Whether scores of which no softmax or sigmoid could be taken off are chances all the same. Those of several classes come to 1; one alone may happen to
    /// lie between 0 and 1, and so must be made of one.
    private func areChances(_ y: Tensor, classes: Int) throws(UntrainableModel) -> Bool {
        let scores: [Float]
        do {
            scores = try y.elements(Float.self)
        } catch {
            throw .run(error.facts)
        }
        guard scores.allSatisfy({ $0 >= 0 && $0 <= 1.0001 }) else { return false }
        if classes == 1 { return model.isOfChances(output) }
        return stride(from: 0, to: scores.count, by: classes).allSatisfy { start in
            let sum: Float = scores[start..<start + classes].reduce(0, +)
            return abs(sum - 1) < 1e-4
        }
    }
}

extension ImportedEstimator.Input {
    private static let sides = 8...1024, numbers = 1...4096

    fileprivate init(_ port: ONNXModel.Port) throws(UntrainableModel) {
        let shape = port.sizes.map { "[\($0.map { $0.size.map(String.init) ?? $0.name ?? "?" }.joined(separator: ", "))]" } ?? "of any rank"
        let sizes = port.sizes?.dropFirst().map(\.size) ?? []
        func isChannels(_ size: Int?) -> Bool { size == 1 || size == 3 }
        switch (port.kind, sizes.count) {
        case (.float32, 1):
            guard let numbers = sizes[0], Self.numbers.contains(numbers) else {
                throw .input("its input '\(port.name)' is \(shape); a row must have a number of columns from \(Self.numbers.lowerBound) to \(Self.numbers.upperBound)")
            }
            self = .rows(numbers: numbers)
        case (.float32, 3) where isChannels(sizes[0]) || isChannels(sizes[2]):
            let areLast = !isChannels(sizes[0]), sides = areLast ? sizes.dropLast() : sizes.dropFirst()
            guard let height = sides.first ?? nil, let width = sides.last ?? nil, Self.sides.contains(height), Self.sides.contains(width) else {
                throw .input(
                    "its input '\(port.name)' is \(shape); height and width must be numbers from \(Self.sides.lowerBound) to \(Self.sides.upperBound)")
            }
            self = .pictures(channels: sizes[areLast ? 2 : 0] ?? 0, height: height, width: width, areChannelsLast: areLast)
        default:
            let kind = port.kind.map { "\($0)" } ?? "no tensor"
            throw .input(
                "its input '\(port.name)' is \(kind) \(shape); pictures are float32 [batch, 1 or 3, height, width] or [batch, height, width, 1 or 3], rows of a table float32 [batch, columns]")
        }
    }
}
