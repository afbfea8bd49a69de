// How a primitive runs: rule, storage, kernel, tape.

@inline(__always)
func apply<P: Primitive>(_ primitive: P, _ a: Tensor) throws(TensorError) -> Tensor {
    try run(primitive, Operands(a))
}

@inline(__always)
func apply<P: Primitive>(_ primitive: P, _ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
    try run(primitive, Operands(a, b))
}

@inline(__always)
func apply<P: Primitive>(_ primitive: P, _ a: Tensor, _ b: Tensor, _ c: Tensor) throws(TensorError) -> Tensor {
    try run(primitive, Operands(a, b, c))
}

/// Runs a primitive with one output on any number of inputs. For primitives defined outside Keel.
public func apply<P: Primitive>(_ primitive: P, _ inputs: [Tensor]) throws(TensorError) -> Tensor {
    try run(primitive, Operands(inputs))
}

/// Runs a primitive with several outputs.
public func applyMany<P: Primitive>(_ primitive: P, _ inputs: [Tensor]) throws(TensorError) -> [Tensor] {
    try runMany(primitive, Operands(inputs))
}

// None of what follows is compiled anew for each of some 250 primitives, which would take minutes. What is short enough to feel the
// difference, elementwise primitives on numbers that lie alike, has a way of its own (see `apply` in Elementwise.swift).

@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
func run<P: Primitive>(_ primitive: P, _ inputs: Operands) throws(TensorError) -> Tensor {
    do throws(TensorError) {
        let place = try commonPlace(P.name, inputs)
        let specs = SpecList(of: inputs)
        let outputs = try primitive.outputs(specs)
        if anyHalf(inputs), !P.takesHalf { return try runWidened(primitive, inputs, outputs)[0] }
        let records = isRecording(inputs) && outputs[0].dtype.isFloat
        if place.isTraced { return try traced(primitive, inputs, outputs, records: records)[0] }
        if inputs.count == 1, !inputs[0].descriptor.isBlocked, let view = try primitive.view(inputs[0]) {
            guard records else { return view }
            let node = recordedNode(primitive, inputs)
            if P.gradientReads.readsOutputs { node.keep(output: view.detached()) }
            return Tensor(view.storage, view.descriptor, node: node)
        }
        let residuals = records ? try primitive.residuals(specs) : SpecList()
        guard residuals.count == 0, !P.makesBlocked, !anyBlocked(inputs) else {
            return try runMany(primitive, inputs, place, outputs, residuals, records)[0]
        }
        let result = try makeOutput(outputs[0], like: inputs, on: place)
        try execute(primitive, on: place, inputs, Operands(result))
        if Watch.isOn { try Anomaly.check(P.self, inputs, Operands(result)) }
        guard records else { return result }
        let node = recordedNode(primitive, inputs)
        if P.gradientReads.readsOutputs { node.keep(output: result) }
        return Tensor(result.storage, result.descriptor, node: node)
    } catch {
        if case .symbolicDimension = error.reason, let stretched = try tracedOfConstants(primitive, inputs) { return stretched }
        throw located(error, inputs)
    }
}

@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
func runMany<P: Primitive>(_ primitive: P, _ inputs: Operands) throws(TensorError) -> [Tensor] {
    do throws(TensorError) {
        let specs = SpecList(of: inputs)
        let outputs = try primitive.outputs(specs)
        if anyHalf(inputs), !P.takesHalf { return try runWidened(primitive, inputs, outputs) }
        let records = isRecording(inputs), place = try commonPlace(P.name, inputs)
        if place.isTraced { return try traced(primitive, inputs, outputs, records: records) }
        if inputs.count == 1, !inputs[0].descriptor.isBlocked, let views = try primitive.views(inputs[0]) {
            return records ? recorded(views, recordedNode(primitive, inputs)) : views
        }
        let residuals = records ? try primitive.residuals(specs) : SpecList()
        return try runMany(primitive, inputs, place, outputs, residuals, records)
    } catch {
        throw located(error, inputs)
    }
}

