import KeelDecoders
import Testing

/// Damaged files end in a value that keeps its promises, or in the decoder's own error: no crash, no endless loop, nothing else thrown.
@Test(arguments: keelDecoders, 0..<20)
func damagedFilesEndInAValueOrTheDecodersError(_ decoder: ByteDecoder, seed: Int) throws {
    for (place, whole) in try decoder.seeds().enumerated() {
        if seed == 0 { try decoder.decode(whole) }
        for round in 0..<10 {
            var random = Mutations(seed: UInt64((seed * 10 + round) * 64 + place + 1))
            let file = random.mutated(whole)
            #expect(throws: Never.self, "file \(place), round \(round)") { try decoder.decode(file) }
        }
    }
}
