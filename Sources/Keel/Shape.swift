/// The sizes of a tensor's axes, at most eight, stored inline.
///
/// A rule may make a shape of more elements than a tensor can have: `elementCount` refuses it, and so every tensor does.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    public static let maximumRank = 8
    /// Their bytes fit an `Int`, whatever they are and however they are padded.
    static let maximumCount = 1 << 59

    @usableFromInline var dimensions: InlineArray<8, Dimension>
    public private(set) var rank: Int

    /// A scalar's shape, `[]`.
    public init() {
        dimensions = InlineArray(repeating: Dimension(bits: 1))
        rank = 0
    }

    /// - Precondition: at most eight sizes, none negative.
    public init(arrayLiteral sizes: Int...) { self.init(sizes) }

    /// - Precondition: at most eight sizes, none negative.
    public init(_ sizes: [Int]) {
        precondition(sizes.count <= Self.maximumRank, "a tensor has eight axes at most")
        self.init()
        for size in sizes { append(Dimension(size)) }
    }

    /// - Precondition: at most eight of them.
    public init(_ dimensions: Dimension...) {
        precondition(dimensions.count <= Self.maximumRank, "a tensor has eight axes at most")
        self.init()
        for dimension in dimensions { append(dimension) }
    }

    /// For sizes that came from outside.
    ///
    /// - Throws: `TensorError.invalidShape` for more than eight sizes, a negative one, or sizes whose product, those of 0 left out,
    ///   is more than 2^59.
    public init(checking sizes: [Int]) throws(TensorError) {
        guard sizes.count <= Self.maximumRank, sizes.allSatisfy({ $0 >= 0 }) else { throw .invalidShape(sizes) }
        self.init(sizes)
        _ = try elementCount()
    }

    mutating func append(_ dimension: Dimension) {
        dimensions[rank] = dimension
        rank += 1
    }

    /// The axis' size; negative axes count from the end.
    ///
    /// - Precondition: `-rank <= axis < rank`.
    public subscript(axis: Int) -> Dimension {
        get {
            let place = axis < 0 ? axis + rank : axis
            precondition(place >= 0 && place < rank, "axis \(axis) of a shape of rank \(rank)")
            return dimensions[place]
        }
        set {
            let place = axis < 0 ? axis + rank : axis
            precondition(place >= 0 && place < rank, "axis \(axis) of a shape of rank \(rank)")
            dimensions[place] = newValue
        }
    }

    /// Nil where an axis is symbolic.
    public var sizes: [Int]? {
        var result: [Int] = []
        result.reserveCapacity(rank)
        for axis in 0..<rank {
            guard let number = dimensions[axis].number else { return nil }
            result.append(number)
        }
        return result
    }

    /// - Throws: `TensorError.symbolicDimension`.
    public func size(_ axis: Int) throws(TensorError) -> Int { try self[axis].value() }

    /// - Throws: `TensorError.symbolicDimension`; `TensorError.invalidShape` where the sizes' product, those of 0 left out, is more
    ///   than 2^59: so no product of some of the sizes is.
    public func elementCount() throws(TensorError) -> Int {
        var count = 1, isEmpty = false
        for axis in 0..<rank {
            let size = try dimensions[axis].value()
            isEmpty = isEmpty || size == 0
            let (next, overflow) = count.multipliedReportingOverflow(by: max(size, 1))
            guard !overflow, next <= Self.maximumCount else { throw .invalidShape(sizes ?? []) }
            count = next
        }
        return isEmpty ? 0 : count
    }

    /// As `elementCount`, for shapes that may be symbolic.
    var product: Dimension {
        var product = Dimension(1)
        for axis in 0..<rank { product = product * dimensions[axis] }
        return product
    }

    /// The axis counted from the front.
    ///
    /// - Throws: `TensorError.axisOutOfRange`.
    func place(of axis: Int, in primitive: String) throws(TensorError) -> Int {
        let place = axis < 0 ? axis + rank : axis
        guard place >= 0, place < rank else { throw .axisOutOfRange(primitive: primitive, axis: axis, self) }
        return place
    }

    /// The axes `range`, alone.
    func axes(_ range: Range<Int>) -> Shape {
        var result = Shape()
        for axis in range { result.append(dimensions[axis]) }
        return result
    }

    func dropLast(_ count: Int) -> Shape { axes(0..<(rank - count)) }

    static func + (a: Shape, b: Shape) -> Shape {
        var result = a
        for axis in 0..<b.rank { result.append(b.dimensions[axis]) }
        return result
    }

    /// The shape that both stretch to, NumPy's way: aligned at the end, an axis of size 1 takes the other's size.
    ///
    /// - Throws: `TensorError.notBroadcastable`.
    func broadcast(with other: Shape, in primitive: String) throws(TensorError) -> Shape {
        if self == other { return self }
        let (long, short) = rank >= other.rank ? (self, other) : (other, self)
        var result = long
        let shift = long.rank - short.rank
        for axis in 0..<short.rank {
            let (a, b) = (long.dimensions[axis + shift], short.dimensions[axis])
            if a == b || b.bits == 1 { continue }
            guard a.bits == 1 else { throw .notBroadcastable(primitive: primitive, self, other) }
            result.dimensions[axis + shift] = b
        }
        return result
    }

    /// Row-major strides. Only of a shape without symbols.
    var denseStrides: Strides {
        var strides = Strides(repeating: 0)
        var step = 1
        for axis in stride(from: rank - 1, through: 0, by: -1) {
            strides[axis] = step
            step &*= dimensions[axis].bits
        }
        return strides
    }

    public static func == (a: Shape, b: Shape) -> Bool {
        guard a.rank == b.rank else { return false }
        for axis in 0..<a.rank where a.dimensions[axis] != b.dimensions[axis] { return false }
        return true
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(rank)
        for axis in 0..<rank { hasher.combine(dimensions[axis]) }
    }

    public var description: String { "[" + (0..<rank).map { dimensions[$0].description }.joined(separator: ", ") + "]" }
}

/// Steps between neighbours along each axis, in elements.
typealias Strides = InlineArray<8, Int>
