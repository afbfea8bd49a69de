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