@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
private func runMany<P: Primitive>(
    _ primitive: P, _ given: Operands, _ place: Place, _ outputs: SpecList, _ residuals: SpecList, _ records: Bool
) throws(TensorError) -> [Tensor] {
    var inputs: [Tensor] = []
    inputs.reserveCapacity(given.count)
    for i in 0..<given.count {
        let keepsLayout = P.takesBlocked && place.isCPU
        inputs.append(given[i].descriptor.isBlocked && !keepsLayout ? try given[i].contiguous() : given[i])
    }
    let operands = Operands(inputs)
    var made: [Tensor] = []
    made.reserveCapacity(outputs.count + residuals.count)
    for i in 0..<outputs.count { made.append(try makeTensor(outputs[i], primitive.layout(operands, output: outputs[i]), on: place)) }
    for i in 0..<residuals.count { made.append(try makeTensor(residuals[i], primitive.layout(operands, output: residuals[i]), on: place)) }
    try execute(primitive, on: place, operands, Operands(made))
    if Watch.isOn { try Anomaly.check(P.self, operands, Operands(Array(made[..<outputs.count]))) }
    return records ? recorded(made, by: primitive, operands, residuals: residuals.count) : made
}

/// Runs a primitive on float32 copies of the half floats among its inputs, and rounds what it makes to the kinds that its rule gave for the
/// inputs as they are. The casts are primitives as any other: so gradients of every order find their way.
@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
private func runWidened<P: Primitive>(_ primitive: P, _ inputs: Operands, _ outputs: SpecList) throws(TensorError) -> [Tensor] {
    var wide: [Tensor] = []
    wide.reserveCapacity(inputs.count)
    for i in 0..<inputs.count {
        let input = inputs[i]
        if let twin = (0..<i).first(where: { inputs[$0].body === input.body }) {
            wide.append(wide[twin])
        } else {
            wide.append(input.dtype.isHalf ? try input.cast(to: .float32) : input)
        }
    }
    var made = outputs.count == 1 ? [try run(primitive, Operands(wide))] : try runMany(primitive, Operands(wide))
    for i in made.indices { made[i] = try made[i].cast(to: outputs[i].dtype) }
    return made
}

/// What runs on traced tensors is noted in place of being computed; the tape goes on as ever.
@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
private func traced<P: Primitive>(_ primitive: P, _ inputs: Operands, _ outputs: SpecList, records: Bool) throws(TensorError) -> [Tensor] {
    let residuals = records ? try primitive.residuals(SpecList(of: inputs)) : SpecList()
    let made = try Trace.current().note(primitive, inputs, outputs, residuals)
    return records ? recorded(made, by: primitive, inputs, residuals: residuals.count) : made
}

/// What a primitive with symbols in its own sizes makes of a traced function's constants, as a stretched one.
@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
private func tracedOfConstants<P: Primitive>(_ primitive: P, _ inputs: Operands) throws(TensorError) -> Tensor? {
    guard ThreadState.current.trace != nil else { return nil }
    for i in 0..<inputs.count { if inputs[i].storage.place.isTraced { return nil } }
    let outputs = try primitive.outputs(SpecList(of: inputs))
    guard outputs[0].shape.sizes == nil else { return nil }
    return try traced(primitive, inputs, outputs, records: isRecording(inputs) && outputs[0].dtype.isFloat)[0]
}

@inline(__always)
private func recordedNode<P: Primitive>(_ primitive: P, _ inputs: Operands) -> PrimitiveNode<P> {
    let node = PrimitiveNode(primitive, inputs)
    if Watch.isOn { Watch.made(node) }
    return node
}

/// Outputs that know what made them, of what a kernel made: outputs and then residuals.
@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
private func recorded<P: Primitive>(_ made: [Tensor], by primitive: P, _ inputs: Operands, residuals: Int) -> [Tensor] {
    let node = recordedNode(primitive, inputs), count = made.count - residuals
    node.keep(outputs: made, count: count, P.gradientReads)
    return recorded(Array(made[..<count]), node)
}

