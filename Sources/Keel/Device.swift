/// Something that holds tensors and runs primitives.
///
/// The two devices of Keel itself, `CPU` and `Reference`, work in the host's memory and take their kernels from the primitives'
/// own tables. A device that is plugged in keeps its kernels in a table of its own, by the primitive's type, and says in
/// `run` whether it has one.
public protocol Device: AnyObject, Sendable {
    var name: String { get }

    /// Memory for `bytes` bytes whose content is undefined, and a token that `deallocate` wants back.
    func allocate(_ bytes: Int) throws(TensorError) -> (UnsafeMutableRawPointer, token: Int)
    func deallocate(_ memory: UnsafeMutableRawPointer, token: Int)

    func copyIn(_ destination: UnsafeMutableRawPointer, from host: UnsafeRawPointer, bytes: Int) throws(TensorError)
    func copyOut(_ host: UnsafeMutableRawPointer, from source: UnsafeRawPointer, bytes: Int) throws(TensorError)

    /// Runs the primitive if the device has a kernel that takes these inputs.
    ///
    /// - Returns: false where there is none: the primitive then runs through its reference kernel on the host, and
    ///   `Fallbacks` counts it.
    func run<P: Primitive>(_ primitive: P, _ inputs: Operands, _ outputs: Operands) throws(TensorError) -> Bool
}

/// oneDNN, OpenBLAS and KeelKernels on the host's processor.
public final class CPU: Device {
    public static let shared = CPU()
    public let name = "cpu"
    private init() {}

    @inline(__always)
    public func allocate(_ bytes: Int) throws(TensorError) -> (UnsafeMutableRawPointer, token: Int) { try MemoryPool.host.allocate(bytes) }
    @inline(__always)
    public func deallocate(_ memory: UnsafeMutableRawPointer, token: Int) { MemoryPool.host.deallocate(memory, token: token) }
    public func copyIn(_ destination: UnsafeMutableRawPointer, from host: UnsafeRawPointer, bytes: Int) {
        destination.copyMemory(from: host, byteCount: bytes)
    }
    public func copyOut(_ host: UnsafeMutableRawPointer, from source: UnsafeRawPointer, bytes: Int) {
        host.copyMemory(from: source, byteCount: bytes)
    }

    @inline(__always)
    public func run<P: Primitive>(_ primitive: P, _ inputs: Operands, _ outputs: Operands) throws(TensorError) -> Bool {
        guard let kernel = P.kernels.cpu else { return false }
        return try kernel(primitive, inputs, outputs)
    }
}

/// Plain loops on the host: slow, and what every other device is measured against.
public final class Reference: Device {
    public static let shared = Reference()
    public let name = "reference"
    private init() {}

    public func allocate(_ bytes: Int) throws(TensorError) -> (UnsafeMutableRawPointer, token: Int) { try MemoryPool.host.allocate(bytes) }
    public func deallocate(_ memory: UnsafeMutableRawPointer, token: Int) { MemoryPool.host.deallocate(memory, token: token) }
    public func copyIn(_ destination: UnsafeMutableRawPointer, from host: UnsafeRawPointer, bytes: Int) {
        destination.copyMemory(from: host, byteCount: bytes)
    }
    public func copyOut(_ host: UnsafeMutableRawPointer, from source: UnsafeRawPointer, bytes: Int) {
        host.copyMemory(from: source, byteCount: bytes)
    }

    public func run<P: Primitive>(_ primitive: P, _ inputs: Operands, _ outputs: Operands) throws(TensorError) -> Bool {
        try P.kernels.reference(primitive, inputs, outputs)
        return true
    }
}
