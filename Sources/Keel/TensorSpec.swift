/// What a shape rule knows of a tensor.
public struct TensorSpec: Hashable, Sendable, CustomStringConvertible {
    public var shape: Shape
    public var dtype: DType

    public init(_ shape: Shape, _ dtype: DType) {
        self.shape = shape
        self.dtype = dtype
    }

    public var description: String { "\(dtype)\(shape)" }
}

/// A few specs; up to four lie inline, so that shape rules allocate nothing for the usual primitive.
public struct SpecList: Sendable {
    private var first, second, third, fourth: TensorSpec?
    private var rest: [TensorSpec]?
    public private(set) var count = 0

    @inline(__always) public init() {}

    @inline(__always) public init(_ spec: TensorSpec) {
        first = spec
        count = 1
    }

    public init(_ specs: [TensorSpec]) {
        for spec in specs { append(spec) }
    }

    public mutating func append(_ spec: TensorSpec) {
        switch count {
        case 0: first = spec
        case 1: second = spec
        case 2: third = spec
        case 3: fourth = spec
        default: rest = (rest ?? []) + [spec]
        }
        count += 1
    }

    public subscript(_ index: Int) -> TensorSpec {
        switch index {
        case 0: if let first { return first }
        case 1: if let second { return second }
        case 2: if let third { return third }
        case 3: if let fourth { return fourth }
        default: if let rest { return rest[index - 4] }
        }
        preconditionFailure("spec \(index) of \(count)")
    }
}

/// Where a tensor's elements lie. The shape doesn't tell: a blocked activation `[n, c, h, w]` is that shape to every rule.
public enum Layout: Hashable, Sendable {
    /// Element `i` lies at `offset + Σ i[axis] * strides[axis]`.
    case strided
    /// `[n, c, ...]` lies as `[n, ⌈c / block⌉, ..., block]`, with zeros in the lanes past `c`; with `c` as the block that is
    /// channels-last. Never viewed.
    case blocked(Int32)
}

/// All that is known of a tensor but its bytes. Tensors of one kind share one.
final class Descriptor: Sendable {
    let spec: TensorSpec
    let layout: Layout
    let strides: Strides
    /// In elements from the storage's start.
    let offset: Int
    /// The number of elements; -1 where the shape is symbolic.
    let count: Int
    /// Whether the elements lie in row-major order without gaps.
    let isDense: Bool
    /// Whether the elements lie in one run without gaps, in whatever order: dense, or blocked without lanes of padding.
    let isGapless: Bool

    var shape: Shape { spec.shape }
    var dtype: DType { spec.dtype }

    /// Dense and row-major. `count` was computed from the shape.
    init(dense spec: TensorSpec, count: Int) {
        self.spec = spec
        self.count = count
        layout = .strided
        strides = spec.shape.denseStrides
        offset = 0
        isDense = true
        isGapless = true
    }

    /// For a tensor that is being traced, whose elements nobody knows.
    init(symbolic spec: TensorSpec) {
        self.spec = spec
        count = -1
        layout = .strided
        strides = Strides(repeating: 0)
        offset = 0
        isDense = true
        isGapless = false
    }

    init(blocked spec: TensorSpec, block: Int32, count: Int) {
        self.spec = spec
        self.count = count
        layout = .blocked(block)
        strides = Strides(repeating: 0)
        offset = 0
        isDense = false
        isGapless = spec.shape.dimensions[1].bits % Int(block) == 0
    }

    convenience init(_ spec: TensorSpec, _ layout: Layout, count: Int) {
        if case .blocked(let block) = layout {
            self.init(blocked: spec, block: block, count: count)
        } else {
            self.init(dense: spec, count: count)
        }
    }

    init(_ spec: TensorSpec, strides: Strides, offset: Int, count: Int) {
        self.spec = spec
        self.strides = strides
        self.offset = offset
        self.count = count
        layout = .strided
        let dense = spec.shape.denseStrides
        var isDense = true
        if count > 1 {
            for axis in 0..<spec.shape.rank where spec.shape.dimensions[axis].bits != 1 && strides[axis] != dense[axis] {
                isDense = false
            }
        }
        self.isDense = isDense
        isGapless = isDense
    }

    /// Whether elements at equal distances from the start are the same elements here and there, every one of them.
    @inline(__always) func liesLike(_ other: Descriptor) -> Bool {
        isGapless && (self === other || other.isGapless && layout == other.layout && spec == other.spec)
    }

    /// Bytes of storage that a new tensor of this kind needs.
    var storageBytes: Int {
        guard case .blocked(let block) = layout else { return count * dtype.width }
        let shape = spec.shape
        var elements = shape.dimensions[0].bits * ((shape.dimensions[1].bits + Int(block) - 1) / Int(block)) * Int(block)
        for axis in 2..<shape.rank { elements *= shape.dimensions[axis].bits }
        return elements * dtype.width
    }

    var isBlocked: Bool {
        if case .blocked = layout { return true }
        return false
    }
}
