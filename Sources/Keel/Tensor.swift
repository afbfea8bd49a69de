import KeelKernels

/// An array of numbers: an immutable value over shared storage.
///
/// Copying a tensor copies a reference. Operations give new tensors; views (`reshaped`, `transposed`, slices) share the bytes of
/// what they view. The only writes in place are the optimiser's to parameters and normalisation's to its buffers.
///
/// Unchecked because the body never changes; about the storage see `Storage`.
public struct Tensor: @unchecked Sendable {
    @usableFromInline var body: Body

    @inline(__always) init(body: Body) { self.body = body }

    @usableFromInline final class Body {
        let descriptor: Descriptor
        /// The first element.
        let pointer: UnsafeMutableRawPointer
        /// Variable only for asking whether it is the last reference.
        @exclusivity(unchecked) var storage: Storage
        /// What made this tensor, where a gradient is wanted of it; and which of that one's outputs it is.
        let node: Node?
        let output: Int

        @inline(__always) init(_ storage: Storage, _ descriptor: Descriptor, node: Node? = nil, output: Int = 0) {
            self.storage = storage
            self.descriptor = descriptor
            self.node = node
            self.output = output
            pointer = storage.base + descriptor.offset * descriptor.dtype.width
        }
    }

    @inline(__always) init(_ storage: Storage, _ descriptor: Descriptor, node: Node? = nil, output: Int = 0) {
        body = Body(storage, descriptor, node: node, output: output)
    }

    /// A new tensor on `device` whose elements are undefined.
    init(undefined spec: TensorSpec, on device: any Device) throws(TensorError) { try self.init(undefined: spec, on: Place(device)) }

    init(undefined spec: TensorSpec, on place: Place) throws(TensorError) {
        let descriptor = Descriptor(dense: spec, count: try spec.shape.elementCount())
        self.init(try Storage(bytes: descriptor.storageBytes, on: place), descriptor)
    }

    var descriptor: Descriptor { @inline(__always) get { body.descriptor } }
    var storage: Storage { @inline(__always) get { body.storage } }
    var node: Node? { @inline(__always) get { body.node } }

    public var shape: Shape { descriptor.spec.shape }
    public var dtype: DType { descriptor.spec.dtype }
    public var spec: TensorSpec { descriptor.spec }
    public var rank: Int { shape.rank }
    public var layout: Layout { descriptor.layout }
    public var device: any Device { storage.device }

    /// The number of elements. Of a symbolic shape there is none: then it is -1, and `Program.trace` throws in the end.
    public var count: Int {
        @inline(__always) get {
            let count = descriptor.count
            if count < 0 { Trace.refuseCount(of: shape) }
            return count
        }
    }

    /// Whether a gradient of this tensor can be asked for.
    public var requiresGradient: Bool { node != nil }

    /// The same numbers, cut off from what made them: gradients stop here.
    public func detached() -> Tensor { node == nil ? self : Tensor(storage, descriptor) }

    /// The same numbers as a variable of its own: gradients arrive here. `name` appears in errors.
    public func requiringGradient(named name: String? = nil) -> Tensor {
        Tensor(storage, descriptor, node: Leaf(name: name))
    }

    // What kernels use.

    @inline(__always) func pointer<T>(_ type: T.Type) -> UnsafeMutablePointer<T> { body.pointer.assumingMemoryBound(to: T.self) }
    var bytes: UnsafeMutableRawPointer { @inline(__always) get { body.pointer } }
    @inline(__always) func stride(_ axis: Int) -> Int { descriptor.strides[axis] }

    /// An axis' size as a number. Kernels run on tensors without symbols.
    @inline(__always) func size(_ axis: Int) -> Int { descriptor.spec.shape[axis].bits }
}

// Making tensors of numbers, and reading them.
extension Tensor {
    /// - Throws: `TensorError.elementCount` unless the shape holds just as many; `TensorError.outOfMemory`.
    public init<T: TensorElement>(_ elements: [T], _ shape: Shape, on device: any Device = CPU.shared) throws(TensorError) {
        guard try shape.elementCount() == elements.count else {
            throw TensorError(.elementCount(given: elements.count, shape))
        }
        try self.init(undefined: TensorSpec(shape, T.dtype), on: device)
        try elements.span.withUnsafeBytes { (source) throws(TensorError) in
            guard let start = source.baseAddress else { return }
            try device.copyIn(bytes, from: start, bytes: source.count)
        }
    }

    /// One axis of numbers.
    public init<T: TensorElement>(_ elements: [T], on device: any Device = CPU.shared) throws(TensorError) {
        try self.init(elements, [elements.count], on: device)
    }

    /// A scalar.
    public init<T: TensorElement>(_ value: T, on device: any Device = CPU.shared) throws(TensorError) {
        try self.init([value], Shape(), on: device)
    }

    /// A tensor in the host's memory whose bytes `fill` writes, row-major. It is given all of them, and has to write all of them.
    public init(
        _ shape: Shape, _ dtype: DType, filledBy fill: (UnsafeMutableRawBufferPointer) throws(TensorError) -> Void
    ) throws(TensorError) {
        try self.init(undefined: TensorSpec(shape, dtype), on: CPU.shared)
        try fill(UnsafeMutableRawBufferPointer(start: bytes, count: count * dtype.width))
    }

