import Foundation
internal import Keel

/// Pairwise classifiers over support vectors, and the probabilities that pairs of scores amount to.
///
/// - Source: Chang and Lin, *LIBSVM*, 2011; Wu, Lin and Weng, *Probability Estimates for Multi-class Classification by Pairwise Coupling*, 2004.
private struct SupportVectors {
    let coefficients: [Double], offsets: [Double], a: [Double], b: [Double]
    let starts: [Int]
    let total: Int, classes: Int

    /// Nil without support vectors.
    init?(_ coefficients: [Double], _ offsets: [Double], _ sizes: [Int], classes: Int, a: [Double], b: [Double]) throws {
        guard sizes.allSatisfy((0...coefficients.count).contains) else { throw ONNXError.graph("a support vector machine has \(sizes) vectors") }
        total = sizes.reduce(0, +)
        if total == 0 { return nil }
        let pairs = classes * (classes - 1) / 2
        guard sizes.count == classes, classes >= 2, coefficients.count % (classes - 1) == 0, coefficients.count / (classes - 1) == total, offsets.count >= pairs, a.count == b.count, a.isEmpty || a.count >= pairs else {
            throw ONNXError.graph("a support vector machine of \(classes) classes has \(coefficients.count) coefficients of \(total) vectors and \(offsets.count) offsets")
        }
        (self.coefficients, self.offsets, self.classes, self.a, self.b) = (coefficients, offsets, classes, a, b)
        var place = 0
        starts = sizes.map { size in
            defer { place += size }
            return place
        } + [total]
    }

    func decide(_ products: [Double], _ call: OperatorCall, _ steps: inout Int) throws -> (label: Int, scores: [Double]) {
        var votes = [Int](repeating: 0, count: classes), scores: [Double] = []
        for i in 0..<classes {
            for j in (i + 1)..<max(i + 1, classes) {
                try call.count(1 + starts[i + 1] - starts[i] + starts[j + 1] - starts[j], into: &steps)
                var sum = offsets[scores.count]
                for k in starts[i]..<starts[i + 1] { sum += coefficients[(j - 1) * total + k] * products[k] }
                for k in starts[j]..<starts[j + 1] { sum += coefficients[i * total + k] * products[k] }
                votes[sum > 0 ? i : j] += 1
                scores.append(sum)
            }
        }
        let winner = votes.indices.max { votes[$0] < votes[$1] } ?? 0
        return (winner, a.isEmpty ? scores : try coupled(scores, call, &steps))
    }

    /// The probabilities that agree best with those of all pairs.
    private func coupled(_ scores: [Double], _ call: OperatorCall, _ steps: inout Int) throws -> [Double] {
        let k = classes
        var r = [[Double]](repeating: [Double](repeating: 0, count: k), count: k), pair = 0
        for i in 0..<k {
            for j in (i + 1)..<max(i + 1, k) {
                let own = 1 - PostTransform.logistic(scores[pair] * a[pair] + b[pair])
                r[i][j] = min(max(own, 1e-7), 1 - 1e-7)
                r[j][i] = 1 - r[i][j]
                pair += 1
            }
        }
        var p = [Double](repeating: 1 / Double(k), count: k)
        var q = r
        for t in 0..<k {
            for j in 0..<k where j != t { q[t][j] = -r[j][t] * r[t][j] }
            q[t][t] = 0
            for j in 0..<k where j != t { q[t][t] += r[j][t] * r[j][t] }
        }
        for _ in 0..<max(100, k) {
            var qp = [Double](repeating: 0, count: k), pqp = 0.0
            for t in 0..<k {
                for j in 0..<k { qp[t] += q[t][j] * p[j] }
                pqp += p[t] * qp[t]
            }
            if qp.allSatisfy({ abs($0 - pqp) < 0.005 / Double(k) }) { break }
            for t in 0..<k {
                try call.count(2 * k, into: &steps)
                let step = (pqp - qp[t]) / q[t][t]
                let growth = 1 + step
                p[t] += step
                pqp = (pqp + step * (step * q[t][t] + 2 * qp[t])) / (growth * growth)
                for j in 0..<k {
                    qp[j] = (qp[j] + step * q[t][j]) / growth
                    p[j] /= growth
                }
            }
        }
        return p
    }
}

