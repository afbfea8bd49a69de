/// The same numbers on another device. The devices of the host share the bytes.
///
/// - Gradient: `dy`, moved back.
struct Move: Primitive {
    let from, to: Place
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }

    /// Of a dense tensor. It isn't only looked at differently where a device has memory of its own, but no kernel runs either.
    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        if from.isHost, to.isHost {
            return Tensor(Storage(borrowing: input.storage.base, from: input.storage, on: to.device), input.descriptor)
        }
        let result = try Tensor(undefined: input.spec, on: to)
        try input.withBytes { (source) throws(TensorError) in
            if let start = source.baseAddress { try to.device.copyIn(result.bytes, from: start, bytes: source.count) }
        }
        return result
    }

    static var kernels: Kernels<Move> { .copying }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient.moved(to: from.device)) }

    static func == (a: Move, b: Move) -> Bool { a.from.isSame(as: b.from) && a.to.isSame(as: b.to) }
    func hash(into hasher: inout Hasher) { for place in [from, to] { hasher.combine(ObjectIdentifier(place.device)) } }
}

extension Tensor {
    /// The same numbers on another device. The devices of the host share the bytes. Gradients move back.
    public func moved(to device: any Device) throws(TensorError) -> Tensor {
        let target = Place(device)
        if storage.place.isTraced {
            guard target.isCPU else { throw TensorError(.devicesDiffer(primitive: Move.name, storage.device.name, device.name)) }
            return self
        }
        return target.isSame(as: storage.place) ? self : try apply(Move(from: storage.place, to: target), contiguous())
    }
}
