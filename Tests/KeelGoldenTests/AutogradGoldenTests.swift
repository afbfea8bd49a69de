import Keel

private func autograd(_ name: String, _ primitives: [String], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_autograd"
    return golden
}

private func gradient(_ y: Tensor, of x: Tensor) throws(TensorError) -> Tensor { try y.sum().gradients(of: [x], createsGraph: true)[0] }

/// The first half of `given` are a function's inputs, the second half what they move along.
private func along(_ given: [Tensor], _ function: ([Tensor]) throws(TensorError) -> Tensor) throws(TensorError) -> Tensor {
    let half = given.count / 2
    return try jvp({ x throws(TensorError) in [try function(x)] }, at: Array(given[..<half]), along: Array(given[half...])).tangents[0]
}

/// The cases of `golden_autograd.py`.
let autogradGoldenCases: [GoldenCase] = [
    autograd("norm", ["Norm"]) { x throws(TensorError) in try x[0].norm() },
    autograd("clippedToNorm", ["Norm"]) { x throws(TensorError) in
        try x[0] * (x[0].norm().reciprocal() * 1.5).minimum(Tensor.ones([], x[0].dtype, on: x[0].device))
    },
    autograd("powerCorners", ["Pow"]) { x throws(TensorError) in try x[0].power(x[1]) },
    autograd("powerOfNegative", ["Pow"]) { x throws(TensorError) in try x[0].power(3) },
    autograd("gradientOfSoftmax", ["Softmax"]) { x throws(TensorError) in try gradient(x[0].softmax().squared(), of: x[0]) },
    autograd("gradientOfProduct", ["MatMul"]) { x throws(TensorError) in try gradient(x[0].matmul(x[1]).tanh().squared(), of: x[0]) },
    autograd("gradientOfNorm", ["Norm"]) { x throws(TensorError) in try gradient(x[0].norm(), of: x[0]) },
    autograd("tangentOfTanh", ["Tanh"]) { x throws(TensorError) in try along(x) { x throws(TensorError) in try x[0].tanh() } },
    autograd("tangentOfProduct", ["MatMul"]) { x throws(TensorError) in
        try along(x) { x throws(TensorError) in
            let y = try x[0].matmul(x[1])
            return try y.exp() / (1 + y.squared())
        }
    },
    autograd("tangentOfLayerNorm", ["LayerNormalization"]) { x throws(TensorError) in
        try along(x) { x throws(TensorError) in
            let n = x[0].shape[-1], device = x[0].device
            return try x[0].layerNormalised(scale: Tensor.ones(Shape(n), x[0].dtype, on: device), bias: Tensor.zeros(Shape(n), x[0].dtype, on: device), epsilon: 1e-3)
        }
    },
]
