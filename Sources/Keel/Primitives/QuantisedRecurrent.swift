import KeelKernels

/// An LSTM or a GRU over whole sequences with weights of 7 bits and activations of 8. Programs are rewritten to it.
///
/// - Shapes: as `LSTM` and `GRU`, but that each matrix of weights is of uint8, whose zero is 128, and is followed by its scales, one for each row.
/// - Gradient: none.
/// - Numerics: x is rounded to bytes as in `QuantisedAffine`, and the state before each step by 1 / 127.5, which reaches over -1...1: a first state beyond
///   counts as the nearest. Sums are exact; the gates' functions are those of floats. A state next to the border of two bytes may become the other one where
///   a processor rounds these functions differently.
/// - Errors: as `LSTM` and `GRU`, and as `QuantisedAffine`.
struct QuantisedRecurrent: Primitive {
    enum Cell: Hashable { case lstm, gru }

    let cell: Cell
    let directions: Int
    let hasState, hasLengths: Bool
    let input: ByteScale?

    private var gates: Int { cell == .lstm ? 4 : 3 }
    /// Two matrices with their scales, and the biases.
    private var inputsOfDirection: Int { cell == .lstm ? 5 : 6 }
    private var stateAt: Int { 1 + inputsOfDirection * directions }
    private var lengthsAt: Int { stateAt + (!hasState ? 0 : cell == .lstm ? 2 : 1) }
    private static let stateScale = ByteScale(covering: -1...1)

    /// The inputs of the primitive of floats.
    private func specsOfFloats(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var own = SpecList(inputs[0])
        for d in 0..<directions {
            let first = 1 + inputsOfDirection * d
            for matrix in [first, first + 2] {
                let checked = try ByteWeights.specsOfFloats(Self.name, SpecList([inputs[0], inputs[matrix], inputs[matrix + 1]]))
                try ByteWeights.checkDepth(Self.name, inputs[matrix].shape)
                own.append(checked[1])
            }
            for i in (first + 4)..<(first + inputsOfDirection) { own.append(inputs[i]) }
        }
        for i in stateAt..<inputs.count { own.append(inputs[i]) }
        return own
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let own = try specsOfFloats(inputs)
        return switch cell {
        case .lstm: try LSTM(directions: directions, hasState: hasState, hasLengths: hasLengths).outputs(own)
        case .gru: try GRU(directions: directions, hasState: hasState, hasLengths: hasLengths).outputs(own)
        }
    }

    static var kernels: Kernels<QuantisedRecurrent> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.run(inputs, outputs, isPlain: true) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.run(inputs, outputs, isPlain: false)
                return true
            })
    }

    private func run(_ inputs: Operands, _ outputs: Operands, isPlain: Bool) throws(TensorError) {
        var parts: [Tensor] = [], packed: [Storage] = []
        for i in 0..<inputs.count { parts.append(try inputs[i].contiguous()) }
        func matrix(_ i: Int, bias: Int) throws(TensorError) -> keel_quantised_matrix {
            var panels: UnsafePointer<Int8>?
            if isPlain {
                try ByteWeights.checkReach(Self.name, parts[i])
            } else {
                packed.append(try ByteWeights.packed(Self.name, parts[i], groups: 1))
                panels = packed.last.map { UnsafePointer($0.base.assumingMemoryBound(to: Int8.self)) }
            }
            return keel_quantised_matrix(
                bytes: parts[i].pointer(UInt8.self), packed: panels, scales: parts[i + 1].pointer(Float.self),
                bias: bias < 0 ? nil : UnsafePointer(parts[bias].pointer(Float.self)))
        }
        var matrices: [keel_quantised_matrix] = []
        for d in 0..<directions {
            let first = 1 + inputsOfDirection * d
            matrices.insert(try matrix(first, bias: first + 4), at: d)
            matrices.append(try matrix(first + 2, bias: cell == .lstm ? -1 : first + 5))
        }
        let x = parts[0], y = outputs[0]
        func first(_ i: Int) -> UnsafePointer<Float>? { hasState ? UnsafePointer(parts[stateAt + i].pointer(Float.self)) : nil }
        let scale = input ?? ByteScale(of: x)
        var scratch: Storage?
        try matrices.withUnsafeBufferPointer { (matrices) throws(TensorError) in
            guard let start = matrices.baseAddress else { return }
            var job = keel_quantised_recurrent(
                gates: Int64(gates), directions: Int64(directions), batch: Int64(x.size(0)), time: Int64(x.size(1)), features: Int64(x.size(2)),
                hidden: Int64(outputs[1].size(2)), scale: scale.kernel, state_scale: Self.stateScale.kernel, x: UnsafePointer(x.pointer(Float.self)), input: start,
                recurrent: start + directions, first_h: first(0), first_c: cell == .lstm ? first(1) : nil,
                lengths: hasLengths ? UnsafePointer(parts[lengthsAt].pointer(Int64.self)) : nil, y: y.pointer(Float.self), last_h: outputs[1].pointer(Float.self),
                last_c: cell == .lstm ? outputs[2].pointer(Float.self) : nil, scratch: nil)
            let room = try Storage(bytes: max(Int(keel_quantised_recurrent_scratch(&job)), 1), on: .cpu)
            job.scratch = room.base.assumingMemoryBound(to: UInt8.self)
            scratch = room
            if isPlain {
                keel_reference_quantised_recurrent_f32(&job)
            } else {
                keel_quantised_recurrent_f32(keel_quantised_best_path(), &job)
            }
        }
        withExtendedLifetime((parts, packed, scratch)) {}
    }
}

