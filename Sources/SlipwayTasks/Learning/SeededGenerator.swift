internal import Foundation

/// A small random stream for choices that aren't tensors: the same seed gives the same choices everywhere.
///
/// - Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private(set) var state: UInt64

    init(_ seed: UInt64, _ stream: UInt64 = 0) {
        state = seed &+ stream &* 0xBF58_476D_1CE4_E5B9
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    /// A hash of one number that leaves no trace of its order.
    static func mixed(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// In `0 ..< 1`.
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// About zero with deviation 1 (Box and Muller).
    mutating func normal() -> Double {
        let radius = (-2 * log(1 - uniform())).squareRoot()
        return radius * cos(2 * .pi * uniform())
    }
}
