#if canImport(Glibc)
import Glibc
#endif

// What the passes over programs know of primitives: rules that hold for each by itself.

/// A primitive that changes nothing for some inputs.
package protocol Transparent: Primitive {
    /// Which input the only output equals bit for bit, but for the sign of zeros; nil where it equals none.
    ///
    /// - Parameter constants: those of the inputs that are constants.
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) throws(TensorError) -> Int?
}

/// A primitive of one input and one output that can do another one's work along with its own.
package protocol Composable: Primitive {
    /// One primitive that gives what this one gives of the only output of `inner`.
    func composed(after inner: any Primitive) -> (any Primitive)?
}

/// A primitive with constant weights, in which a factor and a shift for each channel of the output can be hidden.
package protocol ChannelScalable: Primitive {
    /// The inputs with which it gives `y * factor + shift` in place of `y [output]`, for each channel (axis 1); the first one, which stays, left out.
    /// Nil where the channels are no channels of the weights.
    ///
    /// - Parameter constants: the weights and, if there is one, the bias.
    func scaled(_ constants: [Tensor], factor: Tensor, shift: Tensor, output: Shape) throws(TensorError) -> [Tensor]?
}

/// Whether all elements are this number.
private func isFull(_ tensor: Tensor?, of number: Double) throws(TensorError) -> Bool {
    guard let tensor, tensor.count > 0 else { return false }
    var first = tensor
    while first.rank > 0 { first = try first.sliced(0, to: 1).withoutAxis(0) }
    guard try first.cast(to: .float64).item(Double.self) == number else { return false }
    // Where each number's bytes are those of the one before it, all are the first.
    return try tensor.withBytes { bytes in
        let width = bytes.count / tensor.count
        return bytes.baseAddress.map { memcmp($0, $0 + width, bytes.count - width) == 0 } ?? false
    }
}

extension BinaryElementwise {
    /// The first input, or the second, if the other is full of `number` and doesn't stretch it.
    fileprivate func partner(
        of number: Double, _ inputs: SpecList, _ constants: [Tensor?], isCommutative: Bool
    ) throws(TensorError) -> Int? {
        let result = try outputs(inputs)[0]
        if inputs[0] == result, try isFull(constants[1], of: number) { return 0 }
        if isCommutative, inputs[1] == result, try isFull(constants[0], of: number) { return 1 }
        return nil
    }
}

extension Add: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) throws(TensorError) -> Int? {
        try partner(of: 0, inputs, constants, isCommutative: true)
    }
}

extension Subtract: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) throws(TensorError) -> Int? {
        try partner(of: 0, inputs, constants, isCommutative: false)
    }
}

extension Multiply: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) throws(TensorError) -> Int? {
        try partner(of: 1, inputs, constants, isCommutative: true)
    }
}

extension Divide: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) throws(TensorError) -> Int? {
        try partner(of: 1, inputs, constants, isCommutative: false)
    }
}

extension Scale: Transparent, Composable {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { factor == 1 && offset == 0 ? 0 : nil }

    func composed(after inner: any Primitive) -> (any Primitive)? {
        (inner as? Scale).map { Scale(factor: factor * $0.factor, offset: factor * $0.offset + offset) }
    }
}

extension Negate: Composable {
    func composed(after inner: any Primitive) -> (any Primitive)? { inner is Negate ? Identity() : nil }
}

extension Relu: Composable {
    func composed(after inner: any Primitive) -> (any Primitive)? { inner is Relu ? Relu() : nil }
}

extension Identity: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { 0 }
}

extension Reshape: Transparent, Composable {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { inputs[0].shape == shape ? 0 : nil }
    func composed(after inner: any Primitive) -> (any Primitive)? { inner is Reshape ? self : nil }
}

extension Expand: Transparent, Composable {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { inputs[0].shape == shape ? 0 : nil }
    func composed(after inner: any Primitive) -> (any Primitive)? { inner is Expand ? self : nil }
}

extension Permute: Transparent, Composable {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { order == Array(0..<order.count) ? 0 : nil }

    func composed(after inner: any Primitive) -> (any Primitive)? {
        (inner as? Permute).map { inner in Permute(order: order.map { inner.order[$0] }) }
    }
}

extension Cast: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { inputs[0].dtype == dtype ? 0 : nil }
}

