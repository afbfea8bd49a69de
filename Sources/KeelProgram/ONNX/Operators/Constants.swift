import Foundation
internal import Keel

extension OperatorCall {
    /// `Range` whose ends are expressions of sizes, in whole steps; nil where they are numbers.
    fileprivate func rangeOfSizes() throws -> ONNXValue? {
        guard inputs.contains(where: { if case .sizes? = $0 { true } else { false } }) else { return nil }
        let start = try size(0), limit = try size(1), kind = try kind(0)
        guard case .number(let step) = try size(2), step != 0, let count = try (limit - start).divided(by: .number(step))?.dimension else {
            throw unsupported("a range of a count that isn't an expression of the sizes")
        }
        guard try step.magnitude == 1 || (limit - start) == SizeExpression(count) * .number(step) else { throw unsupported("a range of a count that is rounded") }
        let places = try Tensor.range(of: count)
        return .tensor(try (places * Tensor(Int64(step)) + start.tensor().reshaped([])).cast(to: kind.carrier), kind)
    }

    /// The kind that an attribute names, or that of the input.
    func kind(named name: String, or standard: @autoclosure () throws -> ElementKind) throws -> ElementKind {
        guard let number = int(name), number != 0 else { return try standard() }
        guard let kind = ElementKind(rawValue: Int64(number)), kind != .string else { throw unsupported("elements of kind \(number)") }
        return kind
    }

    fileprivate func normal(_ shape: Shape) throws -> Tensor {
        var generator = try generator()
        return try Tensor.normal(shape, mean: Float(float("mean", 0)), deviation: Float(float("scale", 1)), using: &generator)
    }

    fileprivate func uniform(_ shape: Shape) throws -> Tensor {
        var generator = try generator()
        let low = Float(float("low", 0)), high = Float(float("high", 1))
        guard low <= high else { throw wrong("low is \(low), high \(high)") }
        return try Tensor.uniform(shape, in: low...high, using: &generator)
    }

    /// A window of cosines, `Σ (-1)^i a_i cos(2π i n / N)`.
    fileprivate func window(_ terms: [Double]) throws -> [ONNXValue] {
        let size = try int(0), kind = try kind(named: "output_datatype", or: .float32)
        guard size >= 0 else { throw wrong("a size of \(size)") }
        try reserve([size], .float64)
        let count = Double(flag("periodic", true) ? size : size - 1)
        var numbers = [Double](repeating: 0, count: size)
        for n in 0..<size {
            for (i, term) in terms.enumerated() {
                let angle = 2 * Double.pi * Double(i * n) / max(count, 1)
                numbers[n] += (i % 2 == 0 ? term : -term) * cos(angle)
            }
        }
        return [.tensor(try kind.settled(Tensor(numbers)), kind)]
    }
}

