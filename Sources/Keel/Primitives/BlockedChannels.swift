// Joining and cutting channel-blocked tensors along their channels: where the pieces begin and end with blocks, an image's channels lie
// in one run.

extension Tensor {
    /// As it lies, or plain if that is blocked.
    func unblocked() throws(TensorError) -> Tensor { descriptor.isBlocked ? try contiguous() : self }

    /// `count` channels of a blocked tensor from `start` on, both whole blocks, as a matrix: a row is what an image has of them.
    func blockedChannels(from start: Int, count channels: Int) -> Tensor {
        var positions = 1
        for axis in 2..<rank { positions *= size(axis) }
        var strides = Strides(repeating: 0)
        strides[0] = size(1) * positions
        strides[1] = 1
        let run = TensorSpec([size(0), channels * positions], dtype)
        return Tensor(storage, Descriptor(run, strides: strides, offset: start * positions, count: size(0) * channels * positions))
    }
}

extension Concatenate {
    /// Blocked where all inputs are so, and along channels that come in whole blocks.
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        guard axis == 1 || axis == 1 - output.shape.rank, case .blocked(let block) = inputs[0].layout else { return .strided }
        for i in 0..<inputs.count where inputs[i].layout != inputs[0].layout || inputs[i].size(1) % Int(block) != 0 { return .strided }
        return inputs[0].layout
    }

    func joinBlocked(_ inputs: Operands, into output: Tensor) {
        var start = 0
        for i in 0..<inputs.count {
            let channels = inputs[i].size(1)
            move(inputs[i].blockedChannels(from: 0, count: channels), to: output.blockedChannels(from: start, count: channels))
            start += channels
        }
    }
}

extension Slice {
    /// Blocked where it cuts a blocked tensor's channels between blocks.
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        guard axis == 1 || axis == 1 - output.shape.rank, step == 1, end > start, case .blocked(let block) = inputs[0].layout,
            start % Int(block) == 0, (end - start) % Int(block) == 0, inputs[0].size(1) % Int(block) == 0
        else { return .strided }
        return inputs[0].layout
    }

    func cutBlocked(_ input: Tensor, into output: Tensor) {
        move(input.blockedChannels(from: start, count: end - start), to: output.blockedChannels(from: 0, count: end - start))
    }
}
