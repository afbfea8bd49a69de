import KeelKernels

/// A step that a gradient goes back through: what made a tensor, or a variable.
///
/// A graph belongs to the thread that made it, and no access to a node's fields is open while another begins: so the class is
/// unchecked, and so are the fields, whose checks would take longer than the work.
class Node: @unchecked Sendable {
    struct Slot {
        let parent: Node?
        let descriptor: Descriptor
        /// The input itself, where the gradient reads it, and its storage's version then.
        let saved: Tensor?
        let parentOutput: Int32
        let version: UInt32

        @inline(__always) init(_ tensor: Tensor, isSaved: Bool) {
            parent = tensor.node
            descriptor = tensor.descriptor
            saved = isSaved ? tensor : nil
            parentOutput = Int32(tensor.body.output)
            version = tensor.storage.version
        }

        /// Of a tensor that isn't kept.
        init(_ source: Source, _ descriptor: Descriptor) {
            parent = source.node
            self.descriptor = descriptor
            saved = nil
            parentOutput = Int32(source.output)
            version = 0
        }
    }

    /// Inputs; the first three lie inline.
    @exclusivity(unchecked) final var slot0: Slot?, slot1: Slot?, slot2: Slot?
    @exclusivity(unchecked) final var slots: [Slot]?
    @exclusivity(unchecked) final var inputCount = 0

    /// Whether gradients end here: a `Leaf`. Asking this is cheaper than asking for the class.
    final let isLeaf: Bool
    /// Whether a backward pass took the graph down behind this node.
    @exclusivity(unchecked) final var isReleased = false
    /// Whether anything wanted lies behind this node, in the pass that visited it last.
    @exclusivity(unchecked) final var isNeeded = false
    /// Whether that pass collects gradients at the variables, and so may leave rows there.
    @exclusivity(unchecked) final var isCollecting = false
    @exclusivity(unchecked) final var pass: UInt64 = 0
    /// What has arrived for the outputs in the backward pass under way.
    @exclusivity(unchecked) final var gradient: Tensor?
    @exclusivity(unchecked) final var otherGradients: [Tensor?]?

    /// Where it was made, if someone watches for anomalies.
    @exclusivity(unchecked) final var origin: CallStack?

    @inline(__always) init(isLeaf: Bool) { self.isLeaf = isLeaf }

    var name: String { "variable" }

    @inline(__always) final func parent(_ i: Int) -> Node? {
        switch i {
        case 0: slot0?.parent
        case 1: slot1?.parent
        case 2: slot2?.parent
        default: slots?[i - 3].parent
        }
    }

    @inline(__always) final func parentOutput(_ i: Int) -> Int {
        switch i {
        case 0: Int(slot0?.parentOutput ?? 0)
        case 1: Int(slot1?.parentOutput ?? 0)
        case 2: Int(slot2?.parentOutput ?? 0)
        default: Int(slots?[i - 3].parentOutput ?? 0)
        }
    }

    @inline(__always) final func saved(_ i: Int) -> Tensor? {
        switch i {
        case 0: slot0?.saved
        case 1: slot1?.saved
        case 2: slot2?.saved
        default: slots?[i - 3].saved
        }
    }

    @inline(__always) final func slot(_ i: Int) -> Slot {
        switch i {
        case 0: if let slot0 { return slot0 }
        case 1: if let slot1 { return slot1 }
        case 2: if let slot2 { return slot2 }
        default: if let slots { return slots[i - 3] }
        }
        preconditionFailure("input \(i) of \(name), whose graph was released")
    }

    /// Hands each input that is needed its share of the gradients that have arrived.
    func runGradient(createsGraph: Bool) throws(TensorError) {}

    /// The outputs' tangents from the inputs', in forward mode; nil stands for zeros.
    func tangents(_ inputs: [Tensor?]) throws(TensorError) -> [Tensor?] { [] }

    /// Output `i`, or residual `i - outputCount`, kept for the gradient.
    func keptOutput(_ i: Int) -> Tensor { preconditionFailure("a variable has no outputs") }
    var outputCount: Int { 1 }

    final func receive(_ value: Tensor, output: Int, createsGraph: Bool) throws(TensorError) {
        if output == 0 {
            guard gradient != nil else {
                gradient = value
                return
            }
            try Self.add(value, to: &gradient, createsGraph: createsGraph)
        } else {
            var others = otherGradients ?? []
            otherGradients = nil
            while others.count < output { others.append(nil) }
            try Self.add(value, to: &others[output - 1], createsGraph: createsGraph)
            otherGradients = others
        }
    }

    final func gradient(ofOutput i: Int) -> Tensor? {
        if i == 0 { return gradient }
        guard let otherGradients, i - 1 < otherGradients.count else { return nil }
        return otherGradients[i - 1]
    }

    @inline(__always) final func forgetGradients() {
        gradient = nil
        otherGradients = nil
    }

    private static func add(_ value: Tensor, to sum: inout Tensor?, createsGraph: Bool) throws(TensorError) {
        guard let present = sum else {
            sum = value
            return
        }
        if !createsGraph, present.dtype == .float32, present.storage.place.isCPU, present.descriptor.liesLike(value.descriptor) {
            // The sum so far is nobody else's: add in place.
            sum = nil
            var own = present
            if isKnownUniquelyReferenced(&own.body), isKnownUniquelyReferenced(&own.body.storage) {
                keel_accumulate_f32(Int64(own.count), own.pointer(Float.self), value.pointer(Float.self))
                sum = own
                return
            }
        }
        sum = try present + value
    }

    /// Drops what the node holds, so that the memory goes as soon as the pass is through with it.
    func release() {
        slot0 = nil
        slot1 = nil
        slot2 = nil
        slots = nil
    }

    deinit {
        // A chain of a million nodes must not be a million calls deep: the last owner of a parent hands it to a list.
        guard inputCount > 0 else { return }
        let state = ThreadState.current
        Self.hand(&slot0, to: state)
        Self.hand(&slot1, to: state)
        Self.hand(&slot2, to: state)
        for slot in slots ?? [] { if let parent = slot.parent, !parent.isLeaf { state.doomed.append(parent) } }
        guard !state.isReleasing else { return }
        state.isReleasing = true
        while let last = state.doomed.popLast() { _ = consume last }
        state.isReleasing = false
    }

    @inline(__always) private static func hand(_ slot: inout Slot?, to state: ThreadState) {
        guard let parent = slot?.parent else { return }
        if !parent.isLeaf { state.doomed.append(parent) }
        slot = nil
    }
}
