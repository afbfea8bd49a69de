public import Keel
public import KeelNN

/// A network of the library, as it is called by name: with all its inputs, giving all its outputs, in the order in which its `NamedNetwork`
/// lists them. Each has a call of its own beside this one, which reads better where the type is known.
public protocol Network: Module {
    func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor]
}

extension Network where Self: Layer {
    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        guard inputs.count == 1 else {
            throw TensorError(.argument(primitive: "\(Self.self)", name: "inputs", given: "\(inputs.count)", allowed: "1"))
        }
        return [try self(inputs[0], in: context)]
    }
}

/// What a network takes or gives.
public struct NetworkPort: Sendable, Hashable {
    public let name: String
    /// Sizes that differ from call to call are symbols, `batch` or `time`, or what becomes of them.
    public let spec: TensorSpec

    init(_ name: String, _ sizes: [NetworkSize], _ dtype: DType = .float32) {
        self.name = name
        var shape = Shape([Int](repeating: 0, count: sizes.count))
        for (axis, size) in sizes.enumerated() { shape[axis] = size.dimension }
        spec = TensorSpec(shape, dtype)
    }
}

/// A size in a list of ports: a number, a symbol's name, or an expression.
struct NetworkSize: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
    let dimension: Dimension
    init(integerLiteral number: Int) { dimension = Dimension(number) }
    init(stringLiteral name: String) { dimension = .symbol(name) }
    init(_ number: Int) { dimension = Dimension(number) }
    init(_ dimension: Dimension) { self.dimension = dimension }
}
