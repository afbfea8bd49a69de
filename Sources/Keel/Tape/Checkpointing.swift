/// Runs `body` on `inputs` without keeping what its gradients read; the way back runs it again. Memory for time: of a network cut into n
/// such parts, only their inputs and one part's insides are held at once.
///
/// `body` must give the same result both times. What it draws must come from a key and counter that it is given, as `Tensor.dropout` has
/// them, so that the same numbers are dropped (`Context.checkpointed` of KeelNN sees to that); state updates, as of running statistics, are
/// done the first time only. Variables that it uses beside `inputs` get their gradients too.
///
/// - Source: Chen, Xu, Zhang and Guestrin, *Training Deep Nets with Sublinear Memory Cost*, 2016.
public func checkpointed(
    _ inputs: [Tensor], _ body: @escaping ([Tensor]) throws(TensorError) -> [Tensor]
) throws(TensorError) -> [Tensor] {
    guard ThreadState.current.recordingIsOff == 0 else { return try body(inputs) }
    let standIns = inputs.map { $0.node == nil ? $0 : $0.requiringGradient() }
    let (outputs, made) = try Watch.nodesMade { () throws(TensorError) in try body(standIns) }
    guard outputs.contains(where: { $0.node != nil }) else { return outputs }
    let node = CheckpointNode(inputs, captured: capturedSources(of: outputs, standIns, made: made), outputs: outputs.count, body)
    if Watch.isOn { Watch.made(node) }
    return outputs.enumerated().map { i, output in
        output.node == nil ? output : Tensor(output.storage, output.descriptor, node: node, output: i)
    }
}

/// What `outputs` depend on that wasn't made with them, beside the stand-ins.
private func capturedSources(of outputs: [Tensor], _ standIns: [Tensor], made: Set<ObjectIdentifier>) -> [(Source, Descriptor)] {
    var captured: [(Source, Descriptor)] = [], taken: [ObjectIdentifier: Set<Int>] = [:]
    var seen = Set(standIns.compactMap { $0.node.map(ObjectIdentifier.init) })
    var stack: [Node] = []
    func visit(_ source: Source, _ descriptor: Descriptor) {
        let identity = ObjectIdentifier(source.node)
        if made.contains(identity) {
            if seen.insert(identity).inserted { stack.append(source.node) }
        } else if !seen.contains(identity), taken[identity, default: []].insert(source.output).inserted {
            captured.append((source, descriptor))
        }
    }
    for output in outputs { if let source = Source(output) { visit(source, output.descriptor) } }
    while let node = stack.popLast() {
        for i in 0..<node.inputCount {
            let slot = node.slot(i)
            if let parent = slot.parent { visit(Source(parent, Int(slot.parentOutput)), slot.descriptor) }
        }
    }
    return captured
}

/// A part of a graph that is made again when its gradients are asked for.
private final class CheckpointNode: Node, @unchecked Sendable {
    private var body: (([Tensor]) throws(TensorError) -> [Tensor])?
    private var inputs: [Tensor]
    private let count: Int

    init(
        _ inputs: [Tensor], captured: [(Source, Descriptor)], outputs: Int, _ body: @escaping ([Tensor]) throws(TensorError) -> [Tensor]
    ) {
        self.body = body
        self.inputs = inputs
        count = outputs
        super.init(isLeaf: false)
        let all = inputs.map { Slot($0, isSaved: false) } + captured.map { Slot($0, $1) }
        slot0 = all.first
        slot1 = all.count > 1 ? all[1] : nil
        slot2 = all.count > 2 ? all[2] : nil
        slots = all.count > 3 ? Array(all[3...]) : nil
        inputCount = all.count
    }

    override var name: String { "checkpoint" }
    override var outputCount: Int { count }

    /// Runs `body` again, recording, on inputs at which a pass back stops.
    private func rerun() throws(TensorError) -> (inputs: [Tensor], outputs: [Tensor]) {
        guard let body else { throw TensorError(.graphReleased(primitive: name)) }
        for (i, input) in inputs.enumerated() where input.storage.version != slot(i).version {
            throw TensorError(.changedInPlace(primitive: name, input: i))
        }
        let state = ThreadState.current, (recording, wasRecomputing) = (state.recordingIsOff, state.isRecomputing)
        state.recordingIsOff = 0
        state.isRecomputing = true
        defer { (state.recordingIsOff, state.isRecomputing) = (recording, wasRecomputing) }
        var standIns: [Tensor] = []
        for input in inputs { standIns.append(input.node == nil ? input : try apply(Identity(), input)) }
        return (standIns, try body(standIns))
    }

    override func runGradient(createsGraph: Bool) throws(TensorError) {
        let context = GradientContext(node: self, createsGraph: createsGraph)
        let (standIns, outputs) = try rerun()
        var seeds: [(Tensor, Tensor)] = []
        for (i, output) in outputs.enumerated() where output.node != nil {
            if let dy = context.gradientOfOutput(i) { seeds.append((output, dy)) }
        }
        // The variables from outside belong to the pass under way too: what it noted there is put back.
        let outside = (inputs.count..<inputCount).compactMap { i in parent(i).map { Source($0, parentOutput(i)) } }
        let notes = outside.map { PassNotes(of: $0.node) }
        let needed = (0..<inputCount).map { context.wants($0) }
        func innerGradients() throws(TensorError) -> [Tensor?] {
            defer { for note in notes.reversed() { note.putBack() } }
            return try gradients(
                of: seeds, withRespectTo: standIns.map { Source($0) } + outside, createsGraph: createsGraph, stopsThere: true, collects: isCollecting)
        }
        let found = try innerGradients()
        for i in 0..<inputCount where needed[i] { if let gradient = found[i] { try context.set(i, gradient) } }
    }

    override func tangents(_ given: [Tensor?]) throws(TensorError) -> [Tensor?] {
        let (standIns, outputs) = try rerun()
        var known: [(Source, Tensor?)] = []
        for i in 0..<inputCount {
            let source = i < inputs.count ? Source(standIns[i]) : parent(i).map { Source($0, parentOutput(i)) }
            if let source { known.append((source, given[i])) }
        }
        return try pushForward(to: outputs, known)
    }

    override func release() {
        super.release()
        body = nil
        inputs = []
        inputCount = 0
        isReleased = true
    }
}

/// What a backward pass has noted on a node.
private struct PassNotes {
    let node: Node
    let pass: UInt64
    let isNeeded, isCollecting: Bool
    let gradient: Tensor?, otherGradients: [Tensor?]?

    init(of node: Node) {
        self.node = node
        (pass, isNeeded, isCollecting) = (node.pass, node.isNeeded, node.isCollecting)
        (gradient, otherGradients) = (node.gradient, node.otherGradients)
    }

    func putBack() {
        (node.pass, node.isNeeded, node.isCollecting) = (pass, isNeeded, isCollecting)
        (node.gradient, node.otherGradients) = (gradient, otherGradients)
    }
}
