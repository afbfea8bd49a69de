internal import Keel

extension RandomNumberGenerator {
    /// A number of 0..<1, with 53 random bits.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

extension Array {
    /// Puts the elements in an order of which each is as likely as any other.
    ///
    /// - Source: Durstenfeld, *Random permutation*, 1964.
    mutating func shuffleEvenly(using generator: inout Philox) {
        for last in stride(from: count - 1, to: 0, by: -1) {
            // The high half of a product: even to one part in 2^64 / count.
            swapAt(last, Int(generator.next().multipliedFullWidth(by: UInt64(last + 1)).high))
        }
    }
}
