/// Where bytes lie. Keel's own devices are cases and not objects: comparing and retaining objects would be much of what a small
/// primitive costs.
enum Place: Sendable {
    case cpu, reference
    case elsewhere(any Device)
    /// Nowhere: what is being traced has no bytes. A program's tensors will lie where the processor's do.
    case traced

    init(_ device: any Device) {
        self = device === CPU.shared ? .cpu : device === Reference.shared ? .reference : .elsewhere(device)
    }

    var device: any Device {
        switch self {
        case .cpu, .traced: CPU.shared
        case .reference: Reference.shared
        case .elsewhere(let device): device
        }
    }

    var isCPU: Bool {
        @inline(__always) get {
            if case .cpu = self { return true }
            return false
        }
    }

    /// Whether the bytes lie in the host's memory.
    var isHost: Bool {
        @inline(__always) get {
            switch self {
            case .cpu, .reference: true
            case .elsewhere, .traced: false
            }
        }
    }

    var isTraced: Bool {
        @inline(__always) get {
            if case .traced = self { return true }
            return false
        }
    }

    @inline(__always) func isSame(as other: Place) -> Bool {
        switch (self, other) {
        case (.cpu, .cpu), (.reference, .reference), (.traced, .traced): true
        case (.elsewhere(let device), .elsewhere(let other)): device === other
        default: false
        }
    }
}

/// The bytes of one or more tensors.
///
/// Unchecked because its bytes are written only while the tensor they belong to is being made, and by in-place updates
/// (`update`), which belong to the one thread that trains.
final class Storage: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    /// Nowhere for a while where it is the state of what is being traced.
    @exclusivity(unchecked) var place: Place
    /// Raised by every in-place update, so that a gradient can tell that a tensor it kept is no longer what it was. Its accesses
    /// never overlap: one thread reads it or adds to it.
    @exclusivity(unchecked) var version: UInt32 = 0
    /// Of a program's constant; set before the program is there to be run.
    @exclusivity(unchecked) var forms: PackedForms?
    /// What the device wants back; of what is traced, its value's number.
    let token: Int
    /// Who owns the bytes, where the device doesn't: a mapped file, say; of what is traced, the trace.
    let owner: AnyObject?

    var device: any Device { place.device }

    init(bytes: Int, on place: Place) throws(TensorError) {
        self.place = place
        owner = nil
        switch place {
        case .cpu, .reference:
            (base, token) = try MemoryPool.host.allocate(bytes)
            if Watch.isOn { ThreadState.current.profile?.took(MemoryPool.blockBytes(bytes)) }
        case .elsewhere(let device): (base, token) = try device.allocate(bytes)
        case .traced: preconditionFailure("a traced tensor is made by its trace")
        }
    }

    /// Of the pool's block that these bytes are in, if they are; views of it say the same.
    var poolBytes: Int {
        if let owner { return (owner as? Storage)?.poolBytes ?? 0 }
        return place.isHost ? MemoryPool.blockBytes(token: token) : 0
    }

    /// Where that block ends.
    var blockEnd: UnsafeMutableRawPointer? {
        if let owner { return (owner as? Storage)?.blockEnd }
        return place.isHost ? base + MemoryPool.blockBytes(token: token) : nil
    }

    /// No bytes: a value of a trace.
    init(traced value: Int, by trace: Trace) {
        base = trace.nowhere
        place = .traced
        owner = trace
        token = value
    }

    /// Bytes that `owner` keeps alive.
    init(borrowing base: UnsafeMutableRawPointer, from owner: AnyObject, on device: any Device) {
        self.base = base
        place = Place(device)
        self.owner = owner
        token = 0
    }

    deinit {
        guard owner == nil else { return }
        guard place.isHost else {
            place.device.deallocate(base, token: token)
            return
        }
        let state = ThreadState.current
        if state.kernelsRunning > 0 {
            state.heldBack.append((base, token))
        } else {
            MemoryPool.host.deallocate(base, token: token)
        }
    }
}
