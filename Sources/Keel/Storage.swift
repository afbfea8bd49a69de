/// Where bytes lie. Keel's own devices are cases and not objects: comparing and retaining objects would be much of what a small
/// primitive costs.
enum Place: Sendable {
    case cpu, reference
    case elsewhere(any Device)

    init(_ device: any Device) {
        self = device === CPU.shared ? .cpu : device === Reference.shared ? .reference : .elsewhere(device)
    }

    var device: any Device {
        switch self {
        case .cpu: CPU.shared
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
            if case .elsewhere = self { return false }
            return true
        }
    }

    @inline(__always) func isSame(as other: Place) -> Bool {
        switch (self, other) {
        case (.cpu, .cpu), (.reference, .reference): true
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
    let place: Place
    /// Raised by every in-place update, so that a gradient can tell that a tensor it kept is no longer what it was. Its accesses
    /// never overlap: one thread reads it or adds to it.
    @exclusivity(unchecked) var version: UInt32 = 0
    private let token: Int
    /// Who owns the bytes, where the device doesn't: a mapped file, say.
    private let owner: AnyObject?

    var device: any Device { place.device }

    init(bytes: Int, on place: Place) throws(TensorError) {
        self.place = place
        owner = nil
        switch place {
        case .cpu, .reference: (base, token) = try MemoryPool.host.allocate(bytes)
        case .elsewhere(let device): (base, token) = try device.allocate(bytes)
        }
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
            MemoryPool.host.deallocate(base, sizeClass: token)
        }
    }
}
