internal import Keel

extension OperatorCall {
    /// Products of rows with rows of coefficients, and their intercepts.
    fileprivate func linear(targets: Int) throws -> [Double] {
        let (rows, count, features) = try rows(), coefficients = try required(floats("coefficients"), "coefficients").map(Double.init)
        let intercepts = (floats("intercepts") ?? []).map(Double.init)
        guard targets >= 1, coefficients.count % targets == 0, coefficients.count / targets == features, intercepts.isEmpty || intercepts.count == targets else {
            throw wrong("\(coefficients.count) coefficients and \(intercepts.count) intercepts for \(targets) targets of \(features) features")
        }
        try reserve([count, targets, 2], .float64)
        try reserve(work: [count, targets, features])
        let product = try Tensor(rows, [count, features]).matmul(Tensor(coefficients, [targets, features]).transposed())
        return try (intercepts.isEmpty ? product : product + Tensor(intercepts)).elements(Double.self)
    }
}

extension Operators {
    static let linearModels: [Operator] = [
        Operator("LinearRegressor", domain: "ai.onnx.ml") { call in
            let targets = call.int("targets", 1), scores = try call.linear(targets: targets)
            return [.tensor(try Tensor(PostTransform(call).applied(scores, width: targets), [scores.count / targets, targets]).cast(to: .float32), .float32)]
        },
        Operator("LinearClassifier", domain: "ai.onnx.ml") { call in
            let labels = try ClassLabels(call), features = try call.rows().features
            let rows = try call.required(call.floats("coefficients"), "coefficients").count / max(features, 1)
            let scores = try call.linear(targets: rows)
            if rows == 1, labels.count == 2 { return try labels.binary(scores, isProbability: false, PostTransform(call), call) }
            guard rows == labels.count else { throw call.wrong("\(rows) rows of coefficients for \(labels.count) classes") }
            return try labels.decided(scores, PostTransform(call), call)
        },
    ]
}
