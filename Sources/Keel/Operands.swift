/// A primitive's inputs or outputs. Up to three lie inline, so that the usual primitive allocates no list.
public struct Operands: Sendable {
    private let first: Tensor
    private let second, third: Tensor?
    private let rest: [Tensor]?
    public let count: Int

    @inline(__always) public init(_ a: Tensor) {
        first = a
        second = nil
        third = nil
        rest = nil
        count = 1
    }

    @inline(__always) public init(_ a: Tensor, _ b: Tensor) {
        first = a
        second = b
        third = nil
        rest = nil
        count = 2
    }

    @inline(__always) public init(_ a: Tensor, _ b: Tensor, _ c: Tensor) {
        first = a
        second = b
        third = c
        rest = nil
        count = 3
    }

    /// - Precondition: one tensor at least.
    public init(_ tensors: [Tensor]) {
        precondition(!tensors.isEmpty, "a primitive has one input and one output at least")
        first = tensors[0]
        second = tensors.count > 1 ? tensors[1] : nil
        third = tensors.count > 2 ? tensors[2] : nil
        rest = tensors.count > 3 ? Array(tensors[3...]) : nil
        count = tensors.count
    }

    /// Some of `values`, which are there.
    package init(_ values: [Tensor?], at places: [Int]) {
        func value(_ i: Int) -> Tensor {
            guard let tensor = values[places[i]] else { preconditionFailure("value \(places[i]) is read before it is made") }
            return tensor
        }
        first = value(0)
        second = places.count > 1 ? value(1) : nil
        third = places.count > 2 ? value(2) : nil
        rest = places.count > 3 ? (3..<places.count).map(value) : nil
        count = places.count
    }

    public subscript(_ index: Int) -> Tensor {
        @inline(__always) get {
            switch index {
            case 0: return first
            case 1: if let second { return second }
            case 2: if let third { return third }
            default: if let rest { return rest[index - 3] }
            }
            preconditionFailure("operand \(index) of \(count)")
        }
    }
}
