/// A small generator (SplitMix64): the same damage for the same seed.
package struct Mutations: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// The bytes with one to eight faults: flipped, overwritten, cut out, doubled or cut off.
    package mutating func mutated(_ whole: [UInt8]) -> [UInt8] {
        var file = whole
        for _ in 0..<Int.random(in: 1...8, using: &self) where !file.isEmpty {
            let at = Int.random(in: 0..<file.count, using: &self)
            let end = min(file.count, at + Int.random(in: 1...16, using: &self))
            switch Int.random(in: 0..<6, using: &self) {
            case 0: file[at] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 1: file[at] = .random(in: 0...255, using: &self)
            case 2: file[at] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &self) ?? 0
            case 3: file.removeSubrange(at..<end)
            case 4: file.insert(contentsOf: file[at..<end], at: at)
            default: file.removeLast(Int.random(in: 0...min(file.count, 64), using: &self))
            }
        }
        return file
    }
}
