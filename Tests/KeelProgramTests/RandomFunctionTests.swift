import Keel
import KeelProgram
import KeelProgramTestSupport
import KeelTestSupport
import Testing

let randomFunctions = (0..<200).map { RandomProgram(seed: 1000 + $0, rows: 3 + Int($0 * 5 % 14), columns: 3 + Int($0 * 11 % 21)) }

/// Forwards and backwards: a program runs the kernels that eager mode runs, in the same order, so no bit differs.
@Test(arguments: randomFunctions)
func aProgramOfARandomFunctionGivesItsNumbersBitForBit(_ function: RandomProgram) throws {
    let variables = try function.variables(on: CPU.shared)
    let spec = TensorSpec([function.rows, function.columns], .float32)
    let program = try Program.trace(function.run, inputs: ["a": spec, "b": spec, "c": spec])
    try expectEqual(program.run(variables), function.run(variables))
}
