import KeelKernels

/// Functions of one or two numbers one after another, some hundred numbers at a time, so that what lies between two of them never leaves the
/// first-level cache. Programs are rewritten to it.
///
/// - Shapes: inputs that stretch to one shape, which all links' results have → that shape.
/// - Gradient: none: a program that has gradients keeps what they read.
struct ElementwiseChain: InPlace {
    /// A function, and what it is of: inputs count from 0, and the results of the links before it go on from there.
    struct Link: Hashable, Sendable, CustomStringConvertible {
        let function: ElementwiseFunction
        let operands: [Int]

        var description: String { "\(function)\(operands)" }
    }

    static let mostInputs = Int(KEEL_MAX_OPERANDS) - 1
    static let mostLinks = Int(KEEL_MAX_LINKS)

    let links: [Link]
    static var takesBlocked: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> ElementwiseChain {
        var resolved: [Link] = []
        for link in links { resolved.append(Link(function: try link.function.resolved(sizes), operands: link.operands)) }
        return ElementwiseChain(links: resolved)
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var specs: [TensorSpec] = []
        for i in 0..<inputs.count { specs.append(inputs[i]) }
        for link in links { specs.append(try link.function.primitive.outputs(SpecList(link.operands.map { specs[$0] }))[0]) }
        return SpecList(specs[specs.count - 1])
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { sharedLayout(inputs) }

    static var kernels: Kernels<ElementwiseChain> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var values: [Tensor] = []
                for i in 0..<inputs.count { values.append(inputs[i]) }
                for link in p.links.dropLast() {
                    let operands = Operands(link.operands.map { values[$0] })
                    let made = try Tensor(undefined: link.function.primitive.outputs(SpecList(of: operands))[0], on: .cpu)
                    try link.function.runReference(operands, Operands(made))
                    values.append(made)
                }
                let last = p.links[p.links.count - 1]
                try last.function.runReference(Operands(last.operands.map { values[$0] }), outputs)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let y = outputs[0], isBlocked = y.descriptor.isBlocked
                var tensors: [Tensor] = []
                for i in 0..<inputs.count { tensors.append(isBlocked ? inputs[i] : try inputs[i].unblocked()) }
                var walk = keel_walk(blockwise: y, Operands(tensors)), job = keel_chain()
                job.inputs = Int32(tensors.count)
                job.count = Int32(p.links.count)
                withUnsafeMutableBytes(of: &job.links) { bytes in
                    let links = bytes.bindMemory(to: keel_link.self)
                    for (i, link) in p.links.enumerated() { links[i] = link.function.kernel(link.operands) }
                }
                withUnsafeMutableBytes(of: &job.input) { bytes in
                    let pointers = bytes.bindMemory(to: UnsafePointer<Float>?.self)
                    for (i, tensor) in tensors.enumerated() { pointers[i] = UnsafePointer(tensor.pointer(Float.self)) }
                }
                keel_chain_f32(&job, &walk, y.pointer(Float.self))
                if isBlocked { y.clearPaddingLanes() }
                withExtendedLifetime(tensors) {}
                return true
            })
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        var values = inputs
        for link in links { values.append(try link.function(link.operands.map { values[$0] })) }
        return [values[values.count - 1]]
    }
}

/// A primitive of one or two numbers.
struct ElementwiseFunction: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: Sendable {
        case unary(any UnaryElementwise)
        case binary(any BinaryElementwise)
    }

    private let kind: Kind

    /// Nil for what isn't one.
    init?(_ primitive: any Primitive) {
        if let unary = primitive as? any UnaryElementwise {
            kind = .unary(unary)
        } else if let binary = primitive as? any BinaryElementwise {
            kind = .binary(binary)
        } else {
            return nil
        }
    }

    var primitive: any Primitive {
        switch kind {
        case .unary(let unary): unary
        case .binary(let binary): binary
        }
    }

    /// How many.
    var operands: Int {
        switch kind {
        case .unary: 1
        case .binary: 2
        }
    }

    var description: String { type(of: primitive).name }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> ElementwiseFunction { ElementwiseFunction(try primitive.resolved(sizes)) ?? self }

    func kernel(_ operands: [Int]) -> keel_link {
        switch kind {
        case .unary(let unary):
            keel_link(
                is_binary: 0, op: Int32(type(of: unary).function.rawValue), a: Int32(operands[0]), b: 0, p0: Float(unary.constants.0),
                p1: Float(unary.constants.1))
        case .binary(let binary):
            keel_link(
                is_binary: 1, op: Int32(type(of: binary).function.rawValue), a: Int32(operands[0]), b: Int32(operands[1]), p0: Float(binary.constants.0),
                p1: Float(binary.constants.1))
        }
    }

    func runReference(_ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        func run<P: Primitive>(_ primitive: P) throws(TensorError) { try P.kernels.reference(primitive, inputs, outputs) }
        try run(primitive)
    }

    func callAsFunction(_ inputs: [Tensor]) throws(TensorError) -> Tensor {
        func applied<P: Primitive>(_ primitive: P) throws(TensorError) -> Tensor { try apply(primitive, inputs) }
        return try applied(primitive)
    }

    static func == (a: ElementwiseFunction, b: ElementwiseFunction) -> Bool { AnyHashable(a.primitive) == AnyHashable(b.primitive) }
    func hash(into hasher: inout Hasher) { hasher.combine(AnyHashable(primitive)) }
}

extension Tensor {
    /// `tanh((a * b + b) * 0.5 - a) * a` in one primitive, for the tests of it.
    package static func sampleChain(_ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
        let functions: [(any Primitive, [Int])] = [
            (Multiply(), [0, 1]), (Add(), [2, 1]), (Scale(factor: 0.5, offset: 0), [3]), (Subtract(), [4, 0]), (Tanh(), [5]), (Multiply(), [6, 0]),
        ]
        let links = functions.compactMap { primitive, operands in ElementwiseFunction(primitive).map { ElementwiseChain.Link(function: $0, operands: operands) } }
        return try apply(ElementwiseChain(links: links), [a, b])
    }
}
