/// The value of `function` at `inputs`, and how it changes as they move along `tangents`: its Jacobian times these, in one pass forwards.
///
/// A primitive's own rule gives its outputs' tangents; where it has none, they come from its gradient, which is linear in what it is given:
/// the derivative of `⟨gradient(v), tangent⟩` by `v`. So whatever has a gradient that can be derived has a tangent. Those of the result can
/// be differentiated by variables that `function` uses, or that `inputs` come from: a Hessian times a vector is the `jvp` of a gradient.
///
/// ```swift
/// let (y, dy) = try jvp({ x throws(TensorError) in [try x[0].sigmoid()] }, at: [x], along: [direction])
/// ```
///
/// - Shapes: tangents as the inputs, the result's as the outputs; zeros where an output doesn't depend on any input.
/// - Throws: `TensorError.shape` for a tangent unlike its input; `TensorError.higherOrder` where a primitive's gradient can't be derived.
/// - Source: Griewank and Walther, *Evaluating Derivatives*, 2008, chapter 3.
public func jvp(
    _ function: ([Tensor]) throws(TensorError) -> [Tensor], at inputs: [Tensor], along tangents: [Tensor]
) throws(TensorError) -> (outputs: [Tensor], tangents: [Tensor]) {
    guard inputs.count == tangents.count else {
        throw .argument(primitive: "jvp", name: "tangents", given: tangents.count, allowed: "\(inputs.count), one for each input")
    }
    var standIns: [Tensor] = [], known: [(Source, Tensor?)] = []
    let isRecording = ThreadState.current.recordingIsOff == 0
    let outputs = try recording { () throws(TensorError) in
        for (input, tangent) in zip(inputs, tangents) {
            guard input.spec == tangent.spec, input.dtype.isFloat else {
                throw .shape(primitive: "jvp", expected: "floats, and a tangent \(input.spec)", tangent.shape)
            }
            let standIn = input.node == nil ? input.requiringGradient() : try apply(Identity(), input)
            standIns.append(standIn)
            if let source = Source(standIn) { known.append((source, tangent)) }
        }
        return try function(standIns)
    }
    let found = try pushForward(to: outputs, known)
    var complete: [Tensor] = []
    for (output, tangent) in zip(outputs, found) {
        if let tangent { complete.append(tangent) } else { complete.append(try .zeros(output.shape, output.dtype, on: output.device)) }
    }
    return (outputs.map { isRecording ? $0 : $0.detached() }, complete)
}

/// The tangents of `outputs` from those of the sources that are known, behind which nobody looks; nil stands for zeros.
func pushForward(to outputs: [Tensor], _ known: [(Source, Tensor?)]) throws(TensorError) -> [Tensor?] {
    var tangents: [ObjectIdentifier: [Tensor?]] = [:]
    func tangent(_ node: Node, _ output: Int) throws(TensorError) -> Tensor? {
        guard let found = tangents[ObjectIdentifier(node)], found.contains(where: { $0 != nil }) else { return nil }
        guard output < found.count else { throw TensorError(.higherOrder(primitive: node.name)) }
        return found[output]
    }
    for (source, tangent) in known {
        var own = tangents[ObjectIdentifier(source.node)] ?? []
        while own.count <= source.output { own.append(nil) }
        own[source.output] = tangent
        tangents[ObjectIdentifier(source.node)] = own
    }
    // Depth first with a stack of our own, as on the way back: a node's turn comes after its inputs'.
    var stack: [(node: Node, next: Int)] = []
    for output in outputs {
        guard let root = output.node, tangents[ObjectIdentifier(root)] == nil else { continue }
        stack.append((root, 0))
        while let top = stack.indices.last {
            let (node, next) = stack[top]
            if next < node.inputCount {
                stack[top].next = next + 1
                if let parent = node.parent(next), tangents[ObjectIdentifier(parent)] == nil { stack.append((parent, 0)) }
                continue
            }
            stack.removeLast()
            guard tangents[ObjectIdentifier(node)] == nil else { continue }
            var given: [Tensor?] = []
            for i in 0..<node.inputCount {
                if let parent = node.parent(i) { given.append(try tangent(parent, node.parentOutput(i))) } else { given.append(nil) }
            }
            tangents[ObjectIdentifier(node)] = given.contains { $0 != nil } ? try node.tangents(given) : []
        }
    }
    var found: [Tensor?] = []
    for output in outputs {
        if let source = Source(output) { found.append(try tangent(source.node, source.output)) } else { found.append(nil) }
    }
    return found
}

/// What a primitive's tangent rule sees: its inputs, outputs and residuals as far as `gradientReads` lists them, and the inputs' tangents.
public struct TangentContext: ~Copyable {
    let node: Node
    let given: [Tensor?]

    /// Input `i`, which `gradientReads` lists.
    public func input(_ i: Int) -> Tensor {
        guard let saved = node.saved(i) else { preconditionFailure("\(node.name) reads input \(i), which its gradientReads doesn't list") }
        return saved
    }
    public func shape(_ i: Int) -> Shape { node.slot(i).descriptor.shape }
    /// Output `i`, which `gradientReads` lists.
    public func output(_ i: Int) -> Tensor { node.keptOutput(i) }

    public var inputCount: Int { node.inputCount }
    /// The tangent of input `i`; nil stands for zeros.
    public func tangent(_ i: Int) -> Tensor? { given[i] }

    /// The sum of what two inputs' tangents give; nil where there is none.
    func sum(_ first: Tensor?, _ second: Tensor?) throws(TensorError) -> Tensor? {
        guard let first, let second else { return first ?? second }
        return try first + second
    }
}