extension QuantisedRecurrent {
    init(_ lstm: LSTM, input: ByteScale?) {
        self.init(cell: .lstm, directions: lstm.directions, hasState: lstm.hasState, hasLengths: lstm.hasLengths, input: input)
    }

    init(_ gru: GRU, input: ByteScale?) {
        self.init(cell: .gru, directions: gru.directions, hasState: gru.hasState, hasLengths: gru.hasLengths, input: input)
    }
}

extension Tensor {
    /// `lstm` with its weights rounded to 7 bits; it has no gradient.
    ///
    /// - Parameter input: this tensor's scale, nil for the one that covers it.
    package func quantisedLSTM(
        _ directions: [(input: Tensor, recurrent: Tensor, bias: Tensor)], state: (h: Tensor, c: Tensor)? = nil, lengths: Tensor? = nil, input: ByteScale?
    ) throws(TensorError) -> [Tensor] {
        var inputs = [self]
        for direction in directions { inputs += try Self.bytes(direction.input, direction.recurrent) + [direction.bias] }
        inputs += [state?.h, state?.c, lengths].compactMap { $0 }
        let lstm = LSTM(directions: directions.count, hasState: state != nil, hasLengths: lengths != nil)
        return try applyMany(QuantisedRecurrent(lstm, input: input), inputs)
    }

    /// `gru` with its weights rounded to 7 bits; it has no gradient.
    ///
    /// - Parameter input: this tensor's scale, nil for the one that covers it.
    package func quantisedGRU(
        _ directions: [(input: Tensor, recurrent: Tensor, inputBias: Tensor, recurrentBias: Tensor)], state: Tensor? = nil, lengths: Tensor? = nil,
        input: ByteScale?
    ) throws(TensorError) -> [Tensor] {
        var inputs = [self]
        for direction in directions { inputs += try Self.bytes(direction.input, direction.recurrent) + [direction.inputBias, direction.recurrentBias] }
        inputs += [state, lengths].compactMap { $0 }
        let gru = GRU(directions: directions.count, hasState: state != nil, hasLengths: lengths != nil)
        return try applyMany(QuantisedRecurrent(gru, input: input), inputs)
    }

    private static func bytes(_ matrices: Tensor...) throws(TensorError) -> [Tensor] {
        var parts: [Tensor] = []
        for matrix in matrices {
            let (weight, scales) = try matrix.quantisedWeights(bits: 7)
            parts += [weight, scales]
        }
        return parts
    }
}
