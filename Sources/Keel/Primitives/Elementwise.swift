import KeelKernels

// What the primitives that work number by number share. Each names its C function; rule and kernels follow from that.

/// A function of one number.
protocol UnaryElementwise: InPlace {
    static var function: keel_unary_op { get }
    static var takesIntegers: Bool { get }
    var constants: (Double, Double) { get }
}

extension UnaryElementwise {
    static var isElementwise: Bool { true }
    static var takesIntegers: Bool { false }
    var constants: (Double, Double) { (0, 0) }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let input = inputs[0]
        guard input.dtype.isFloat || Self.takesIntegers && input.dtype != .bool else {
            throw .dtype(primitive: Self.name, expected: Self.takesIntegers ? "numbers" : "floats", input.dtype)
        }
        return SpecList(input)
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<Self> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var walk = keel_walk(outputs[0], inputs)
                let constants = p.constants
                keel_reference_unary(function, inputs[0].dtype.kernel, &walk, outputs[0].bytes, inputs[0].bytes, constants.0, constants.1)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let constants = p.constants
                var walk = keel_walk(blockwise: outputs[0], inputs)
                keel_unary_f32(
                    function, &walk, outputs[0].pointer(Float.self), inputs[0].pointer(Float.self), Float(constants.0), Float(constants.1))
                // f(0) needn't be 0, but the lanes past the last channel must be.
                if outputs[0].descriptor.isBlocked { outputs[0].clearPaddingLanes() }
                return true
            })
    }
}

/// A function of two numbers, broadcast.
protocol BinaryElementwise: InPlace {
    static var function: keel_binary_op { get }
    static var takesIntegers: Bool { get }
    var constants: (Double, Double) { get }
}

extension BinaryElementwise {
    static var takesIntegers: Bool { false }
    var constants: (Double, Double) { (0, 0) }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (a, b) = (inputs[0], inputs[1])
        guard a.dtype == b.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, a.dtype, b.dtype)) }
        guard a.dtype.isFloat || Self.takesIntegers && a.dtype != .bool else {
            throw .dtype(primitive: Self.name, expected: Self.takesIntegers ? "numbers" : "floats", a.dtype)
        }
        if a.shape == b.shape { return SpecList(a) }
        return SpecList(TensorSpec(try a.shape.broadcast(with: b.shape, in: Self.name), a.dtype))
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { sharedLayout(inputs) }

    static var kernels: Kernels<Self> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var walk = keel_walk(outputs[0], inputs)
                let constants = p.constants
                keel_reference_binary(
                    function, inputs[0].dtype.kernel, &walk, outputs[0].bytes, inputs[0].bytes, inputs[1].bytes, constants.0, constants.1)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let constants = p.constants
                let (a, b) = (inputs[0].descriptor, inputs[1].descriptor)
                let isBlocked = outputs[0].descriptor.isBlocked
                if isBlocked || !a.isBlocked && !b.isBlocked {
                    var walk = keel_walk(blockwise: outputs[0], inputs)
                    keel_binary_f32(
                        function, &walk, outputs[0].pointer(Float.self), inputs[0].pointer(Float.self), inputs[1].pointer(Float.self),
                        Float(constants.0), Float(constants.1))
                    if isBlocked { outputs[0].clearPaddingLanes() }
                } else {
                    let plain = Operands(try inputs[0].contiguous(), try inputs[1].contiguous())
                    var walk = keel_walk(outputs[0], plain)
                    keel_binary_f32(
                        function, &walk, outputs[0].pointer(Float.self), plain[0].pointer(Float.self), plain[1].pointer(Float.self),
                        Float(constants.0), Float(constants.1))
                }
                return true
            })
    }
}

// The short way of what networks run most: float32 numbers that lie alike in the host's memory, element beside element. The result lies
// as they do, no shape rule and no walk has more to say, and a primitive costs its result and, if a gradient is wanted, one node.

