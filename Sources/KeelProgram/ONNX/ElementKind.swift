public import Keel

/// What kind of number an ONNX tensor holds, and which of Keel's kinds carries it.
///
/// Kinds that Keel hasn't lie in a wider one: small integers in int32, uint32 in int64, small floats in float32. A result is brought back
/// into its kind's values by `settled`: integers wrap around, floats are rounded. uint64 lies in int64 with the same bits.
///
/// - Source: onnx.proto, `TensorProto.DataType`.
public enum ElementKind: Int64, Hashable, Sendable, CaseIterable {
    case float32 = 1, uint8, int8, uint16, int16, int32, int64, string, bool, float16, float64, uint32, uint64
    case bfloat16 = 16, float8E4M3FN, float8E4M3FNUZ, float8E5M2, float8E5M2FNUZ, uint4, int4, float4E2M1, float8E8M0, uint2, int2

    init(_ dtype: DType) {
        switch dtype {
        case .float64: self = .float64
        case .int32: self = .int32
        case .int64: self = .int64
        case .uint8: self = .uint8
        case .bool: self = .bool
        default: self = .float32
        }
    }

    /// The kind that carries it.
    public var carrier: DType {
        switch self {
        case .float64: .float64
        case .int8, .uint16, .int16, .int32, .uint4, .int4, .uint2, .int2: .int32
        case .uint8: .uint8
        case .int64, .uint32, .uint64: .int64
        case .bool: .bool
        default: .float32
        }
    }

    /// Bits an element in a file.
    var bits: Int {
        switch self {
        case .uint2, .int2: 2
        case .uint4, .int4, .float4E2M1: 4
        case .uint8, .int8, .bool, .float8E4M3FN, .float8E4M3FNUZ, .float8E5M2, .float8E5M2FNUZ, .float8E8M0, .string: 8
        case .uint16, .int16, .float16, .bfloat16: 16
        case .float32, .int32, .uint32: 32
        case .float64, .int64, .uint64: 64
        }
    }

    public var isFloat: Bool { !isInteger && self != .bool && self != .string }

    public var isInteger: Bool {
        switch self {
        case .uint2, .int2, .uint4, .int4, .uint8, .int8, .uint16, .int16, .int32, .int64, .uint32, .uint64: true
        default: false
        }
    }

    public var isSigned: Bool {
        switch self {
        case .int2, .int4, .int8, .int16, .int32, .int64: true
        default: isFloat
        }
    }

    /// The least and the largest of an integer kind; of uint64, the largest that an int64 holds.
    package var limits: ClosedRange<Int64> {
        if bits == 64 { return isSigned ? Int64.min...Int64.max : 0...Int64.max }
        return isSigned ? -(1 << Int64(bits - 1))...(1 << Int64(bits - 1)) - 1 : 0...(1 << Int64(bits)) - 1
    }

    /// The format of a float kind that is narrower than float32.
    var narrow: NarrowFloat? {
        switch self {
        case .float16: NarrowFloat(exponentBits: 5, mantissaBits: 10, bias: 15, special: .ieee)
        case .bfloat16: NarrowFloat(exponentBits: 8, mantissaBits: 7, bias: 127, special: .ieee)
        case .float8E5M2: NarrowFloat(exponentBits: 5, mantissaBits: 2, bias: 15, special: .ieee)
        case .float8E4M3FN: NarrowFloat(exponentBits: 4, mantissaBits: 3, bias: 7, special: .nanAtTop)
        case .float8E4M3FNUZ: NarrowFloat(exponentBits: 4, mantissaBits: 3, bias: 8, special: .nanIsNegativeZero)
        case .float8E5M2FNUZ: NarrowFloat(exponentBits: 5, mantissaBits: 2, bias: 16, special: .nanIsNegativeZero)
        case .float4E2M1: NarrowFloat(exponentBits: 2, mantissaBits: 1, bias: 1, special: .none)
        default: nil
        }
    }

    /// A tensor of the carrying kind whose numbers are brought into this kind.
    func settled(_ tensor: Tensor, saturating: Bool = false) throws -> Tensor {
        let tensor = try tensor.cast(to: carrier)
        if self == .float8E8M0 { return try tensor.mappedHost { Self.power(of: $0, saturating) } }
        if !saturating, self == .float16 || self == .bfloat16 { return try tensor.cast(to: self == .float16 ? .float16 : .bfloat16).cast(to: .float32) }
        if let narrow { return try tensor.mappedHost { narrow.decoded(narrow.encoded($0, saturating: saturating)) } }
        guard isInteger, bits < carrier.width * 8 else { return tensor }
        let count = try Tensor.full(Double(1 << bits), [], carrier)
        guard isSigned else { return try tensor.remainder(over: count) }
        let half = try Tensor.full(Double(1 << (bits - 1)), [], carrier)
        return try (tensor + half).remainder(over: count) - half
    }

