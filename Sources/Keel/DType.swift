import KeelKernels

/// The kind of number that a tensor holds.
public enum DType: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case float32, float64, int32, int64, uint8, bool

    /// Bytes an element.
    public var width: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        case .uint8, .bool: 1
        }
    }

    public var isFloat: Bool { self == .float32 || self == .float64 }

    public var description: String {
        switch self {
        case .float32: "float32"
        case .float64: "float64"
        case .int32: "int32"
        case .int64: "int64"
        case .uint8: "uint8"
        case .bool: "bool"
        }
    }

    @inline(__always) var kernel: keel_dtype {
        switch self {
        case .float32: KEEL_FLOAT32
        case .float64: KEEL_FLOAT64
        case .int32: KEEL_INT32
        case .int64: KEEL_INT64
        case .uint8: KEEL_UINT8
        case .bool: KEEL_BOOL
        }
    }
}

/// A Swift number that a tensor can be made of and read as.
public protocol TensorElement: Sendable, BitwiseCopyable {
    static var dtype: DType { get }
}
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Int: TensorElement { public static var dtype: DType { .int64 } }
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }
