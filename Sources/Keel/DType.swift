import KeelKernels

/// The kind of number that a tensor holds.
///
/// The half floats, `bfloat16` and `float16`, are kinds of storage: half the memory of float32, for weights, files and tables. Arithmetic with
/// them is done in float32, and each primitive's result is rounded once, to nearest, ties to even; so are gradients. What only moves
/// elements moves theirs as they are. `bfloat16` reaches as far as float32 with 8 bits of precision, `float16` to 65504 with 11.
///
/// A parameter that is trained should be float32: an optimiser's step is often smaller than half a unit of a half float, and would be rounded
/// away. `ParameterStore` and the optimisers refuse others.
public enum DType: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case float32, float64, int32, int64, uint8, bool, bfloat16, float16

    /// Bytes an element.
    public var width: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        case .uint8, .bool: 1
        case .bfloat16, .float16: 2
        }
    }

    public var isFloat: Bool { self == .float32 || self == .float64 || isHalf }

    /// Whether this is a float of 16 bits, which is stored and not calculated with.
    public var isHalf: Bool { self == .bfloat16 || self == .float16 }

    public var description: String {
        switch self {
        case .float32: "float32"
        case .float64: "float64"
        case .int32: "int32"
        case .int64: "int64"
        case .uint8: "uint8"
        case .bool: "bool"
        case .bfloat16: "bfloat16"
        case .float16: "float16"
        }
    }

    /// As kernels call it. None is given half floats, but for `half`.
    @inline(__always) var kernel: keel_dtype {
        switch self {
        case .float32: KEEL_FLOAT32
        case .float64: KEEL_FLOAT64
        case .int32: KEEL_INT32
        case .int64: KEEL_INT64
        case .uint8: KEEL_UINT8
        case .bool: KEEL_BOOL
        case .bfloat16, .float16: preconditionFailure("a kernel is given half floats as float32")
        }
    }

    /// As the kernels that convert half floats call it; nil for other kinds.
    var half: keel_half? { isHalf ? self == .bfloat16 ? KEEL_BFLOAT16 : KEEL_FLOAT16 : nil }
}

/// A Swift number that a tensor can be made of and read as. There is none for bfloat16, which is made by a cast and read as Float.
public protocol TensorElement: Sendable, BitwiseCopyable {
    static var dtype: DType { get }
}
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Float16: TensorElement { public static var dtype: DType { .float16 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Int: TensorElement { public static var dtype: DType { .int64 } }
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }
