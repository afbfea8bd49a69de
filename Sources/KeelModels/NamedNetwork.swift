public import Keel

/// A network by name: one configuration of one of the library's types, as it was published.
///
/// ```swift
/// var generator = Philox(seed: 1)
/// let entry = try NamedNetwork("resnet-18")
/// let network = try entry.make(classes: 10, using: &generator)
/// let logits = try network([pictures], in: .prediction)[0]
/// ```
public struct NamedNetwork: Sendable {
    /// What a network is for.
    public enum Area: String, Sendable, CaseIterable {
        case pictures, segmentation, detection, text, recommendation, tables, forecasting, speech, generation, graphs
    }

    /// The number of parameters that others count.
    public struct Count: Sendable, Hashable {
        public let parameters: Int
        /// The unit of the last digit that is given: 1 where the number is exact.
        public let rounding: Int
        /// Who says so.
        public let source: String

        static func exact(_ parameters: Int, _ source: String) -> Count { Count(parameters: parameters, rounding: 1, source: source) }
        static func rounded(_ parameters: Double, to unit: Double, _ source: String) -> Count {
            Count(parameters: Int(parameters), rounding: Int(unit), source: source)
        }
    }

    /// Lower-case words with hyphens.
    public let name: String
    public let area: Area
    /// The type that it is a configuration of.
    public let type: String
    public let paper: String
    /// How many numbers are trained, with the number of classes that it was published with.
    public let parameters: Int
    public let published: Count?
    public let inputs, outputs: [NetworkPort]
    /// How many classes it tells apart unless told otherwise; nil where that is no question.
    public let classes: Int?
    private let build: @Sendable (_ classes: Int, inout Philox) throws(TensorError) -> any Network

    /// A network that tells classes apart.
    init(
        _ name: String, _ area: Area, _ type: any Network.Type, paper: String, parameters: Int, published: Count? = nil, inputs: [NetworkPort],
        outputs: [NetworkPort], classes: Int, _ build: @escaping @Sendable (_ classes: Int, inout Philox) throws(TensorError) -> any Network
    ) {
        self.name = name
        self.area = area
        self.type = Self.name(of: type)
        self.paper = paper
        self.parameters = parameters
        self.published = published
        self.inputs = inputs
        self.outputs = outputs
        self.classes = classes
        self.build = build
    }

    /// A network that doesn't tell classes apart.
    init(
        _ name: String, _ area: Area, _ type: any Network.Type, paper: String, parameters: Int, published: Count? = nil, inputs: [NetworkPort],
        outputs: [NetworkPort], _ build: @escaping @Sendable (inout Philox) throws(TensorError) -> any Network
    ) {
        self.name = name
        self.area = area
        self.type = Self.name(of: type)
        self.paper = paper
        self.parameters = parameters
        self.published = published
        self.inputs = inputs
        self.outputs = outputs
        classes = nil
        self.build = { (_, generator) throws(TensorError) in try build(&generator) }
    }

    /// Finds a network by its name.
    ///
    /// - Throws: `TensorError.argument` with the names that are most like it.
    public init(_ name: String) throws(TensorError) {
        guard let found = Self.all.first(where: { $0.name == name }) else {
            throw TensorError(.argument(primitive: "NamedNetwork", name: "name", given: name, allowed: Self.likeliest(name)))
        }
        self = found
    }

    /// The network with weights as its type begins with them.
    ///
    /// - Parameter classes: another number than it was published with.
    /// - Throws: `TensorError.argument` for a number of classes below 1, or where classes are no question.
    public func make(classes: Int? = nil, using generator: inout Philox) throws(TensorError) -> any Network {
        guard classes == nil || self.classes != nil && (1...1_000_000).contains(classes ?? 0) else {
            throw TensorError(
                .argument(
                    primitive: name, name: "classes", given: "\(classes ?? 0)",
                    allowed: self.classes == nil ? "none: it doesn't tell classes apart" : "1...1000000"))
        }
        return try build(classes ?? self.classes ?? 0, &generator)
    }

    /// A type's name, without what it is generic over.
    static func name(of type: any Network.Type) -> String { String("\(type)".prefix { $0 != "<" }) }

    private static func likeliest(_ name: String) -> String {
        let pieces = Set(name.lowercased().split { !$0.isLetter && !$0.isNumber })
        let alike = all.map { entry in (entry.name, pieces.count { entry.name.contains($0) }) }.filter { $0.1 > 0 }
        let best = alike.map(\.1).max() ?? 0
        let names = best == 0 ? all.map(\.name) : alike.filter { $0.1 == best }.map(\.0)
        return names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", ..." : "")
    }
}