    /// - Throws: `TensorError.argument` where a whole number of this kind can't hold `value`'s whole part; `TensorError.outOfMemory`.
    public static func full(_ value: Double, _ shape: Shape, _ dtype: DType = .float32, on device: any Device = CPU.shared) throws(TensorError) -> Tensor {
        let result = try Tensor(undefined: TensorSpec(shape, dtype), on: device)
        try result.fill(value)
        return result
    }

    public static func zeros(_ shape: Shape, _ dtype: DType = .float32, on device: any Device = CPU.shared) throws(TensorError) -> Tensor {
        try full(0, shape, dtype, on: device)
    }

    public static func ones(_ shape: Shape, _ dtype: DType = .float32, on device: any Device = CPU.shared) throws(TensorError) -> Tensor {
        try full(1, shape, dtype, on: device)
    }

    /// `start, start + 1, ...` along one axis.
    public static func range(_ count: Int, from start: Int = 0, _ dtype: DType = .int64) throws(TensorError) -> Tensor {
        guard count >= 0, start <= Int.max - count else {
            throw .argument(primitive: "range", name: "count", given: count, allowed: "0 and more, ending within int64")
        }
        let whole = try Tensor(undefined: TensorSpec([count], .int64), on: CPU.shared)
        keel_iota(1, Int64(count), Int64(start), 1, whole.bytes)
        return try whole.cast(to: dtype)
    }

    /// Overwrites a dense tensor that is being made.
    func fill(_ value: Double) throws(TensorError) {
        var element = UInt64(0)
        func store<T: BitwiseCopyable>(_ number: T) { withUnsafeMutableBytes(of: &element) { $0.storeBytes(of: number, as: T.self) } }
        func storeWhole<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(TensorError) {
            guard let number = T(exactly: value.rounded(.towardZero)) else {
                throw .argument(primitive: "full", name: "value", given: value, allowed: "\(T.min)...\(T.max) for \(dtype)")
            }
            store(number)
        }
        switch dtype {
        case .float32: store(Float(value))
        case .float64: store(value)
        case .int32: try storeWhole(Int32.self)
        case .int64: try storeWhole(Int64.self)
        case .uint8: try storeWhole(UInt8.self)
        case .bool: store(value != 0)
        case .bfloat16, .float16:
            var (single, bits) = (Float(value), UInt16(0))
            keel_reference_narrow(dtype == .bfloat16 ? KEEL_BFLOAT16 : KEEL_FLOAT16, 1, &bits, &single)
            store(bits)
        }
        if storage.place.isHost {
            keel_fill(Int32(dtype.width), Int64(count), bytes, &element)
        } else {
            let host = UnsafeMutableRawPointer.allocate(byteCount: count * dtype.width, alignment: 64)
            defer { host.deallocate() }
            keel_fill(Int32(dtype.width), Int64(count), host, &element)
            try device.copyIn(bytes, from: host, bytes: count * dtype.width)
        }
    }

    /// All elements in row-major order. Half floats are read as Float too.
    ///
    /// - Throws: `TensorError.dtype` where the tensor holds another kind of number.
    public func elements<T: TensorElement>(_ type: T.Type = Float.self) throws(TensorError) -> [T] {
        if dtype.isHalf, T.dtype == .float32 { return try detached().cast(to: .float32).elements(type) }
        guard dtype == T.dtype else { throw .dtype(primitive: "elements", expected: "\(T.dtype)", dtype) }
        try checkReadable()
        let plain = try contiguous()
        let count = count
        let host = UnsafeMutableBufferPointer<T>.allocate(capacity: count)
        defer { host.deallocate() }
        if let start = host.baseAddress, count > 0 {
            try device.copyOut(start, from: plain.bytes, bytes: count * T.dtype.width)
            withExtendedLifetime(plain) {}
        }
        return Array(host)
    }

    /// The only element; of half floats, as Float too.
    ///
    /// - Throws: `TensorError.notScalar`; `TensorError.dtype`.
    public func item<T: TensorElement>(_ type: T.Type = Float.self) throws(TensorError) -> T {
        try checkReadable()
        guard count == 1 else { throw TensorError(.notScalar(shape)) }
        return try elements(type)[0]
    }

    /// Reads the bytes of all elements in row-major order, in the host's memory.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws(TensorError) -> R) throws(TensorError) -> R {
        try checkReadable()
        let plain = try contiguous()
        if storage.place.isHost {
            defer { withExtendedLifetime(plain) {} }
            return try body(UnsafeRawBufferPointer(start: plain.bytes, count: count * dtype.width))
        }
        let host = UnsafeMutableRawBufferPointer.allocate(byteCount: count * dtype.width, alignment: 64)
        defer { host.deallocate() }
        if let start = host.baseAddress { try device.copyOut(start, from: plain.bytes, bytes: host.count) }
        return try body(UnsafeRawBufferPointer(host))
    }
}
