internal import Keel

// What brings a table's columns into the form that a model reads.

extension OperatorCall {
    /// Numbers for each feature, or one for all.
    fileprivate func each(_ name: String, _ features: Int, _ standard: Float) throws -> Tensor {
        let numbers = floats(name) ?? []
        guard numbers.isEmpty || numbers.count == 1 || numbers.count == features else { throw wrong("\(numbers.count) numbers in '\(name)' for \(features) features") }
        return try Tensor(numbers.isEmpty ? [standard] : numbers)
    }
}

extension Operators {
    static let features: [Operator] = [
        Operator("ArrayFeatureExtractor", domain: "ai.onnx.ml") { call in
            let x = try call.tensor(0), kind = try call.kind(0), places = try call.ints(1)
            guard x.rank >= 1 else { throw call.wrong("takes one axis at least") }
            let n = try x.size(at: x.rank - 1)
            guard places.allSatisfy({ (0..<n).contains($0) }) else { throw call.wrong("features \(places) of \(n)") }
            try call.reserve(x.sizes().dropLast() + [places.count], x.dtype)
            let y = try x.gathered(Tensor(places, [places.count]), axis: x.rank - 1)
            return [.tensor(x.rank == 1 ? try y.withAxis(0) : y, kind)]
        },
        Operator("Binarizer", domain: "ai.onnx.ml") { call in
            let x = try call.tensor(0)
            return try call.result(x.isGreater(than: Tensor.full(call.float("threshold", 0), [], x.dtype.isFloat ? x.dtype : .float64)).cast(to: x.dtype), call.kind(0))
        },
        Operator("Scaler", domain: "ai.onnx.ml") { call in
            let x = try call.tensor(0).cast(to: .float32)
            guard x.rank >= 1 else { throw call.wrong("takes one axis at least") }
            let features = try x.size(at: x.rank - 1)
            return [.tensor(try (x - call.each("offset", features, 0)) * call.each("scale", features, 1), .float32)]
        },
        Operator("Normalizer", domain: "ai.onnx.ml") { call in
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
        Operator("Imputer", domain: "ai.onnx.ml") { call in
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
        Operator("FeatureVectorizer", domain: "ai.onnx.ml") { call in
            let sizes = try call.required(call.ints("inputdimensions"), "inputdimensions"), tensors = try call.tensors()
            guard sizes.count == tensors.count, tensors.allSatisfy({ $0.rank == 1 || $0.rank == 2 }) else { throw call.wrong("\(tensors.count) inputs for \(sizes.count) sizes") }
            let parts = try zip(tensors, sizes).map { x, size in
                let rows = x.rank == 1 ? try x.withAxis(0) : x
                guard try size == rows.size(at: 1) else { throw call.wrong("\(x.shape) hasn't \(size) features") }
                return try rows.cast(to: .float32)
            }
            return [.tensor(try Tensor.concatenated(parts, axis: 1), .float32)]
        },
        Operator("OneHotEncoder", domain: "ai.onnx.ml") { call in
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
        Operator("LabelEncoder", domain: "ai.onnx.ml") { call in
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
        Operator("CategoryMapper", domain: "ai.onnx.ml") { call in
            let texts = try call.required(call.strings("cats_strings"), "cats_strings"), numbers = try call.required(call.ints("cats_int64s"), "cats_int64s")
            guard texts.count == numbers.count else { throw call.wrong("\(texts.count) strings for \(numbers.count) numbers") }
            if case .strings(let given, let shape) = try call.value(0) {
                let known = Dictionary(zip(texts, numbers)) { first, _ in first }
                return [ONNXValue(try Tensor(given.map { known[$0] ?? call.int("default_int64", -1) }, shape))]
            }
            let known = Dictionary(zip(numbers, texts)) { first, _ in first }
            return [.strings(try call.ints(0).map { known[$0] ?? call.string("default_string", "_Unused") }, try call.tensor(0).shape)]
        },
        Operator("ZipMap", domain: "ai.onnx.ml") { call in
            let (rows, count, features) = try call.rows()
            let names = call.strings("classlabels_strings").flatMap { $0.isEmpty ? nil : $0 } ?? (call.ints("classlabels_int64s") ?? []).map(String.init)
            guard names.count == features else { throw call.wrong("\(names.count) labels for \(features) scores") }
            return [.maps((0..<count).map { row in names.enumerated().map { ($1, Float(rows[row * features + $0])) } })]
        },
    ]
}
