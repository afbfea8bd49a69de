public import Keel
public import KeelNN

/// What a named network is made of and gives, found without numbers: neither memory nor work goes into its weights.
public struct NetworkDescription: Sendable {
    /// A piece of state.
    public struct Part: Sendable, Hashable {
        public let name: String
        public let kind: StateKind
        public let spec: TensorSpec
    }

    public let parts: [Part]
    /// What its outputs are for the inputs of its entry, symbols included.
    public let outputs: [TensorSpec]

    /// How many numbers are trained.
    public var parameters: Int { parts.reduce(0) { $0 + ($1.kind == .parameter ? $1.spec.shape.sizes?.reduce(1, *) ?? 0 : 0) } }
}

extension NamedNetwork {
    /// - Parameter classes: another number than it was published with.
    /// - Throws: what making or calling the network throws.
    public func described(classes: Int? = nil) throws -> NetworkDescription {
        var parts: [NetworkDescription.Part] = []
        let trace = try Trace(inputs.map(\.spec), state: [], isDescription: true) { tensors in
            var generator = Philox(seed: 0)
            let network = try make(classes: classes, using: &generator)
            parts = try network.state().map { NetworkDescription.Part(name: $0.name, kind: $0.kind, spec: $0.tensor.spec) }
            return zip(outputs, try network(tensors, in: .prediction)).map { ($0.name, $1) }
        }
        return NetworkDescription(parts: parts, outputs: trace.results.map { trace.specs[$0.value] })
    }
}
