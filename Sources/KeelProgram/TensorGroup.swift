public import Keel

/// What a traced function gives: tensors with names. A tensor alone is `output`; those in an array are numbered, those in a dictionary are
/// named by their keys, in alphabetical order; groups in groups have dots between their names.
public protocol TensorGroup {
    /// Calls `body` for each tensor. The name of a tensor that is alone is empty.
    func forEachTensor(_ body: (_ name: String, Tensor) throws -> Void) rethrows
}

extension Tensor: TensorGroup {
    public func forEachTensor(_ body: (_ name: String, Tensor) throws -> Void) rethrows { try body("", self) }
}

extension Array: TensorGroup where Element: TensorGroup {
    public func forEachTensor(_ body: (_ name: String, Tensor) throws -> Void) rethrows {
        for (place, group) in enumerated() { try group.forEachTensor(under: "\(place)", body) }
    }
}

extension Dictionary: TensorGroup where Key == String, Value: TensorGroup {
    public func forEachTensor(_ body: (_ name: String, Tensor) throws -> Void) rethrows {
        for (key, group) in sorted(by: { $0.key < $1.key }) { try group.forEachTensor(under: key, body) }
    }
}

extension TensorGroup {
    /// As `forEachTensor`, with `name` before each name.
    public func forEachTensor(under name: String, _ body: (_ name: String, Tensor) throws -> Void) rethrows {
        try forEachTensor { inner, tensor in try body(inner.isEmpty ? name : "\(name).\(inner)", tensor) }
    }
}
