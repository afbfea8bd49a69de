// How a primitive that ran gives its outputs' tangents.

extension PrimitiveNode {
    @_semantics("optimize.sil.specialize.generic.never")
    @inline(never)
    func forwardTangents(_ given: [Tensor?]) throws(TensorError) -> [Tensor?] {
        if P.isLinear { return try throughItself(given) }
        if let found = try primitive.tangents(TangentContext(node: self, given: given)) { return found }
        if P.isElementwise { return [try gradient(seededWith: [given[0]], wanted: [true], createsGraph: false)[0]] }
        if let found = try throughDecomposition(given) { return found }
        return try throughGradient(given)
    }

    /// A linear primitive's tangent is itself, of the tangents.
    private func throughItself(_ given: [Tensor?]) throws(TensorError) -> [Tensor?] {
        var tangents: [Tensor] = []
        guard let present = given.first(where: { $0 != nil }), let device = present?.device else { return [] }
        for (i, tangent) in given.enumerated() {
            let spec = slot(i).descriptor.spec
            if let tangent { tangents.append(tangent) } else { tangents.append(try .zeros(Shape(), spec.dtype, on: device).expanded(to: spec.shape)) }
        }
        let isSingle = try primitive.outputs(inputSpecs).count == 1
        return isSingle ? [try apply(primitive, tangents)] : try applyMany(primitive, tangents)
    }

    private var inputSpecs: SpecList {
        var specs = SpecList()
        for i in 0..<inputCount { specs.append(slot(i).descriptor.spec) }
        return specs
    }

    private func throughDecomposition(_ given: [Tensor?]) throws(TensorError) -> [Tensor?]? {
        let isRecording = ThreadState.current.recordingIsOff == 0
        var inputs: [Tensor] = [], known: [(Source, Tensor?)] = []
        for i in 0..<inputCount {
            guard let saved = saved(i) else { return nil }
            let isBehind = saved.node != nil && isRecording
            let input = isBehind ? try apply(Identity(), saved) : given[i] == nil ? saved.detached() : saved.requiringGradient()
            inputs.append(input)
            if let source = Source(input) { known.append((source, given[i])) }
        }
        guard let outputs = try recording({ () throws(TensorError) in try primitive.decomposed(inputs) }) else { return nil }
        return try pushForward(to: outputs, known)
    }

    /// The gradient is linear in what it is given, `v`: so the tangents are the derivative of `⟨gradient(v), tangents⟩` by `v`.
    private func throughGradient(_ given: [Tensor?]) throws(TensorError) -> [Tensor?] {
        let outputs = try primitive.outputs(inputSpecs)
        guard let device = given.first(where: { $0 != nil })??.device else { return [] }
        var seeds: [Tensor?] = []
        for i in 0..<outputs.count {
            let spec = outputs[i]
            seeds.append(spec.dtype.isFloat ? try Tensor.zeros(spec.shape, spec.dtype, on: device).requiringGradient() : nil)
        }
        let createsGraph = ThreadState.current.recordingIsOff == 0
        let product: Tensor? = try recording { () throws(TensorError) in
            let found = try gradient(seededWith: seeds, wanted: given.map { $0 != nil }, createsGraph: true)
            var sum: Tensor?
            for (gradient, tangent) in zip(found, given) {
                guard let gradient, let tangent, gradient.requiresGradient else { continue }
                let part = try (gradient * tangent).sum()
                if let before = sum { sum = try before + part } else { sum = part }
            }
            return sum
        }
        guard let product else { return [] }
        let one = try Tensor.ones(Shape(), product.dtype, on: product.device)
        return try gradients(of: [(product, one)], withRespectTo: seeds.map { $0.flatMap(Source.init) }, createsGraph: createsGraph)
    }

    /// What the gradient gives for inputs that are wanted, apart from the graph that this node is in.
    private func gradient(seededWith seeds: [Tensor?], wanted: [Bool], createsGraph: Bool) throws(TensorError) -> [Tensor?] {
        var inputs: [Tensor] = [], sinks: [Node?] = []
        for i in 0..<inputCount {
            let slot = slot(i)
            guard let saved = slot.saved else {
                // Nobody reads its numbers.
                let place = Tensor(try Storage(bytes: 0, on: .cpu), Descriptor(symbolic: slot.descriptor.spec))
                inputs.append(wanted[i] ? place.requiringGradient() : place)
                sinks.append(inputs[i].node)
                continue
            }
            guard saved.storage.version == slot.version else { throw TensorError(.changedInPlace(primitive: P.name, input: i)) }
            let isRecorded = saved.node != nil && ThreadState.current.recordingIsOff == 0
            let input = isRecorded ? try apply(Identity(), saved) : wanted[i] ? saved.requiringGradient() : saved.detached()
            inputs.append(input)
            sinks.append(wanted[i] ? input.node : nil)
        }
        for sink in sinks { sink?.isNeeded = true }
        let copy = PrimitiveNode(primitive, Operands(inputs))
        // The outputs are still those of this node, which depend on its inputs.
        copy.onlyOutput = onlyOutput.map { Tensor($0.storage, $0.descriptor, node: self) }
        copy.count = count
        copy.kept = kept.map { kept in
            kept.indices.map { i in kept[i].map { i < count ? Tensor($0.storage, $0.descriptor, node: self, output: i) : $0 } }
        }
        for (i, seed) in seeds.enumerated() { if let seed { try copy.receive(seed, output: i, createsGraph: createsGraph) } }
        try copy.runGradient(createsGraph: createsGraph)
        return sinks.map { sink in sink?.gradient }
    }
}