extension Operators {
    static let constants: [Operator] = [
        Operator("Constant") { call in
            if let value = try call.constant("value") { return [value] }
            if let sparse = call.attributes["sparse_value"]?.sparseTensor {
                try call.execution.reserve(sparse.valueBytes, for: call.node)
                return [try ONNXValue(sparse, in: call.execution.model.external)]
            }
            if let number = call.attributes["value_float"] { return [ONNXValue(try Tensor(number.float))] }
            if let number = call.attributes["value_int"] { return [ONNXValue(try Tensor(number.int))] }
            if let numbers = call.attributes["value_floats"] { return [ONNXValue(try Tensor(numbers.floats))] }
            if let numbers = call.attributes["value_ints"] { return [ONNXValue(try Tensor(numbers.ints))] }
            if let text = call.string("value_string") { return [.strings([text], [])] }
            if let texts = call.strings("value_strings") { return [.strings(texts, [texts.count])] }
            throw call.wrong("has no value")
        },
        Operator("ConstantOfShape", 9) { call in
            let value = try call.constant("value") ?? ONNXValue(Tensor(Float(0)))
            guard case .tensor(let number, let kind) = value, number.count == 1 else { throw call.wrong("its value isn't one number") }
            let stretched = try number.reshaped([]).expanded(to: call.reserve(call.dimensions(0), number.dtype))
            return [.tensor(stretched.shape.sizes != nil ? try stretched.contiguous() : stretched, kind)]
        },
        Operator("Range", 11) { call in
            if let made = try call.rangeOfSizes() { return [made] }
            let kind = try call.kind(0), start = try call.double(0), limit = try call.double(1), delta = try call.double(2)
            guard delta != 0, start.isFinite, limit.isFinite, delta.isFinite else { throw call.wrong("from \(start) to \(limit) by \(delta)") }
            let count = max(0, ((limit - start) / delta).rounded(.up))
            guard count < 0x1p59 else { throw call.wrong("\(count) numbers") }
            try call.reserve([Int(count)], .float64)
            guard kind.isFloat else {
                let steps = try Tensor.range(Int(count)) * call.tensor(2).cast(to: .int64).reshaped([])
                return try call.result(steps + call.tensor(0).cast(to: .int64).reshaped([]), kind)
            }
            return try call.result(Tensor.range(Int(count), from: 0, .float64) * delta + start, kind)
        },
        Operator("EyeLike", 9) { call in
            let x = try call.tensor(0), kind = try call.kind(named: "dtype", or: call.kind(0)), k = call.int("k", 0)
            guard x.rank == 2 else { throw call.wrong("takes a matrix, was given \(x.shape)") }
            let (m, n) = (try x.size(at: 0), try x.size(at: 1))
            let distance = try Tensor.range(n).withAxis(0) - Tensor.range(m).withAxis(1)
            return [.tensor(try kind.settled(distance.equals(Tensor(Int64(k))).cast(to: .float32)), kind)]
        },
        Operator("RandomNormal") { call in
            let shape = try call.reserve(call.required(call.ints("shape"), "shape"), .float32)
            let kind = try call.kind(named: "dtype", or: .float32)
            return [.tensor(try kind.settled(call.normal(shape)), kind)]
        },
        Operator("RandomNormalLike") { call in
            let kind = try call.kind(named: "dtype", or: call.kind(0))
            return [.tensor(try kind.settled(call.normal(call.tensor(0).shape)), kind)]
        },
        Operator("RandomUniform") { call in
            let shape = try call.reserve(call.required(call.ints("shape"), "shape"), .float32)
            let kind = try call.kind(named: "dtype", or: .float32)
            return [.tensor(try kind.settled(call.uniform(shape)), kind)]
        },
        Operator("RandomUniformLike") { call in
            let kind = try call.kind(named: "dtype", or: call.kind(0))
            return [.tensor(try kind.settled(call.uniform(call.tensor(0).shape)), kind)]
        },
        Operator("Bernoulli", 15) { call in
            let x = try call.tensor(0), kind = try call.kind(named: "dtype", or: call.kind(0))
            var generator = try call.generator()
            let draws = try Tensor.uniform(x.shape, using: &generator)
            return [.tensor(try kind.settled(draws.isLess(than: x.cast(to: .float32)).cast(to: .float32)), kind)]
        },
        Operator("Multinomial") { call in
            let logits = try call.tensor(0), draws = call.int("sample_size", 1)
            guard logits.rank == 2, draws >= 1 else { throw call.wrong("\(draws) draws from \(logits.shape)") }
            let kind = try call.kind(named: "dtype", or: .int32)
            try call.reserve([logits.size(at: 0), draws], .int64)
            var generator = try call.generator()
            return [.tensor(try kind.settled(logits.categorical(draws, using: &generator)), kind)]
        },
        Operator("HannWindow", 17) { try $0.window([0.5, 0.5]) },
        Operator("HammingWindow", 17) { try $0.window([25.0 / 46, 21.0 / 46]) },
        Operator("BlackmanWindow", 17) { try $0.window([0.42, 0.5, 0.08]) },
    ]
}
