import Foundation
internal import Keel

/// What `post_transform` makes of a row of scores.
enum PostTransform: Int {
    case none = 0, softmax, logistic, softmaxZero, probit

    init(number: Int, _ call: OperatorCall) throws {
        guard let transform = PostTransform(rawValue: number) else { throw call.wrong("post_transform is \(number)") }
        self = transform
    }

    init(_ call: OperatorCall) throws {
        let names = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"], name = call.string("post_transform", "NONE")
        guard let place = names.firstIndex(of: name), let transform = PostTransform(rawValue: place) else { throw call.wrong("post_transform is '\(name)'") }
        self = transform
    }

    static func logistic(_ x: Double) -> Double { x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)) }

    func applied(_ scores: [Double], width: Int) -> [Double] {
        switch self {
        case .none: return scores
        case .logistic: return scores.map(Self.logistic)
        case .probit: return scores.map(Self.inverseNormal)
        case .softmax, .softmaxZero:
            guard width > 0 else { return scores }
            return stride(from: 0, to: scores.count, by: width).flatMap { start -> [Double] in
                let row = scores[start..<(start + width)], most = row.max() ?? 0
                // `softmaxZero` leaves scores of 0 at 0.
                let powers = row.map { self == .softmaxZero && abs($0) < 1e-7 ? 0 : exp($0 - most) }, sum = powers.reduce(0, +)
                return powers.map { sum > 0 ? $0 / sum : 0 }
            }
        }
    }

    /// √2 · erf⁻¹(2x - 1), by Winitzki's approximation, as the operators define it.
    private static func inverseNormal(_ p: Double) -> Double {
        let x = 2 * p - 1, logarithm = log((1 - x) * (1 + x)), a = 0.147, half = 2 / (Double.pi * a) + logarithm / 2
        return 2.0.squareRoot() * (x < 0 ? -1 : 1) * ((half * half - logarithm / a).squareRoot() - half).squareRoot()
    }
}

/// The labels of a classifier: numbers or strings.
struct ClassLabels {
    let numbers: [Int]?
    let strings: [String]?
    var count: Int { strings?.count ?? numbers?.count ?? 0 }

    init(_ call: OperatorCall) throws {
        let texts = call.strings("classlabels_strings") ?? []
        strings = texts.isEmpty ? nil : texts
        numbers = texts.isEmpty ? call.ints("classlabels_int64s") ?? call.ints("classlabels_ints") : nil
        guard count > 0 else { throw call.wrong("has no class labels") }
    }

    func value(_ places: [Int]) throws -> ONNXValue {
        if let strings { return .strings(places.map { strings[$0] }, [places.count]) }
        return ONNXValue(try Tensor(places.map { numbers?[$0] ?? $0 }, [places.count]))
    }

    /// Labels of the largest score of each row, and the scores transformed.
    func decided(_ scores: [Double], _ transform: PostTransform, _ call: OperatorCall) throws -> [ONNXValue] {
        let rows = scores.count / count
        let places = (0..<rows).map { row in (0..<count).max { scores[row * count + $0] < scores[row * count + $1] } ?? 0 }
        let transformed = transform.applied(scores, width: count)
        return [try value(places), .tensor(try Tensor(transformed, [rows, count]).cast(to: .float32), .float32)]
    }

