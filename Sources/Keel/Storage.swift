/// The bytes of one or more tensors.
///
/// Unchecked because its bytes are written only while the tensor they belong to is being made, and by in-place updates
/// (`update`), which belong to the one thread that trains.
final class Storage: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let device: any Device
    /// Raised by every in-place update, so that a gradient can tell that a tensor it kept is no longer what it was.
    var version: UInt32 = 0
    private let token: Int
    /// Who owns the bytes, where the device doesn't: a mapped file, say.
    private let owner: AnyObject?

    init(bytes: Int, on device: any Device) throws(TensorError) {
        self.device = device
        owner = nil
        if device === CPU.shared {
            (base, token) = try CPU.shared.allocate(bytes)
        } else {
            (base, token) = try device.allocate(bytes)
        }
    }

    /// Bytes that `owner` keeps alive.
    init(borrowing base: UnsafeMutableRawPointer, from owner: AnyObject, on device: any Device) {
        self.base = base
        self.device = device
        self.owner = owner
        token = 0
    }

    deinit {
        guard owner == nil else { return }
        if device === CPU.shared || device === Reference.shared {
            let state = ThreadState.current
            if state.kernelsRunning > 0 {
                state.heldBack.append((base, token))
            } else {
                CPU.shared.deallocate(base, token: token)
            }
        } else {
            device.deallocate(base, token: token)
        }
    }
}
