import Keel
import Testing

private struct Printed: Sendable {
    let text: String
    let make: @Sendable () throws -> Tensor
}

/// The texts are NumPy 2's `print` of the same arrays, with dtype and shape put after.
private let printed: [Printed] = [
    Printed(text: "[ 1.   2.5 -3. ] float32[3]") { try Tensor([Float(1), 2.5, -3]) },
    Printed(text: "[[[-5 -4 -3]\n  [-2 -1  0]]\n\n [[ 1  2  3]\n  [ 4  5  6]]] int64[2, 2, 3]") { try Tensor((0..<12).map { Int64($0) - 5 }, [2, 2, 3]) },
    Printed(text: "[[ True False]\n [False  True]] bool[2, 2]") { try Tensor([true, false, false, true], [2, 2]) },
    Printed(text: "[1.00000e-05 1.00000e+00 1.23456e+02] float32[3]") { try Tensor([Float(1e-5), 1, 123.456]) },
    Printed(text: "[  nan   inf -1.25] float32[3]") { try Tensor([Float.nan, .infinity, -1.25]) },
    Printed(text: "0.1 float32[]") { try Tensor(Float(0.1)) },
    Printed(text: "2.0 float64[]") { try Tensor(2.0) },
    Printed(text: "[] float32[0, 3]") { try .zeros([0, 3]) },
    Printed(text: "[0.33333333 0.66666667] float64[2]") { try Tensor([1.0 / 3, 2.0 / 3]) },
    Printed(text: "[   0    1    2 ...  998  999 1000] int32[1001]") { try Tensor((0..<1001).map { Int32($0) }) },
    Printed(text: "[ 1.0e+10 -2.5e-03] float32[2]") { try Tensor([Float(1e10), -2.5e-3]) },
    Printed(text: "[ 0.1    -2.      0.3333     nan] float16[4]") { try Tensor([Float16(0.1), -2, 1.0 / 3, .nan]) },
    Printed(text: "[6.e-08 1.e+00] float16[2]") { try Tensor([Float16.leastNonzeroMagnitude, 1]) },
    Printed(text: "0.1 float16[]") { try Tensor(Float16(0.1)) },
    // As the package ml_dtypes has NumPy print them, but for its zeros at the end.
    Printed(text: "[ 0.1   -2.     0.334    inf] bfloat16[4]") { try Tensor([Float(0.1), -2, 1.0 / 3, .infinity]).cast(to: .bfloat16) },
    Printed(text: "0.334 bfloat16[]") { try Tensor(Float(1) / 3).cast(to: .bfloat16) },
    Printed(text: "[3.39e+38 9.00e-41 0.00e+00] bfloat16[3]") { try Tensor([Float(3.3895e38), Float(bitPattern: 0x10000), 0]).cast(to: .bfloat16) },
    Printed(text: "[0.1] float32[1]") { try Tensor([Float(0.1)]) },
    Printed(text: "[3.] float32[1]") { try Tensor([Float(3)]) },
    Printed(
        text: """
            [0.         0.14285715 0.2857143  0.42857143 0.5714286  0.71428573
             0.85714287 1.         1.1428572  1.2857143 ] float32[10]
            """
    ) { try Tensor((0..<10).map { Float($0) / 7 }) },
    Printed(
        text: """
            [[0.00000e+00 1.25000e-01 2.50000e-01 ... 5.87500e+00 6.00000e+00
              6.12500e+00]
             [6.25000e+00 6.37500e+00 6.50000e+00 ... 1.21250e+01 1.22500e+01
              1.23750e+01]
             [1.25000e+01 1.26250e+01 1.27500e+01 ... 1.83750e+01 1.85000e+01
              1.86250e+01]
             ...
             [2.31250e+02 2.31375e+02 2.31500e+02 ... 2.37125e+02 2.37250e+02
              2.37375e+02]
             [2.37500e+02 2.37625e+02 2.37750e+02 ... 2.43375e+02 2.43500e+02
              2.43625e+02]
             [2.43750e+02 2.43875e+02 2.44000e+02 ... 2.49625e+02 2.49750e+02
              2.49875e+02]] float32[40, 50]
            """
    ) { try Tensor((0..<2000).map { Float($0) / 8 }, [40, 50]) },
]

@Test(arguments: printed.indices)
func tensorsPrintAsInNumPy(_ place: Int) throws { #expect(try "\(printed[place].make())" == printed[place].text) }