    /// Of two classes by one score each row: the second's probability, or how far it lies on that side.
    func binary(_ scores: [Double], isProbability: Bool, _ transform: PostTransform, _ call: OperatorCall) throws -> [ONNXValue] {
        let pairs = scores.flatMap { score -> [Double] in
            if transform == .probit { return PostTransform.probit.applied([1 - score, score], width: 2) }
            if isProbability { return [1 - score, score] }
            return transform.applied([-score, score], width: 2)
        }
        let places = scores.map { $0 > (isProbability ? 0.5 : 0) ? 1 : 0 }
        return [try value(places), .tensor(try Tensor(pairs, [scores.count, 2]).cast(to: .float32), .float32)]
    }
}

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

    func decide(_ products: [Double]) -> (label: Int, scores: [Double]) {
        var votes = [Int](repeating: 0, count: classes), scores: [Double] = []
        for i in 0..<classes {
            for j in (i + 1)..<max(i + 1, classes) {
                var sum = offsets[scores.count]
                for k in starts[i]..<starts[i + 1] { sum += coefficients[(j - 1) * total + k] * products[k] }
                for k in starts[j]..<starts[j + 1] { sum += coefficients[i * total + k] * products[k] }
                votes[sum > 0 ? i : j] += 1
                scores.append(sum)
            }
        }
        let winner = votes.indices.max { votes[$0] < votes[$1] } ?? 0
        return (winner, a.isEmpty ? scores : coupled(scores))
    }

    /// The probabilities that agree best with those of all pairs.
    private func coupled(_ scores: [Double]) -> [Double] {
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

private func ml(_ name: String, _ compute: @escaping @Sendable (OperatorCall) throws -> [ONNXValue]) -> Operator {
    Operator(name, domain: "ai.onnx.ml", compute)
}

extension OperatorCall {
    /// Products of rows with rows of coefficients, and their intercepts.
    fileprivate func linear(targets: Int) throws -> [Double] {
        let (rows, count, features) = try rows(), coefficients = try required(floats("coefficients"), "coefficients").map(Double.init)
        let intercepts = (floats("intercepts") ?? []).map(Double.init)
        guard targets >= 1, coefficients.count % targets == 0, coefficients.count / targets == features, intercepts.isEmpty || intercepts.count == targets else {
            throw wrong("\(coefficients.count) coefficients and \(intercepts.count) intercepts for \(targets) targets of \(features) features")
        }
        try reserve([count, targets, 2], .float64)
        let product = try Tensor(rows, [count, features]).matmul(Tensor(coefficients, [targets, features]).transposed())
        return try (intercepts.isEmpty ? product : product + Tensor(intercepts)).elements(Double.self)
    }

    /// Numbers for each feature, or one for all.
    fileprivate func each(_ name: String, _ features: Int, _ standard: Float) throws -> Tensor {
        let numbers = floats(name) ?? []
        guard numbers.isEmpty || numbers.count == 1 || numbers.count == features else { throw wrong("\(numbers.count) numbers in '\(name)' for \(features) features") }
        return try Tensor(numbers.isEmpty ? [standard] : numbers)
    }

    /// The kernel of a support vector machine between each row and each support vector.
    fileprivate func kernelProducts(_ rows: [Double], _ vectors: [Double], features: Int) throws -> [[Double]] {
        let parameters = (floats("kernel_params") ?? []).map(Double.init), name = string("kernel_type", "LINEAR")
        guard parameters.isEmpty || parameters.count == 3, features > 0, vectors.count % features == 0 else { throw wrong("its support vectors don't fit \(features) features") }
        try reserve([rows.count / features, vectors.count / features], .float64)
        let gamma = parameters.first ?? 0, shift = parameters.count > 1 ? parameters[1] : 0, degree = parameters.count > 2 ? parameters[2] : 0
        return try stride(from: 0, to: rows.count, by: features).map { row in
            try stride(from: 0, to: vectors.count, by: features).map { vector in
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
    static let classical: [Operator] = [
        ml("ArrayFeatureExtractor") { call in
            let x = try call.tensor(0), kind = try call.kind(0), places = try call.ints(1)
            guard x.rank >= 1 else { throw call.wrong("takes one axis at least") }
            let n = try x.size(at: x.rank - 1)
            guard places.allSatisfy({ (0..<n).contains($0) }) else { throw call.wrong("features \(places) of \(n)") }
            try call.reserve(x.sizes().dropLast() + [places.count], x.dtype)
            let y = try x.gathered(Tensor(places, [places.count]), axis: x.rank - 1)
            return [.tensor(x.rank == 1 ? try y.withAxis(0) : y, kind)]
        },
        ml("Binarizer") { call in
            let x = try call.tensor(0)
            return try call.result(x.isGreater(than: Tensor.full(call.float("threshold", 0), [], x.dtype.isFloat ? x.dtype : .float64)).cast(to: x.dtype), call.kind(0))
        },
        ml("Scaler") { call in
            let x = try call.tensor(0).cast(to: .float32)
            guard x.rank >= 1 else { throw call.wrong("takes one axis at least") }
            let features = try x.size(at: x.rank - 1)
            return [.tensor(try (x - call.each("offset", features, 0)) * call.each("scale", features, 1), .float32)]
        },
        ml("Normalizer") { call in
            let x = try call.tensor(0).cast(to: .float32)
            guard x.rank == 1 || x.rank == 2 else { throw call.wrong("takes [n, features], was given \(x.shape)") }
            let size: Tensor
            switch call.string("norm", "MAX") {
            case "MAX": size = try x.max([-1], keepingAxes: true)
            case "L1": size = try x.magnitude().sum([-1], keepingAxes: true)
            case "L2": size = try x.squared().sum([-1], keepingAxes: true).squareRoot()
            case let name: throw call.wrong("norm is '\(name)'")
            }
            return [.tensor(try size.equals(Tensor(Float(0))).select(x, x / size), .float32)]
        },
        ml("Imputer") { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            guard x.rank >= 1 else { throw call.wrong("takes one axis at least") }
            let features = try x.size(at: x.rank - 1)
            if kind.isFloat {
                let replaced = call.float("replaced_value_float", 0), values = try call.each("imputed_value_floats", features, 0).cast(to: x.dtype)
                let isMissing = try replaced.isNaN ? x.isNaN() : x.equals(Tensor.full(replaced, [], x.dtype))
                return try call.result(isMissing.select(values, x), kind)
            }
            let values = call.ints("imputed_value_int64s") ?? []
            guard values.count == 1 || values.count == features else { throw call.wrong("\(values.count) values for \(features) features") }
            return try call.result(x.equals(Tensor(call.int("replaced_value_int64", 0))).select(Tensor(values), x.cast(to: .int64)), kind)
        },
        ml("LinearRegressor") { call in
            let targets = call.int("targets", 1), scores = try call.linear(targets: targets)
            return [.tensor(try Tensor(PostTransform(call).applied(scores, width: targets), [scores.count / targets, targets]).cast(to: .float32), .float32)]
        },
        ml("LinearClassifier") { call in
            let labels = try ClassLabels(call), features = try call.rows().features
            let rows = try call.required(call.floats("coefficients"), "coefficients").count / max(features, 1)
            let scores = try call.linear(targets: rows)
            if rows == 1, labels.count == 2 { return try labels.binary(scores, isProbability: false, PostTransform(call), call) }
            guard rows == labels.count else { throw call.wrong("\(rows) rows of coefficients for \(labels.count) classes") }
            return try labels.decided(scores, PostTransform(call), call)
        },
        ml("SVMRegressor") { call in
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
        ml("SVMClassifier") { call in
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
            let answers = products.map(machine.decide)
            let width = answers.first?.scores.count ?? labels.count
            let isOneScore = width == 1 && labels.count == 2
            let scores = isOneScore ? answers.flatMap { PostTransform.none == transform ? [-$0.scores[0], $0.scores[0]] : transform.applied([-$0.scores[0], $0.scores[0]], width: 2) }
                : transform.applied(answers.flatMap(\.scores), width: width)
            return [
                try labels.value(answers.map(\.label)), .tensor(try Tensor(scores, [count, isOneScore ? 2 : width]).cast(to: .float32), .float32),
            ]
        },
        ml("FeatureVectorizer") { call in
            let sizes = try call.required(call.ints("inputdimensions"), "inputdimensions"), tensors = try call.tensors()
            guard sizes.count == tensors.count, tensors.allSatisfy({ $0.rank == 1 || $0.rank == 2 }) else { throw call.wrong("\(tensors.count) inputs for \(sizes.count) sizes") }
            let parts = try zip(tensors, sizes).map { x, size in
                let rows = x.rank == 1 ? try x.withAxis(0) : x
                guard try size == rows.size(at: 1) else { throw call.wrong("\(x.shape) hasn't \(size) features") }
                return try rows.cast(to: .float32)
            }
            return [.tensor(try Tensor.concatenated(parts, axis: 1), .float32)]
        },
        ml("OneHotEncoder") { call in
            let numbers = call.ints("cats_int64s"), texts = call.strings("cats_strings"), ignores = call.flag("zeros", true)
            let places: [Int?], shape: Shape, depth: Int
            switch try call.value(0) {
            case .strings(let given, let own):
                let texts = try call.required(texts, "cats_strings"), known = Dictionary(texts.enumerated().map { ($1, $0) }) { first, _ in first }
                (places, shape, depth) = (given.map { known[$0] }, own, texts.count)
            default:
                let x = try call.tensor(0), numbers = try call.required(numbers, "cats_int64s")
                let known = Dictionary(numbers.enumerated().map { ($1, $0) }) { first, _ in first }
                (places, shape, depth) = (try x.cast(to: .int64).elements(Int.self).map { known[$0] }, x.shape, numbers.count)
            }
            guard ignores || !places.contains(where: { $0 == nil }) else { throw call.wrong("was given a value that is no category") }
            let sizes = try call.reserve((shape.sizes ?? []) + [depth], .float32)
            var result = [Float](repeating: 0, count: places.count * depth)
            for (row, place) in places.enumerated() { if let place { result[row * depth + place] = 1 } }
            return [.tensor(try Tensor(result, sizes), .float32)]
        },
        ml("LabelEncoder") { call in
            enum Label: Hashable { case text(String), int(Int), float(Float) }
            func labels(_ side: String) throws -> [Label]? {
                if let texts = call.strings("\(side)_strings") { return texts.map { .text($0) } }
                if let numbers = call.ints("\(side)_int64s") { return numbers.map { .int($0) } }
                if let numbers = call.floats("\(side)_floats") { return numbers.map { .float($0) } }
                switch try call.constant("\(side)_tensor") {
                case .strings(let texts, _): return texts.map { .text($0) }
                case .tensor(let x, let kind): return kind.isFloat ? try x.cast(to: .float32).elements(Float.self).map { .float($0) } : try x.cast(to: .int64).elements(Int.self).map { .int($0) }
                default: return nil
                }
            }
            let input: [Label], shape: Shape
            switch try call.value(0) {
            case .strings(let texts, let own): (input, shape) = (texts.map { .text($0) }, own)
            case .tensor(let x, let kind):
                input = try kind.isFloat ? x.cast(to: .float32).elements(Float.self).map { .float($0.isNaN ? .nan : $0) } : x.cast(to: .int64).elements(Int.self).map { .int($0) }
                shape = x.shape
            default: throw call.wrong("its input isn't a tensor")
            }
            var keys = try labels("keys") ?? [], values = try labels("values") ?? []
            if call.opset < 2 {
                // The first form: a list of strings and their places.
                let classes = try call.required(call.strings("classes_strings"), "classes_strings")
                (keys, values) = (classes.map { .text($0) }, classes.indices.map { .int($0) })
                if case .int? = input.first { swap(&keys, &values) }
            }
            guard keys.count == values.count, let sample = values.first else { throw call.wrong("\(keys.count) keys for \(values.count) values") }
            let known = Dictionary(zip(keys, values)) { first, _ in first }
            // NaN is a key like another, though it doesn't equal itself.
            let ofNaN = zip(keys, values).first { if case .float(let x) = $0.0 { x.isNaN } else { false } }?.1
            func found(_ label: Label) -> Label? {
                if case .float(let x) = label, x.isNaN { return ofNaN }
                return known[label]
            }
            let standard = try call.constant("default_tensor")
            switch sample {
            case .text:
                var other = call.string("default_string", "_Unused")
                if case .strings(let texts, _)? = standard, let first = texts.first { other = first }
                return [.strings(input.map { if case .text(let text)? = found($0) { text } else { other } }, shape)]
            case .int:
                var other = call.int("default_int64", -1)
                if case .tensor(let x, _)? = standard, let first = try x.cast(to: .int64).elements(Int.self).first { other = first }
                var kind = ElementKind.int64
                if case .tensor(_, let own)? = try call.constant("values_tensor") { kind = own }
                return [.tensor(try kind.settled(Tensor(input.map { if case .int(let number)? = found($0) { number } else { other } }, shape)), kind)]
            case .float:
                var other = Float(call.float("default_float", -0.0))
                if case .tensor(let x, _)? = standard, let first = try x.cast(to: .float32).elements(Float.self).first { other = first }
                return [.tensor(try Tensor(input.map { if case .float(let number)? = found($0) { number } else { other } }, shape), .float32)]
            }
        },
        ml("CategoryMapper") { call in
            let texts = try call.required(call.strings("cats_strings"), "cats_strings"), numbers = try call.required(call.ints("cats_int64s"), "cats_int64s")
            guard texts.count == numbers.count else { throw call.wrong("\(texts.count) strings for \(numbers.count) numbers") }
            if case .strings(let given, let shape) = try call.value(0) {
                let known = Dictionary(zip(texts, numbers)) { first, _ in first }
                return [ONNXValue(try Tensor(given.map { known[$0] ?? call.int("default_int64", -1) }, shape))]
            }
            let known = Dictionary(zip(numbers, texts)) { first, _ in first }
            return [.strings(try call.ints(0).map { known[$0] ?? call.string("default_string", "_Unused") }, try call.tensor(0).shape)]
        },
        ml("ZipMap") { call in
            let (rows, count, features) = try call.rows()
            let names = call.strings("classlabels_strings").flatMap { $0.isEmpty ? nil : $0 } ?? (call.ints("classlabels_int64s") ?? []).map(String.init)
            guard names.count == features else { throw call.wrong("\(names.count) labels for \(features) scores") }
            return [.maps((0..<count).map { row in names.enumerated().map { ($1, Float(rows[row * features + $0])) } })]
        },
    ]
}