extension OperatorCall {
    /// The kernel of a support vector machine between each row and each support vector.
    fileprivate func kernelProducts(_ rows: [Double], _ vectors: [Double], features: Int) throws -> [[Double]] {
        let parameters = (floats("kernel_params") ?? []).map(Double.init), name = string("kernel_type", "LINEAR")
        guard parameters.isEmpty || parameters.count == 3, features > 0, vectors.count % features == 0 else { throw wrong("its support vectors don't fit \(features) features") }
        try reserve([rows.count / features, vectors.count / features], .float64)
        let gamma = parameters.first ?? 0, shift = parameters.count > 1 ? parameters[1] : 0, degree = parameters.count > 2 ? parameters[2] : 0
        var steps = 0
        return try stride(from: 0, to: rows.count, by: features).map { row in
            try stride(from: 0, to: vectors.count, by: features).map { vector in
                try count(features, into: &steps)
                var dot = 0.0, distance = 0.0
                for i in 0..<features {
                    let (a, b) = (rows[row + i], vectors[vector + i])
                    dot += a * b
                    distance += (a - b) * (a - b)
                }
                switch name {
                case "LINEAR": return dot
                case "POLY": return pow(gamma * dot + shift, degree)
                case "RBF": return exp(-gamma * distance)
                case "SIGMOID": return tanh(gamma * dot + shift)
                default: throw wrong("kernel_type is '\(name)'")
                }
            }
        }
    }
}

extension Operators {
    static let supportVectors: [Operator] = [
        Operator("SVMRegressor", domain: "ai.onnx.ml") { call in
            let (rows, count, features) = try call.rows(), coefficients = try call.required(call.floats("coefficients"), "coefficients").map(Double.init)
            let offset = Double(try call.required(call.floats("rho")?.first, "rho")), supports = call.int("n_supports", 0)
            guard supports >= 0 else { throw call.wrong("\(supports) support vectors") }
            let vectors = supports > 0 ? (call.floats("support_vectors") ?? []).map(Double.init) : coefficients
            let products = try call.kernelProducts(rows, vectors, features: features)
            guard supports == 0 ? coefficients.count == features : products.allSatisfy({ $0.count == coefficients.count }) else { throw call.wrong("\(coefficients.count) coefficients") }
            let scores = products.map { row in supports > 0 ? zip(row, coefficients).reduce(0) { $0 + $1.0 * $1.1 } + offset : row[0] + offset }
            let outlier = call.flag("one_class")
            return [.tensor(try Tensor(outlier ? scores.map { $0 > 0 ? 1 : -1 } : PostTransform(call).applied(scores, width: 1), [count, 1]).cast(to: .float32), .float32)]
        },
        Operator("SVMClassifier", domain: "ai.onnx.ml") { call in
            let (rows, count, features) = try call.rows(), labels = try ClassLabels(call), transform = try PostTransform(call)
            let coefficients = try call.required(call.floats("coefficients"), "coefficients").map(Double.init)
            let offsets = try call.required(call.floats("rho"), "rho").map(Double.init), sizes = call.ints("vectors_per_class") ?? []
            guard let machine = try SupportVectors(
                coefficients, offsets, sizes, classes: labels.count, a: (call.floats("prob_a") ?? []).map(Double.init), b: (call.floats("prob_b") ?? []).map(Double.init))
            else {
                // Without support vectors: a row of coefficients for each class.
                let targets = coefficients.count / max(features, 1)
                guard targets == labels.count || targets == 1 && labels.count == 2, targets * features == coefficients.count, !offsets.isEmpty else {
                    throw call.wrong("\(coefficients.count) coefficients for \(features) features and \(labels.count) classes")
                }
                let scores = try call.kernelProducts(rows, coefficients, features: features).flatMap { $0.map { $0 + offsets[0] } }
                return targets == 1 && labels.count == 2 ? try labels.binary(scores, isProbability: false, transform, call) : try labels.decided(scores, transform, call)
            }
            let vectors = try call.required(call.floats("support_vectors"), "support_vectors").map(Double.init)
            let products = try call.kernelProducts(rows, vectors, features: features)
            guard products.allSatisfy({ $0.count == sizes.reduce(0, +) }) else { throw call.wrong("\(vectors.count) numbers for support vectors of \(features) features") }
            try call.reserve([count, offsets.count, 2], .float64)
            var steps = 0
            let answers = try products.map { try machine.decide($0, call, &steps) }
            let width = answers.first?.scores.count ?? labels.count
            let isOneScore = width == 1 && labels.count == 2
            let scores = isOneScore ? answers.flatMap { PostTransform.none == transform ? [-$0.scores[0], $0.scores[0]] : transform.applied([-$0.scores[0], $0.scores[0]], width: 2) }
                : transform.applied(answers.flatMap(\.scores), width: width)
            return [
                try labels.value(answers.map(\.label)), .tensor(try Tensor(scores, [count, isOneScore ? 2 : width]).cast(to: .float32), .float32),
            ]
        },
    ]
}
