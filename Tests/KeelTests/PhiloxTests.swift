import Keel
import KeelKernels
import Testing

/// The known answers that Random123 publishes for philox4x32-10 (`kat_vectors`).
@Test(arguments: [
    ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    (
        [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff], [0xffff_ffff, 0xffff_ffff],
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
    ),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    ),
] as [([UInt32], [UInt32], [UInt32])])
func philoxGivesThePublishedWords(counter: [UInt32], key: [UInt32], expected: [UInt32]) {
    var words = [UInt32](repeating: 0, count: 4)
    keel_philox_block(counter, key, &words)
    #expect(words == expected)
}

@Test func aGeneratorGoesOnWhereItStopped() throws {
    var whole = Philox(seed: 7), parts = Philox(seed: 7)
    let first = try Tensor.uniform([8], using: &whole).elements() + Tensor.uniform([5], using: &whole).elements()
    let again = try Tensor.uniform([8], using: &parts).elements()
    var resumed = Philox(seed: parts.seed, stream: parts.stream, position: parts.position)
    #expect(try again + Tensor.uniform([5], using: &resumed).elements() == first)
}

/// The mean of 10^6 numbers lies within five standard errors.
@Test func momentsAreThoseOfTheDistribution() throws {
    var generator = Philox(seed: 3)
    let uniform = try Tensor.uniform([1_000_000], using: &generator), normal = try Tensor.normal([1_000_000], using: &generator)
    #expect(try abs(uniform.mean().item() - 0.5) < 5 * 0.2887 / 1000)
    #expect(try abs(normal.mean().item()) < 5 / 1000.0)
    #expect(try abs(normal.variance().item() - 1) < 5 * 1.4142 / 1000)
    #expect(try uniform.max().item() < 1)
}