/// Outputs that know what made them.
private func recorded(_ outputs: [Tensor], _ node: Node) -> [Tensor] {
    var outputs = outputs
    for i in outputs.indices where outputs[i].dtype.isFloat {
        outputs[i] = Tensor(outputs[i].storage, outputs[i].descriptor, node: node, output: i)
    }
    return outputs
}

extension Primitive {
    /// Runs as a step of a program: the same kernels, and no tape.
    ///
    /// - Parameter residuals: how many a gradient that is a step of the same program reads; they follow the outputs.
    @_semantics("optimize.sil.specialize.generic.never")
    @inline(never)
    package func runStep(_ inputs: [Tensor], outputs count: Int, residuals: Int) throws(TensorError) -> [Tensor] {
        let operands = inputs.count == 1 && !Self.takesBlocked ? Operands(try inputs[0].unblocked()) : Operands(inputs)
        if residuals > 0 {
            let specs = SpecList(of: operands)
            return try runMany(self, operands, try commonPlace(Self.name, operands), try outputs(specs), try self.residuals(specs), false)
        }
        return count == 1 ? [try run(self, operands)] : try runMany(self, operands)
    }

    /// Runs the kernel into memory that is there.
    package func execute(_ inputs: Operands, into outputs: Operands) throws(TensorError) { try Keel.execute(self, on: .cpu, inputs, outputs) }
}

/// Runs a state update: its outputs are written over its inputs, whose version rises. Nothing is recorded. What a checkpoint runs a
/// second time doesn't update state again. Half floats are updated in float32 and rounded back, where the update's rule takes them.
@_semantics("optimize.sil.specialize.generic.never")
@inline(never)
public func update<P: Primitive>(_ primitive: P, _ inputs: [Tensor]) throws(TensorError) {
    let state = ThreadState.current
    guard !state.isRecomputing else { return }
    let operands = Operands(inputs)
    let outputs = try primitive.outputs(SpecList(of: operands))
    if anyHalf(operands), !P.takesHalf {
        var wide = inputs
        for i in wide.indices where wide[i].dtype.isHalf { wide[i] = try wide[i].detached().cast(to: .float32) }
        try update(primitive, wide)
        for i in P.overwrites where inputs[i].dtype.isHalf { try inputs[i].assign(wide[i].cast(to: inputs[i].dtype)) }
        return
    }
    let place = try commonPlace(P.name, operands)
    if place.isTraced { return try Trace.current().note(updating: primitive, operands, outputs) }
    if let trace = state.trace, state.kernelsRunning == 0 { try trace.refuse(updating: P.name) }
    var written: [Tensor] = []
    for i in 0..<outputs.count {
        let target = inputs[P.overwrites[i]]
        precondition(target.spec == outputs[i] && target.descriptor.isDense, "an update writes a dense tensor of the same kind")
        target.storage.version &+= 1
        target.storage.forms = nil
        written.append(target)
    }
    try execute(primitive, on: place, operands, Operands(written))
}

@inline(__always)
private func execute<P: Primitive>(
    _ primitive: P, on place: Place, _ inputs: Operands, _ outputs: Operands
) throws(TensorError) {
    assert(primitives.contains { $0 == P.self } || !isOfKeel(P.self), "\(P.self) isn't in Primitives.swift")
    assert(P.takesHalf || !anyHalf(inputs) && !anyHalf(outputs), "\(P.name) was to run on half floats")
    let state = ThreadState.current
    state.kernelsRunning += 1
    state.profile?.begin()
    defer {
        state.profile?.end(P.name, inputs, outputs)
        state.kernelsRunning -= 1
        if state.kernelsRunning == 0, !state.heldBack.isEmpty {
            for (block, token) in state.heldBack { MemoryPool.host.deallocate(block, token: token) }
            state.heldBack.removeAll(keepingCapacity: true)
        }
    }
    switch place {
    case .cpu:
        if let kernel = P.kernels.cpu, try kernel(primitive, inputs, outputs) { return }
        Fallbacks.count(P.name)
        try P.kernels.reference(primitive, inputs, outputs)
    case .reference:
        try P.kernels.reference(primitive, inputs, outputs)
    case .elsewhere(let device):
        if try device.run(primitive, inputs, outputs) { return }
        Fallbacks.count(P.name)
        try runOnHost(primitive, on: device, inputs, outputs)
    case .traced: preconditionFailure("a kernel needs bytes")
    }
}

