import Synchronization

/// A program's constant in the forms that kernels want it in, each made once and kept as long as the constant.
final class PackedForms: Sendable {
    enum Form: Hashable {
        case winograd(UInt32)
        /// The filters of a convolution, in panels.
        case patches
        case oneDNN([Int64])
        /// The transpose of a matrix, in panels.
        case panels
        /// Weights of bytes, in panels, for so many groups of outputs.
        case bytes(groups: Int)
        /// The transpose of a matrix of bytes, in panels of this processor.
        case bytePanels
        /// Filters of bytes, transformed.
        case byteWinograd
    }

    /// The constant lies so; views of it have no forms.
    let descriptor: Descriptor
    private let made = Mutex<[Form: Storage]>([:])

    init(of descriptor: Descriptor) { self.descriptor = descriptor }

    /// Of the pool's blocks that the forms take.
    var bytes: Int { made.withLock { $0.values.reduce(0) { $0 + $1.poolBytes } } }

    func storage(_ form: Form, _ make: () throws(TensorError) -> Storage) throws(TensorError) -> Storage {
        if let found = made.withLock({ $0[form] }) { return found }
        let new = try make()
        return made.withLock { made in
            if let first = made[form] { return first }
            made[form] = new
            return new
        }
    }
}

extension Tensor {
    /// Lets kernels keep their own forms of this tensor, which never changes from now on.
    package func keepForms() {
        if storage.forms == nil { storage.forms = PackedForms(of: descriptor) }
    }

    /// Whether kernels keep their own forms of this tensor: of a program's constant, not of a view of it.
    var keepsForms: Bool { storage.forms.map { $0.descriptor === descriptor } ?? false }

    /// Of the pool's blocks that a constant's kept forms take.
    package var formBytes: Int { storage.forms?.bytes ?? 0 }

    /// These numbers in another form, which `fill` writes to `bytes` bytes; a constant keeps it.
    func packed(_ form: PackedForms.Form, bytes: Int, _ fill: (UnsafeMutableRawPointer) throws(TensorError) -> Void) throws(TensorError) -> Storage {
        func make() throws(TensorError) -> Storage {
            let storage = try Storage(bytes: bytes, on: .cpu)
            try fill(storage.base)
            return storage
        }
        guard keepsForms, let forms = storage.forms else { return try make() }
        return try forms.storage(form) { () throws(TensorError) in
            let made = try make()
            // It isn't the kernel's own.
            if Watch.isOn { ThreadState.current.profile?.took(-made.poolBytes) }
            return made
        }
    }
}
