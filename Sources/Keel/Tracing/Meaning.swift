/// What a primitive does, as far as passes look for it in a chain of primitives that one primitive does the work of.
package enum Meaning: Equatable {
    case add, subtract, multiply, divide, power
    /// `x * factor + offset`
    case scale(factor: Double, offset: Double)
    case negate, squareRoot, reciprocal, erf, tanh
    /// Over the last axis, which stays as one of size 1.
    case meanOfRows
    case softmaxOfRows
    case matMul
    case reshape
    case permute([Int])
}

extension Primitive {
    package func meaning(of input: TensorSpec) -> Meaning? {
        switch self {
        case is Add: .add
        case is Subtract: .subtract
        case is Multiply: .multiply
        case is Divide: .divide
        case is Power: .power
        case let scale as Scale: .scale(factor: scale.factor, offset: scale.offset)
        case is Negate: .negate
        case is Sqrt: .squareRoot
        case is Reciprocal: .reciprocal
        case is Erf: .erf
        case is Tanh: .tanh
        case let mean as Mean where mean.keepsAxes && input.shape.rank > 0 && mean.axes.bits == 1 << UInt8(input.shape.rank - 1): .meanOfRows
        case is Softmax: .softmaxOfRows
        case is MatMul: .matMul
        case is Reshape: .reshape
        case let permute as Permute: .permute(permute.order)
        default: nil
        }
    }
}

extension Primitive {
    /// Whether it makes zeros of all numbers below.
    package var makesZeros: Bool {
        switch self {
        case is Relu: true
        case let clip as Clip: clip.least == 0
        case let affine as ActivatedAffine: affine.activation.primitive?.makesZeros ?? false
        default: false
        }
    }

    /// The same fully connected layer, to which weights that meet zeros don't matter.
    package var skippingZeros: (any Primitive)? {
        (self as? ActivatedAffine).flatMap { $0.skipsZeros ? nil : ActivatedAffine(activation: $0.activation, skipsZeros: true) }
    }
}

/// The primitives that passes put in the place of others.
package enum Fused {
    package static var gelu: any Primitive { Gelu() }
    package static var geluTanh: any Primitive { GeluTanh() }
    package static func layerNorm(epsilon: Double) -> any Primitive { LayerNorm(epsilon: epsilon) }
    package static func reshape(to shape: Shape) -> any Primitive { Reshape(shape: shape) }
    package static var affine: any Primitive { ActivatedAffine(activation: Finish(nil)) }

    /// Of `q`, `k` and `v [batch, time, features]` and, if there is a bias, what is added to the scores.
    package static func attention(heads: Int, scale: Double, hasBias: Bool) -> any Primitive {
        Attention(heads: heads, isCausal: false, isPacked: false, hasMask: false, scale: scale, hasBias: hasBias)
    }

    /// A fully connected layer that ends with this function.
    package static func affine(endingWith function: any Primitive) -> (any Primitive)? {
        (function as? any UnaryElementwise).map { ActivatedAffine(activation: Finish($0)) }
    }
}

extension Primitive {
    /// Whether it is a fully connected layer to which a function may be added, and whether its weights stay the same.
    package var isAffine: Bool { self is Affine }
    package var isUnfinishedAffine: Bool { (self as? ActivatedAffine)?.activation.primitive == nil && self is ActivatedAffine }
}

extension Fused {
    /// One primitive for two that work number by number, or that are chains of such, where the second reads what the first makes; and its inputs.
    package static func chain(
        _ first: any Primitive, _ firstInputs: [Int], making value: Int, before second: any Primitive, _ secondInputs: [Int]
    ) -> (primitive: any Primitive, inputs: [Int])? {
        guard let earlier = links(first), let later = links(second) else { return nil }
        var inputs: [Int] = []
        for input in firstInputs + secondInputs where input != value && !inputs.contains(input) { inputs.append(input) }
        guard inputs.count <= ElementwiseChain.mostInputs, earlier.count + later.count <= ElementwiseChain.mostLinks else { return nil }
        func moved(_ links: [ElementwiseChain.Link], _ own: [Int], by count: Int) -> [ElementwiseChain.Link] {
            links.map { link in
                let operands = link.operands.map { operand in
                    guard operand < own.count else { return operand - own.count + inputs.count + count }
                    return own[operand] == value ? inputs.count + earlier.count - 1 : inputs.firstIndex(of: own[operand]) ?? 0
                }
                return ElementwiseChain.Link(function: link.function, operands: operands)
            }
        }
        return (ElementwiseChain(links: moved(earlier, firstInputs, by: 0) + moved(later, secondInputs, by: earlier.count)), inputs)
    }

    private static func links(_ primitive: any Primitive) -> [ElementwiseChain.Link]? {
        if let chain = primitive as? ElementwiseChain { return chain.links }
        guard let function = ElementwiseFunction(primitive) else { return nil }
        return [ElementwiseChain.Link(function: function, operands: Array(0..<function.operands))]
    }
}