    /// The bits of each number, as a file has them.
    func bits(of tensor: Tensor) throws -> [UInt64] {
        switch carrier {
        case .float64: return try tensor.elements(Double.self).map(\.bitPattern)
        case .float32:
            let numbers = try tensor.elements(Float.self)
            if let narrow { return numbers.map { UInt64(narrow.encoded($0, saturating: false)) } }
            if self == .float8E8M0 { return numbers.map(Self.powerBits) }
            return numbers.map { UInt64($0.bitPattern) }
        default:
            let mask = bits == 64 ? UInt64.max : 1 << UInt64(bits) - 1
            return try tensor.cast(to: .int64).elements(Int64.self).map { UInt64(bitPattern: $0) & mask }
        }
    }

    private static func powerBits(of x: Float) -> UInt64 {
        let own = power(of: x, false)
        return own.isNaN ? 255 : UInt64(own.exponent + 127)
    }

    /// float8E8M0 holds nothing but powers of 2, rounded up here as its conversions ask for; 255 is NaN.
    private static func power(of x: Float, _ saturating: Bool) -> Float {
        guard x.isFinite else { return x.isNaN || !saturating ? .nan : 0x1p127 }
        let magnitude = abs(x)
        if magnitude <= 0x1p-127 { return 0x1p-127 }
        let exponent = magnitude.exponent
        return magnitude.significand > 1 ? (exponent < 127 ? Float(sign: .plus, exponent: exponent + 1, significand: 1) : 0x1p127)
            : Float(sign: .plus, exponent: exponent, significand: 1)
    }
}

/// A float format of 16 bits or less.
///
/// - Source: IEEE 754 for float16; Micikevicius et al., *FP8 Formats for Deep Learning*, 2022; Noune et al., *8-bit Numerical Formats for
///   Deep Neural Networks*, 2022 (FNUZ); OCP *Microscaling Formats*, 2023 (float4).
struct NarrowFloat {
    enum Special {
        /// Infinities and NaNs in the highest exponent.
        case ieee
        /// No infinities; NaN where all bits but the sign are set.
        case nanAtTop
        /// No infinities and no -0, whose bits are NaN.
        case nanIsNegativeZero
        /// Numbers only.
        case none
    }
    let exponentBits: Int, mantissaBits: Int, bias: Int
    let special: Special

    private var signBit: UInt16 { 1 << UInt16(exponentBits + mantissaBits) }
    private var infinity: UInt16 { UInt16((1 << exponentBits) - 1) << UInt16(mantissaBits) }
    /// The bits of the largest number.
    private var largest: UInt16 {
        switch special {
        case .ieee: infinity - 1
        case .nanAtTop: signBit - 2
        case .nanIsNegativeZero, .none: signBit - 1
        }
    }
    private var nan: UInt16 {
        switch special {
        case .ieee: infinity | 1 << UInt16(mantissaBits - 1)
        case .nanAtTop: signBit - 1
        case .nanIsNegativeZero: signBit
        // As a conversion of NaN answers in a format without one: -0.
        case .none: signBit
        }
    }

    func decoded(_ bits: UInt16) -> Float {
        let magnitude = bits & (signBit - 1), isNegative = bits & signBit != 0
        switch special {
        case .ieee where magnitude >= infinity: return magnitude > infinity ? .nan : isNegative ? -.infinity : .infinity
        case .nanAtTop where magnitude == signBit - 1: return .nan
        case .nanIsNegativeZero where bits == signBit: return .nan
        default: break
        }
        let exponent = Int(magnitude >> UInt16(mantissaBits)), mantissa = Double(magnitude & (1 << UInt16(mantissaBits) - 1))
        let unit = Double(sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: 1)
        let value = (mantissa + (exponent > 0 ? Double(1 << mantissaBits) : 0)) * unit
        return Float(isNegative ? -value : value)
    }

    /// To the nearest, of two equally near ones that with an even last bit. What is too large becomes the largest number if `saturating`,
    /// else infinity, or NaN where the format has none.
    func encoded(_ x: Float, saturating: Bool) -> UInt16 {
        if x.isNaN { return nan }
        let sign = x.sign == .minus ? signBit : 0
        let overflow: UInt16 = saturating || special == .none ? largest | sign : special == .ieee ? infinity | sign : nan | (special == .nanAtTop ? sign : 0)
        guard x.isFinite else { return overflow }
        let magnitude = Double(abs(x))
        guard magnitude > 0 else { return special == .nanIsNegativeZero ? 0 : sign }
        let exponent = max(Int(magnitude.exponent) + bias, 1)
        let unit = Double(sign: .plus, exponent: exponent - bias - mantissaBits, significand: 1)
        let steps = (magnitude / unit).rounded(.toNearestOrEven)
        // Steps past the mantissa carry into the exponent, as the bits do.
        let bits = Int(steps) + (exponent - 1) << mantissaBits
        guard bits <= Int(largest) else { return overflow }
        return bits == 0 && special == .nanIsNegativeZero ? 0 : UInt16(bits) | sign
    }
}

extension Tensor {
    /// Each float32 number by a function in Swift: for the rare kinds and operators that no kernel knows.
    func mappedHost(_ function: (Float) -> Float) throws -> Tensor {
        try Tensor(elements(Float.self).map(function), shape)
    }
}
