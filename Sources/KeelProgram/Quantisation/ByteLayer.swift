#if canImport(Glibc)
import Glibc
#endif
package import Keel

/// A node of a program whose weights can be bytes.
struct ByteLayer {
    /// Runs of samples on which each layer's noise is measured.
    static let measuredSamples = 16

    let place: Int
    let node: Graph.Node
    /// The weights that become bytes, by their places among the node's inputs.
    let weights: [Int: QuantisedWeights]
    let kind: Quantisation.Kind
    /// Of what it reads, for static quantisation.
    var range: ClosedRange<Float> = 0...0
    /// What its result has in common with that of floats, in decibels.
    var signalToNoise = 0.0

    /// What it reads.
    var input: Graph.Value { node.inputs[0] }

    /// All that there are, in the graph's order.
    static func all(in graph: Graph, _ kind: Quantisation.Kind) throws -> [ByteLayer] {
        var known: [Graph.Value: QuantisedWeights] = [:], layers: [ByteLayer] = []
        for (place, node) in graph.nodes.enumerated() {
            guard node.residuals == 0, let form = node.primitive.withBytes(kind.sampleInput, SpecList(node.inputs.map { graph.specs[$0] })),
                form.weights.allSatisfy({ graph.constants[node.inputs[$0]] != nil })
            else { continue }
            var weights: [Int: QuantisedWeights] = [:]
            for place in form.weights {
                let value = node.inputs[place]
                guard let constant = graph.constants[value] else { continue }
                let made = try known[value] ?? QuantisedWeights(constant, bits: kind == .weights ? 8 : 7)
                (known[value], weights[place]) = (made, made)
            }
            layers.append(ByteLayer(place: place, node: node, weights: weights, kind: kind))
        }
        return layers
    }

    /// How its primitive takes what it reads.
    var reads: ByteInput {
        switch kind {
        case .static: .scaled(ByteScale(covering: range))
        case .dynamic: .measured
        case .weights: .float
        }
    }

    /// The primitive of bytes in its place.
    func primitive(_ specs: [TensorSpec]) -> any Primitive {
        guard let made = node.primitive.withBytes(reads, SpecList(node.inputs.map { specs[$0] }))?.primitive else {
            preconditionFailure("what was chosen has a form of bytes")
        }
        return made
    }

    /// With something else in the place of each weight: its bytes and their scales.
    func inputs<Input>(_ input: (Graph.Value) -> Input, _ bytes: (_ place: Int, QuantisedWeights) -> [Input]) -> [Input] {
        node.inputs.enumerated().flatMap { place, value in weights[place].map { bytes(place, $0) } ?? [input(value)] }
    }
}

extension Quantisation.Kind {
    /// How layers are asked whether they have a form of bytes.
    fileprivate var sampleInput: ByteInput {
        switch self {
        case .static: .scaled(ByteScale(covering: 0...1))
        case .dynamic: .measured
        case .weights: .float
        }
    }
}

extension Program {
    /// With these layers' weights as bytes.
    func rewritten(_ layers: [ByteLayer]) throws(TensorError) -> Program {
        var graph = graph, known: [Graph.Value: [Graph.Value]] = [:]
        for layer in layers {
            graph.nodes[layer.place].primitive = layer.primitive(graph.specs)
            graph.nodes[layer.place].inputs = layer.inputs { $0 } _: { place, weights in
                let value = layer.node.inputs[place], made = known[value] ?? [graph.constant(weights.bytes), graph.constant(weights.scales)]
                known[value] = made
                return made
            }
        }
        _ = try Pass.deadCode.rewrite(&graph)
        return try Program(graph)
    }

    /// Notes how far each layer's own result is from what floats give, of what it reads when all before it are floats; of its weights where there are no
    /// samples.
    func measureNoise(of layers: inout [ByteLayer], on samples: some Collection<[Tensor]>) throws {
        guard !layers.isEmpty else { return }
        var noises = [Noise](repeating: Noise(), count: layers.count)
        if samples.isEmpty {
            for place in layers.indices {
                for (input, weights) in layers[place].weights {
                    guard let constant = graph.constants[layers[place].node.inputs[input]] else { continue }
                    try noises[place].add(weights.floats(), expected: constant)
                }
            }
        } else {
            let read = Set(layers.flatMap { $0.node.inputs.filter { graph.constants[$0] == nil } }).sorted(), watched = try watching(read)
            let primitives = layers.map { $0.primitive(graph.specs) }
            for sample in samples {
                var values = graph.constants
                for (value, tensor) in zip(read, try watched.run(sample)) { values[value] = tensor }
                func known(_ value: Graph.Value) -> Tensor {
                    guard let tensor = values[value] else { preconditionFailure("value \(value) is constant or was watched") }
                    return tensor
                }
                for (place, layer) in layers.enumerated() {
                    let expected = try layer.node.run(layer.node.inputs.map(known))[0]
                    let made = try primitives[place].runStep(layer.inputs(known) { [$1.bytes, $1.scales] }, outputs: layer.node.outputs.count, residuals: 0)[0]
                    try noises[place].add(made, expected: expected)
                }
            }
        }
        for place in layers.indices { layers[place].signalToNoise = noises[place].decibels }
    }
}

/// Sums of squares of what is right and of what is wrong with it.
package struct Noise {
    private var signal = 0.0, noise = 0.0

    package init() {}

    package mutating func add(_ found: Tensor, expected: Tensor) throws(TensorError) {
        signal += Double(try expected.squared().sum().item())
        noise += Double(try (found - expected).squared().sum().item())
    }

    /// At most 200, of what has no noise; -200 where results aren't finite.
    package var decibels: Double {
        if noise == 0 { return 200 }
        guard noise.isFinite, signal.isFinite else { return -200 }
        return min(200, 10 * log10(max(signal, .leastNormalMagnitude) / noise))
    }
}