/// For a device that lacks the primitive: its inputs come to the host and its outputs go back.
private func runOnHost<P: Primitive>(
    _ primitive: P, on device: any Device, _ inputs: Operands, _ outputs: Operands
) throws(TensorError) {
    var here: [Tensor] = [], made: [Tensor] = []
    for i in 0..<inputs.count { here.append(try inputs[i].detached().moved(to: CPU.shared)) }
    for i in 0..<outputs.count { made.append(try Tensor(undefined: outputs[i].spec, on: CPU.shared)) }
    try P.kernels.reference(primitive, Operands(here), Operands(made))
    for i in 0..<outputs.count { try device.copyIn(outputs[i].bytes, from: made[i].bytes, bytes: made[i].descriptor.storageBytes) }
}

private func isOfKeel<P: Primitive>(_: P.Type) -> Bool { String(reflecting: P.self).hasPrefix("Keel.") }

@inline(__always)
private func isRecording(_ inputs: Operands) -> Bool {
    var isWanted = false
    for i in 0..<inputs.count { if inputs[i].node != nil { isWanted = true } }
    return isWanted && ThreadState.current.recordingIsOff == 0
}

@inline(__always)
private func anyBlocked(_ inputs: Operands) -> Bool {
    var isBlocked = false
    for i in 0..<inputs.count { if inputs[i].descriptor.isBlocked { isBlocked = true } }
    return isBlocked
}

@inline(__always)
private func anyHalf(_ tensors: Operands) -> Bool {
    var isHalf = false
    for i in 0..<tensors.count { if tensors[i].descriptor.spec.dtype.isHalf { isHalf = true } }
    return isHalf
}

@inline(__always)
private func commonPlace(_ name: @autoclosure () -> String, _ inputs: Operands) throws(TensorError) -> Place {
    var place = inputs[0].storage.place
    for i in 1..<inputs.count {
        let other = inputs[i].storage.place
        if other.isSame(as: place) { continue }
        // The processor's tensors are a traced function's constants.
        guard other.isTraced && place.isCPU || place.isTraced && other.isCPU else {
            throw TensorError(.devicesDiffer(primitive: name(), place.device.name, other.device.name))
        }
        place = .traced
    }
    return place
}

/// A dense tensor; one that is like an input shares that one's descriptor.
@inline(__always)
private func makeOutput(_ spec: TensorSpec, like inputs: Operands, on place: Place) throws(TensorError) -> Tensor {
    for i in 0..<inputs.count {
        let descriptor = inputs[i].descriptor
        if descriptor.isDense, descriptor.offset == 0, descriptor.spec.dtype == spec.dtype, descriptor.spec.shape == spec.shape {
            return Tensor(try Storage(bytes: descriptor.storageBytes, on: place), descriptor)
        }
    }
    return try Tensor(undefined: spec, on: place)
}

func makeTensor(_ spec: TensorSpec, _ layout: Layout, on place: Place) throws(TensorError) -> Tensor {
    let descriptor = Descriptor(spec, layout, count: try spec.shape.elementCount())
    return Tensor(try Storage(bytes: descriptor.storageBytes, on: place), descriptor)
}

/// The error with the layer that the inputs' parameter names tell.
private func located(_ error: TensorError, _ inputs: Operands) -> TensorError {
    guard error.layerPath == nil else { return error }
    for i in 0..<inputs.count {
        guard let name = (inputs[i].node as? Leaf)?.name, let dot = name.lastIndex(of: ".") else { continue }
        var located = error
        located.layerPath = String(name[..<dot])
        return located
    }
    return error
}

extension SpecList {
    @inline(__always) init(of tensors: Operands) {
        self.init()
        for i in 0..<tensors.count { append(tensors[i].descriptor.spec) }
    }
}
