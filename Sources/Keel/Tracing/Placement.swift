// What a program's executor needs of Keel beside its kernels: to know before anything runs how each value will lie, and to have kernels fill
// memory that it gives them.

/// Where the bytes of placeholders would begin.
///
/// Unchecked because nobody reads or writes there.
private final class Nowhere: @unchecked Sendable {
    static let shared = Nowhere()
    let start = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
}

/// Memory in which tensors of a program lie.
package struct TensorMemory: Sendable {
    let storage: Storage

    /// New memory.
    package init(bytes: Int) throws(TensorError) { storage = try Storage(bytes: bytes, on: .cpu) }

    /// A part of other memory, from an offset on.
    package init(_ whole: TensorMemory, at offset: Int) {
        storage = Storage(borrowing: whole.storage.base + offset, from: whole.storage, on: CPU.shared)
    }

    /// New memory with the same bytes as memory of the pool, as far as its block goes.
    ///
    /// - Throws: `TensorError.custom` where the bytes are elsewhere, as in a mapped file: nobody knows how many they are.
    package func copied() throws(TensorError) -> TensorMemory {
        guard let end = storage.blockEnd else { throw TensorError(.custom("state that isn't memory of the pool can't be left as it is")) }
        let copy = try TensorMemory(bytes: end - storage.base)
        copy.storage.base.copyMemory(from: storage.base, byteCount: end - storage.base)
        return copy
    }

    /// All that the tensor's own memory is.
    init(sharing tensor: Tensor) { storage = tensor.storage }

    /// Tells of updates in place, so that a gradient knows which tensors are no longer what they were.
    package func noteUpdate() { storage.version &+= 1 }

    /// A dense tensor's, from its first element on.
    package init(of tensor: Tensor) { storage = Storage(borrowing: tensor.bytes, from: tensor.storage, on: CPU.shared) }
}

extension Tensor {
    /// How a dense tensor will lie, in memory that isn't there yet.
    package static func placeholder(_ spec: TensorSpec) throws(TensorError) -> Tensor {
        placeholder(Descriptor(dense: spec, count: try spec.shape.elementCount()))
    }

    /// Nothing reads or writes its bytes; its memory is there to be told apart.
    fileprivate static func placeholder(_ descriptor: Descriptor) -> Tensor {
        Tensor(Storage(borrowing: Nowhere.shared.start, from: Nowhere.shared, on: CPU.shared), descriptor)
    }

    /// Tensors that lie in the same memory have the same one, as long as one of them is there.
    package var memoryIdentity: ObjectIdentifier { ObjectIdentifier(storage) }

    /// Bytes that memory of its own takes.
    package var memoryBytes: Int { descriptor.storageBytes }

    /// Of the pool's block in which it lies; 0 where its bytes are elsewhere, as in a mapped file.
    package var poolBytes: Int { storage.poolBytes }

    /// What lies like this placeholder, in memory that is there.
    package func placed(in memory: TensorMemory) -> Tensor { Tensor(memory.storage, descriptor) }

    /// The same numbers in memory of their own, with so many bytes around them as their memory has.
    package func copied(_ bytes: Int) throws(TensorError) -> Tensor {
        let copy = try Storage(bytes: bytes, on: .cpu)
        copy.base.copyMemory(from: storage.base, byteCount: bytes)
        return Tensor(copy, descriptor)
    }

    /// The primitive that makes it plain, if it is channel-blocked.
    package var unblocking: (any Primitive)? { descriptor.isBlocked ? Contiguous() : nil }
}

extension Primitive {
    /// How the outputs will lie: as views of the input, or in memory of their own.
    package func places(
        _ inputs: [Tensor], outputs count: Int, residuals: Int
    ) throws(TensorError) -> (outputs: [Tensor], areViews: Bool) {
        if inputs.count == 1, residuals == 0, !inputs[0].descriptor.isBlocked {
            if count > 1, let views = try views(inputs[0]) { return (views, true) }
            if count == 1, let view = try view(inputs[0]) { return ([view], true) }
        }
        let operands = Operands(inputs), specs = SpecList(of: operands)
        let made = try outputs(specs), kept = try residuals > 0 ? self.residuals(specs) : SpecList()
        var outputs: [Tensor] = []
        for (list, count) in [(made, made.count), (kept, kept.count)] {
            for i in 0..<count {
                let elements = try list[i].shape.elementCount()
                outputs.append(.placeholder(Descriptor(list[i], layout(operands, output: list[i]), count: elements)))
            }
        }
        return (outputs, false)
    }
}

/// When the programs that this thread runs, those within kernels of others too, begin no step any more.
///
/// An object, since most runs have none: an optional instant is copied by calls into the standard library, each as long as a small addition.
package final class RunDeadline: Sendable {
    private let instant: ContinuousClock.Instant

    package init(_ instant: ContinuousClock.Instant) { self.instant = instant }

    package var isOver: Bool { ContinuousClock.now > instant }

    package static var current: RunDeadline? {
        get { ThreadState.current.deadline }
        set { ThreadState.current.deadline = newValue }
    }
}

/// Runs programs within a kernel. What their kernels free is free at once: they may be many, one after the other.
package func runningPrograms<R>(_ body: () throws(TensorError) -> R) throws(TensorError) -> R {
    let state = ThreadState.current, outer = (state.kernelsRunning, state.heldBack)
    (state.kernelsRunning, state.heldBack) = (0, [])
    defer { (state.kernelsRunning, state.heldBack) = outer }
    return try body()
}

extension Tensor {
    /// Gives its numbers to a tensor of the same spec that is being made.
    package func write(over target: Tensor) {
        guard descriptor.isDense, target.descriptor.isDense else { return move(self, to: target) }
        target.bytes.copyMemory(from: bytes, byteCount: count * dtype.width)
    }
}

/// A primitive whose kernels may find the only output lying where an input lies, number on number: they read each of that input's numbers before
/// they write there, and never again.
package protocol InPlace: Primitive {
    /// Whether that holds for this one of `count` inputs.
    func overwrites(_ input: Int, of count: Int) -> Bool
}

extension InPlace {
    package func overwrites(_ input: Int, of count: Int) -> Bool { true }
}

extension Tensor {
    /// Whether this placeholder's numbers could lie where the other's do, each at its place.
    package func fits(over other: Tensor) -> Bool { descriptor.liesLike(other.descriptor) && descriptor.offset == other.descriptor.offset }
}