func apply<P: UnaryElementwise>(_ primitive: P, _ x: Tensor) throws(TensorError) -> Tensor {
    let descriptor = x.descriptor
    guard descriptor.isGapless, descriptor.spec.dtype == .float32, descriptor.offset == 0, x.storage.place.isCPU, !Watch.isOn else {
        return try run(primitive, Operands(x))
    }
    let storage = try Storage(bytes: descriptor.count * 4, on: .cpu)
    let constants = primitive.constants
    keel_unary_run_f32(
        P.function, Int64(descriptor.count), storage.base.assumingMemoryBound(to: Float.self), x.pointer(Float.self), Float(constants.0),
        Float(constants.1))
    guard x.node != nil, ThreadState.current.recordingIsOff == 0 else { return Tensor(storage, descriptor) }
    let node = PrimitiveNode(primitive, x)
    if P.gradientReads.readsOutputs { node.keep(output: Tensor(storage, descriptor)) }
    return Tensor(storage, descriptor, node: node)
}

func apply<P: BinaryElementwise>(_ primitive: P, _ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
    let descriptor = a.descriptor
    guard descriptor.liesLike(b.descriptor), descriptor.spec.dtype == .float32, descriptor.offset == 0, a.storage.place.isCPU,
        b.storage.place.isCPU, !Watch.isOn
    else {
        guard a.dtype != b.dtype else { return try run(primitive, Operands(a, b)) }
        let (a, b) = try a.promoted(with: b)
        return try run(primitive, Operands(a, b))
    }
    let storage = try Storage(bytes: descriptor.count * 4, on: .cpu)
    let constants = primitive.constants
    keel_binary_run_f32(
        P.function, Int64(descriptor.count), storage.base.assumingMemoryBound(to: Float.self), a.pointer(Float.self), b.pointer(Float.self),
        Float(constants.0), Float(constants.1))
    guard a.node != nil || b.node != nil, ThreadState.current.recordingIsOff == 0 else { return Tensor(storage, descriptor) }
    let node = PrimitiveNode(primitive, a, b)
    if P.gradientReads.readsOutputs { node.keep(output: Tensor(storage, descriptor)) }
    return Tensor(storage, descriptor, node: node)
}

/// The layout that all inputs have, if they are of one shape and layout; else plain.
func sharedLayout(_ inputs: Operands) -> Layout {
    let (layout, shape) = (inputs[0].layout, inputs[0].shape)
    var isShared = true
    for i in 1..<inputs.count {
        let input = inputs[i]
        if input.layout != layout || input.shape != shape { isShared = false }
    }
    return isShared ? layout : .strided
}

extension keel_walk {
    /// As `init(_:_:)`; blocked tensors, all of one shape and layout, are one row.
    @inline(__always)
    init(blockwise output: Tensor, _ inputs: Operands) {
        guard output.descriptor.isBlocked else {
            self.init(output, inputs)
            return
        }
        self.init()
        rank = 1
        operands = Int32(inputs.count + 1)
        shape.0 = Int64(output.descriptor.storageBytes / output.dtype.width)
        strides.0.0 = 1
        strides.1.0 = 1
        strides.2.0 = 1
        strides.3.0 = 1
        strides.4.0 = 1
    }
}

extension Tensor {
    /// Zeroes the lanes of a blocked tensor that lie past its last channel.
    func clearPaddingLanes() {
        guard case .blocked(let block) = layout, size(1) % Int(block) != 0 else { return }
        var positions = 1
        for axis in 2..<rank { positions *= size(axis) }
        let groups = (size(1) + Int(block) - 1) / Int(block)
        keel_clear_padding_f32(Int64(size(0)), Int64(groups), Int64(positions), Int64(size(1)), block, pointer(Float.self))
    }
}

/// The sum of `gradient` over the axes along which `shape` was stretched.
extension Tensor {
    func summed(to shape: Shape) throws(TensorError) -> Tensor {
        if self.shape == shape { return self }
        let shift = rank - shape.rank
        var axes: [Int] = []
        for axis in 0..<rank where axis < shift || shape[axis - shift] != self.shape[axis] { axes.append(axis) }
        let sum = try sum(axes, keepingAxes: true)
        return try sum.reshaped(shape)
    }
}