extension Concatenate: Transparent {
    func unchangedInput(_ inputs: SpecList, _ constants: [Tensor?]) -> Int? { inputs.count == 1 ? 0 : nil }
}

extension Conv2D: ChannelScalable {
    func scaled(_ constants: [Tensor], factor: Tensor, shift: Tensor, output: Shape) throws(TensorError) -> [Tensor]? {
        let stretched = try factor.reshaped([factor.count, 1, 1, 1])
        return [try constants[0] * stretched, try constants.count > 1 ? constants[1] * factor + shift : shift]
    }
}

extension Affine: ChannelScalable {
    func scaled(_ constants: [Tensor], factor: Tensor, shift: Tensor, output: Shape) throws(TensorError) -> [Tensor]? {
        guard output.rank == 2 else { return nil }
        return [try constants[0] * factor.withAxis(1), try constants.count > 1 ? constants[1] * factor + shift : shift]
    }
}

extension ChannelAffine: ChannelScalable {
    func scaled(_ constants: [Tensor], factor: Tensor, shift: Tensor, output: Shape) throws(TensorError) -> [Tensor]? {
        [try constants[0] * factor, try constants[1] * factor + shift]
    }
}

extension Primitive {
    /// Whether it is `x * factor + shift` for each channel.
    package var isChannelAffine: Bool { self is ChannelAffine }
}

/// A primitive that can do what follows it in the same pass.
package protocol Finishable: Primitive {
    /// The primitive that then adds one more input, of the output's shape.
    var adding: (any Primitive)? { get }
    /// The primitive that then rectifies.
    func rectified(by rectifier: Rectifier) -> (any Primitive)?
}

extension Conv2D: Finishable {
    var adding: (any Primitive)? { RectifiedConv2D(convolution: self, hasAddend: true, rectifier: .none) }

    func rectified(by rectifier: Rectifier) -> (any Primitive)? {
        RectifiedConv2D(convolution: self, hasAddend: false, rectifier: rectifier)
    }
}

extension RectifiedConv2D: Finishable {
    var adding: (any Primitive)? { nil }

    func rectified(by other: Rectifier) -> (any Primitive)? {
        rectifier == .none ? RectifiedConv2D(convolution: convolution, hasAddend: hasAddend, rectifier: other) : nil
    }
}

extension Primitive {
    package var isAddition: Bool { self is Add }

    /// The rectifier that it is.
    package var rectifier: Rectifier? {
        if self is Relu { return .relu }
        guard let clip = self as? Clip, clip.least == 0, clip.most == 6 else { return nil }
        return .relu6
    }
}

extension Primitive {
    /// Of a layer whose weights have all its output channels along axis 0 and all its input channels along axis 1: where the channels lie in what it
    /// reads and makes, from the end where it is negative.
    package var channelAxis: Int? {
        switch self {
        case let convolution as Conv2D where convolution.groups == 1: 1
        case is Affine: -1
        default: nil
        }
    }

    /// Whether it works number by number on inputs of any one shape, or on scalars beside them.
    package var isNumberByNumber: Bool { ElementwiseFunction(self) != nil }

    /// Where axis `axis` of the input [rank axes] comes out, of a primitive that treats each place along it alike and by itself, so that places may be left
    /// out; nil for others. Zeros stay zeros, or it is number by number.
    package func axis(after axis: Int, of rank: Int) -> Int? {
        switch self {
        case is MaxPool2D, is AveragePool2D, is AdaptiveMaxPool2D:
            return axis <= 1 ? axis : nil
        case is Sum, is Mean, is Max, is Min:
            guard let reduction = self as? any Reduction, !reduction.axes.contains(axis) else { return nil }
            return reduction.keepsAxes ? axis : axis - (0..<axis).count { reduction.axes.contains($0) }
        default: return isNumberByNumber ? axis : nil
        }
    }
}

extension Tensor {
    /// For each place along the first axis, whether all numbers there are 0. No number but float32 is looked at, and then none is said to be.
    package func zeroRows() throws(TensorError) -> [Bool] {
        guard rank >= 1, size(0) > 0 else { return [] }
        guard dtype == .float32 else { return Array(repeating: false, count: size(0)) }
        let plain = try contiguous(), width = count / size(0), numbers = plain.pointer(Float.self)
        return withExtendedLifetime(plain) { (0..<size(0)).map { row in (0..<width).allSatisfy { numbers[row * width + $0] == 0 } } }
    }
}
