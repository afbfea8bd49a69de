import KeelKernels

extension keel_walk {
    /// The way through dense `output` and the inputs that are stretched to its shape.
    @inline(__always)
    init(_ output: Tensor, _ inputs: Operands) {
        self.init()
        let shape = output.shape
        operands = Int32(inputs.count + 1)
        // The usual case: everything dense and of one shape is one row.
        var isFlat = output.descriptor.isDense
        for i in 0..<inputs.count {
            let descriptor = inputs[i].descriptor
            isFlat = isFlat && (descriptor === output.descriptor || descriptor.isDense && descriptor.spec.shape == shape)
        }
        if isFlat {
            rank = 1
            self.shape.0 = Int64(output.count)
            strides.0.0 = 1
            strides.1.0 = 1
            strides.2.0 = 1
            strides.3.0 = 1
            strides.4.0 = 1
            return
        }
        fill(output, inputs)
    }

    private mutating func fill(_ output: Tensor, _ inputs: Operands) {
        let shape = output.shape
        rank = Int32(shape.rank)
        withUnsafeMutableBytes(of: &self.shape) { bytes in
            let sizes = bytes.bindMemory(to: Int64.self)
            for axis in 0..<shape.rank { sizes[axis] = Int64(shape[axis].bits) }
        }
        withUnsafeMutableBytes(of: &strides) { bytes in
            let strides = bytes.bindMemory(to: Int64.self)
            for axis in 0..<shape.rank { strides[axis] = Int64(output.stride(axis)) }
            for i in 0..<inputs.count {
                let input = inputs[i].descriptor
                let shift = shape.rank - input.spec.shape.rank
                for axis in 0..<input.spec.shape.rank {
                    let isStretched = input.spec.shape[axis].bits == 1 && shape[axis + shift].bits != 1
                    strides[(i + 1) * Int(KEEL_MAX_RANK) + axis + shift] = isStretched ? 0 : Int64(input.strides[axis])
                }
            }
        }
        keel_walk_coalesce(&self)
    }

    /// Through two tensors of one shape, whatever their strides.
    init(copying from: Descriptor, to: Descriptor) {
        self.init()
        operands = 2
        let shape = from.spec.shape
        rank = Int32(shape.rank)
        withUnsafeMutableBytes(of: &self.shape) { bytes in
            let sizes = bytes.bindMemory(to: Int64.self)
            for axis in 0..<shape.rank { sizes[axis] = Int64(shape[axis].bits) }
        }
        withUnsafeMutableBytes(of: &strides) { bytes in
            let strides = bytes.bindMemory(to: Int64.self)
            for axis in 0..<shape.rank {
                strides[axis] = Int64(to.strides[axis])
                strides[Int(KEEL_MAX_RANK) + axis] = Int64(from.strides[axis])
            }
        }
        keel_walk_coalesce(&self)
    }
}
