/// One operator, with all that the system knows about it.
///
/// n inputs, m outputs, and *residuals*: what its kernel hands to its gradient and nobody else sees. Shape rule, kernels, gradient,
/// export name and documentation stand together in one file; `Primitives.swift` lists them all.
public protocol Primitive: Hashable, Sendable {
    /// As errors, profiles and test rows call it.
    static var name: String { get }
    /// The ONNX operator, where there is one that means the same.
    static var onnxName: String? { get }
    static var kernels: Kernels<Self> { get }
    /// What the gradient reads. The tape keeps nothing else.
    static var gradientReads: Reads { get }
    /// Whether the fast kernel takes channel-blocked inputs; others are given plain ones.
    static var takesBlocked: Bool { get }
    /// Whether it may make a blocked output of plain inputs.
    static var makesBlocked: Bool { get }
    /// Whether the kernels take half floats as they are, as those do which only move elements. Others are given float32 copies, and their
    /// float32 outputs are rounded to the kinds that `outputs` says.
    static var takesHalf: Bool { get }
    /// For state updates: output `i` is written over input `overwrites[i]`. Such a primitive runs through `update` only.
    static var overwrites: [Int] { get }

    /// The shape and dtype rule. Half floats are floats to it.
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList

    /// The same primitive with numbers in place of the symbols in its own sizes, for those that have sizes of their own.
    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Self

    /// What the kernel appends to its outputs when a gradient will be wanted.
    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList

    /// How blocked inputs make a blocked output: its layout.
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout

    /// For primitives that only look at their input differently: the view, or nil where the
    /// elements must be moved.
    func view(_ input: Tensor) throws(TensorError) -> Tensor?

    /// As `view`, for primitives with several outputs, all of them views.
    func views(_ input: Tensor) throws(TensorError) -> [Tensor]?

    /// Gives the gradients of the inputs that are wanted, in terms of primitives.
    func gradient(_ g: borrowing GradientContext) throws(TensorError)

    /// Whether the outputs are linear in all inputs together, which then are floats: it is its own derivative in forward mode.
    static var isLinear: Bool { get }
    /// Whether each number of the output depends on the one number of the only input that stands in its place: forwards and backwards, it
    /// then has the same derivative.
    static var isElementwise: Bool { get }

    /// The outputs' tangents from the inputs', in terms of primitives: forward mode's rule, for primitives that are neither. Without one,
    /// the decomposition or the gradient serves.
    func tangents(_ t: borrowing TangentContext) throws(TensorError) -> [Tensor?]?

    /// The same function in simpler primitives. Fused ones give it: it serves derivatives of second order.
    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]?
}

extension Primitive {
    public static var name: String { onnxName ?? String(describing: Self.self) }
    public static var onnxName: String? { nil }
    public static var gradientReads: Reads { [] }
    public static var takesBlocked: Bool { false }
    public static var makesBlocked: Bool { false }
    public static var takesHalf: Bool { false }
    public static var overwrites: [Int] { [] }
    public func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Self { self }
    public func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList() }
    public func layout(_ inputs: Operands, output: TensorSpec) -> Layout { .strided }
    public func view(_ input: Tensor) throws(TensorError) -> Tensor? { nil }
    public func views(_ input: Tensor) throws(TensorError) -> [Tensor]? { nil }
    public func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? { nil }
    public static var isLinear: Bool { false }
    public static var isElementwise: Bool { false }
    public func tangents(_ t: borrowing TangentContext) throws(TensorError) -> [Tensor?]? { nil }

    /// For primitives whose outputs are no floats, or that nobody derives.
    public func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        throw TensorError(.higherOrder(primitive: Self.name))
    }
}

/// A primitive's kernels. A kernel gets inputs that its shape rule accepted, and outputs, then residuals if wanted, to fill.
public struct Kernels<P: Primitive>: Sendable {
    public typealias Kernel = @Sendable (P, Operands, Operands) throws(TensorError) -> Void
    /// Says false, having done nothing, for dtypes that it leaves to the reference kernel.
    public typealias FastKernel = @Sendable (P, Operands, Operands) throws(TensorError) -> Bool

    /// Plain C loops; inputs may have any strides.
    public let reference: Kernel
    public let cpu: FastKernel?

    @inline(__always) public init(reference: @escaping Kernel, cpu: FastKernel? = nil) {
        self.reference = reference
        self.cpu = cpu
    }
}

/// A set of a primitive's inputs, outputs and residuals.
public struct Reads: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Inputs beyond the eleventh count as the eleventh.
    public static func input(_ index: Int) -> Reads { Reads(rawValue: 1 << UInt32(min(index, 11))) }
    public static func output(_ index: Int) -> Reads { Reads(rawValue: 1 << UInt32(12 + index)) }
    public static func residual(_ index: Int) -> Reads { Reads(rawValue: 1 << UInt32(20 + index)) }

    var readsInputs: Bool { rawValue & 0xfff != 0 }
    var readsOutputs: Bool { rawValue >> 12 != 0 }
}
