/// A variable: where gradients end.
final class Leaf: Node, @unchecked Sendable {
    let parameterName: String?
    /// The sum of the gradients of all passes since it was cleared.
    var total: Tensor?
    /// Flat memory for `total`, where a store provides it.
    var destination: Tensor?
    /// Whether gradients of rows stay rows; and those that arrived since they were cleared.
    var isTable = false
    var rows: [RowGradient] = []

    init(name: String?) {
        parameterName = name
        super.init(isLeaf: true)
    }

    override var name: String { parameterName ?? "variable" }
}

extension Tensor {
    /// This tensor as a parameter whose gradients `backward` adds to `gradient`, which may be a part of flat memory.
    public func parameter(named name: String, gradient: Tensor) -> Tensor {
        let leaf = Leaf(name: name)
        leaf.destination = gradient
        leaf.total = gradient
        return Tensor(storage, descriptor, node: leaf)
    }

    /// This tensor as a variable whose rows are looked up: what `gathered` finds along its first axis stays rows and values in `rowGradients`
    /// and is never spread over a table of zeros. Other gradients, and those that `gradients(of:)` gives, are dense.
    public func table(named name: String? = nil) -> Tensor {
        let leaf = Leaf(name: name)
        leaf.isTable = true
        return Tensor(storage, descriptor, node: leaf)
    }
}

/// A gradient of some rows of a table: `values [n, ...]` is to be added at `indices [n]`. A row may be there more than once.
public struct RowGradient: Sendable {
    public let indices, values: Tensor
}
