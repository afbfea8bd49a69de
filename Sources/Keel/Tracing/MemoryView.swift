/// A tensor that lies somewhere in a program's state: a view of the memory, whose elements it neither counts nor knows the kinds of.
struct MemoryView: Primitive {
    let spec: TensorSpec
    let strides: [Int]
    /// In elements from the memory's start.
    let offset: Int

    init(_ descriptor: Descriptor) {
        spec = descriptor.spec
        strides = (0..<descriptor.shape.rank).map { descriptor.strides[$0] }
        offset = descriptor.offset
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(spec) }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        var all = Strides(repeating: 0)
        for (axis, stride) in strides.enumerated() { all[axis] = stride }
        return Tensor(input.storage, Descriptor(spec, strides: all, offset: offset, count: try spec.shape.elementCount()))
    }

    static var kernels: Kernels<MemoryView> { .copying }
}

extension Primitive {
    /// What it shows of a program's state, for a primitive that does nothing else; nil for others.
    package func shown(of memory: TensorMemory) throws(TensorError) -> Tensor? {
        guard let primitive = self as? MemoryView else { return nil }
        return try primitive.view(Tensor(memory.storage, Descriptor(dense: TensorSpec([], .uint8), count: 1)))
    }
}
