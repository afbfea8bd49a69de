import Keel
import KeelTestSupport
import Testing

private func expectAlike(_ found: [Tensor], _ expected: [Tensor], _ tolerance: Float) throws {
    #expect(found.count == expected.count)
    for (i, (a, b)) in zip(found, expected).enumerated() {
        let x = try a.moved(to: CPU.shared).elements(), y = try b.moved(to: CPU.shared).elements()
        let scale = max(y.map(abs).max() ?? 0, 1e-3)
        for (k, (p, q)) in zip(x, y).enumerated() where !(abs(p - q) <= tolerance * scale) {
            Issue.record("result \(i), number \(k) is \(p), expected \(q)")
            break
        }
    }
}

private let programs = (0..<60).map { RandomProgram(seed: $0, rows: 3 + Int($0 * 5 % 14), columns: 3 + Int($0 * 11 % 21)) }
    + (60..<66).map { RandomProgram(seed: $0, rows: 210, columns: 170) }

/// Up to forty steps, each with roundings of 6e-8 and a slope of a few at most: 1e-3 of the largest number leaves room for what adds up. A step whose
/// slope jumps (a winner, a kink) could part the two sides' gradients; with these seeds none does.
@Test(arguments: programs)
func randomProgramsAgreeWithPlainLoops(_ program: RandomProgram) throws {
    try expectAlike(program.run(program.variables(on: CPU.shared)), program.run(program.variables(on: Reference.shared)), 1e-3)
}

/// Large enough that kernels share the work. Convolutions add in another order; everything after them carries their roundings on.
@Test(arguments: programs.suffix(26))
func randomProgramsAgreeBetweenOneAndTwoThreads(_ program: RandomProgram) throws {
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let one = try program.run(program.variables(on: CPU.shared))
    Threads.count = 2
    try expectAlike(program.run(program.variables(on: CPU.shared)), one, 1e-4)
}
