import KeelKernels

extension Tensor: CustomStringConvertible {
    /// The numbers as NumPy prints them: aligned, with as many digits as tell them from others of their kind and eight after the point at most,
    /// the middle left out beyond 1000 numbers; then dtype and shape.
    public var description: String {
        guard let sizes = shape.sizes, !storage.place.isTraced else { return "\(spec), whose numbers a program has when it runs" }
        do throws(TensorError) {
            if sizes.isEmpty, dtype.isFloat { return try "\(digits()(0)) \(spec)" }
            let text = try sizes.contains(0) ? "[]" : NumberGrid(sizes, isSummarised: count > 1000).text(of: numbers())
            return "\(text) \(spec)"
        } catch { return "\(spec): \(error)" }
    }

    /// What prints alike, by an element's place in row-major order.
    private func numbers() throws(TensorError) -> NumberTexts {
        switch dtype {
        case .bool:
            let x = try elements(Bool.self)
            return .words { x[$0] ? "True" : "False" }
        case .int32, .int64, .uint8:
            let x = try cast(to: .int64).elements(Int64.self)
            return .words { "\(x[$0])" }
        case .float32, .float64, .bfloat16, .float16:
            let digits = try digits()
            return .decimals { DecimalNumber(digits($0)) }
        }
    }

    /// Floats as Swift describes them, in the fewest digits that no other float of their kind is as near to.
    private func digits() throws(TensorError) -> (Int) -> String {
        switch dtype {
        case .float64:
            let x = try elements(Double.self)
            return { "\(x[$0])" }
        case .float16:
            let x = try elements(Float16.self)
            return { "\(x[$0])" }
        case .bfloat16:
            let x = try elements(Float.self)
            return { "\(DecimalNumber("\(x[$0])").shortened(for: x[$0]))" }
        default:
            let x = try elements(Float.self)
            return { "\(x[$0])" }
        }
    }
}

private enum NumberTexts {
    case words((Int) -> String)
    case decimals((Int) -> DecimalNumber)
}

/// Which elements are shown, and where.
private struct NumberGrid {
    private static let edge = 3, width = 75
    let sizes: [Int]
    let isSummarised: Bool

    init(_ sizes: [Int], isSummarised: Bool) {
        self.sizes = sizes
        self.isSummarised = isSummarised
    }

    func text(of numbers: NumberTexts) -> String {
        let shown = places(0, 0), texts: [String]
        switch numbers {
        case .words(let word): texts = shown.map(word)
        case .decimals(let decimal): texts = DecimalNumber.texts(shown.map(decimal))
        }
        let longest = texts.map(\.count).max() ?? 0
        var next = texts.map { String(repeating: " ", count: longest - $0.count) + $0 }.makeIterator()
        return sizes.isEmpty ? texts[0] : nested(0, indent: " ", width: Self.width) { next.next() ?? "" }
    }

    /// The positions along an axis that are shown; nil for what is left out.
    private func positions(_ axis: Int) -> [Int?] {
        let size = sizes[axis]
        guard isSummarised, size > 2 * Self.edge else { return (0..<size).map { $0 } }
        return (0..<Self.edge).map { $0 } + [nil] + (size - Self.edge..<size).map { $0 }
    }

    private func places(_ axis: Int, _ start: Int) -> [Int] {
        guard axis < sizes.count else { return [start] }
        let step = sizes[(axis + 1)...].reduce(1, *)
        return positions(axis).flatMap { $0.map { places(axis + 1, start + $0 * step) } ?? [] }
    }

    private func nested(_ axis: Int, indent: String, width: Int, _ next: () -> String) -> String {
        var text = ""
        if axis == sizes.count - 1 {
            var line = indent
            for position in positions(axis) {
                let word = position == nil ? "..." : next()
                if line.count > indent.count, line.count + word.count > width - 1 {
                    while line.last == " " { line.removeLast() }
                    text += line + "\n"
                    line = indent
                }
                line += word + " "
            }
            text += line.dropLast()
        } else {
            let separator = String(repeating: "\n", count: sizes.count - axis - 1)
            text = positions(axis).map { indent + ($0 == nil ? "..." : nested(axis + 1, indent: indent + " ", width: width - 1, next)) }
                .joined(separator: separator)
        }
        return "[" + text.dropFirst(indent.count) + "]"
    }
}

/// A number's shortest decimal digits: `0.d₁d₂d₃… · 10^point`.
private struct DecimalNumber {
    private static let precision = 8
    private let special: String?
    private let isNegative: Bool
    private var digits: [Int] = []
    private var point = 0

    /// - Parameter text: as Swift describes floats, the shortest that reads back as the same number.
    init(_ text: String) {
        isNegative = text.hasPrefix("-")
        let plain = isNegative ? String(text.dropFirst()) : text
        guard plain.first?.isNumber == true else {
            special = plain
            return
        }
        special = nil
        let parts = plain.split(separator: "e"), mantissa = parts[0].split(separator: ".")
        point = mantissa[0].count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        digits = mantissa.joined().compactMap(\.wholeNumberValue)
        while digits.first == 0 {
            digits.removeFirst()
            point -= 1
        }
        while digits.last == 0 { digits.removeLast() }
        if digits.isEmpty { point = 0 }
    }

    /// For a bfloat16 with these digits: the number of the fewest digits that no other bfloat16 is as near to; four do for each.
    func shortened(for number: Float) -> Float {
        guard special == nil, !isZero else { return number }
        for count in 1...4 {
            let short = rounded(to: count)
            guard var read = Float("\(sign)0.\(short.digits.map { "\($0)" }.joined())e\(short.point)") else { continue }
            var bits: UInt16 = 0
            keel_reference_narrow(KEEL_BFLOAT16, 1, &bits, &read)
            if UInt32(bits) << 16 == number.bitPattern { return read }
        }
        return number
    }

    private var sign: String { isNegative ? "-" : "" }
    private var isZero: Bool { digits.isEmpty }

    /// With at most `count` digits, rounded half away from zero.
    private func rounded(to count: Int) -> DecimalNumber {
        guard digits.count > count else { return self }
        var result = self
        guard count >= 0 else {
            result.digits = []
            return result
        }
        let isUp = digits[count] >= 5
        result.digits = Array(digits.prefix(count))
        if isUp {
            var place = count - 1
            while place >= 0, result.digits[place] == 9 {
                result.digits[place] = 0
                place -= 1
            }
            if place >= 0 {
                result.digits[place] += 1
            } else {
                result.digits.insert(1, at: 0)
                result.point += 1
            }
        }
        while result.digits.last == 0 { result.digits.removeLast() }
        return result
    }

    /// What stands before the point, with the sign, and after it.
    private var fixed: (whole: String, fraction: String) {
        let number = rounded(to: point + Self.precision)
        let whole = (0..<max(number.point, 0)).map { "\($0 < number.digits.count ? number.digits[$0] : 0)" }.joined()
        guard number.digits.count > number.point else { return (sign + (whole.isEmpty ? "0" : whole), "") }
        let zeros = String(repeating: "0", count: max(-number.point, 0))
        return (sign + (whole.isEmpty ? "0" : whole), zeros + number.digits[max(number.point, 0)...].map { "\($0)" }.joined())
    }

    /// Whether a column of these numbers needs powers of ten.
    private static func needsPowers(_ numbers: [DecimalNumber]) -> Bool {
        let points = numbers.filter { $0.special == nil && !$0.isZero }
        guard let largest = points.max(by: isSmaller), let smallest = points.min(by: isSmaller) else { return false }
        return largest.point > 8 || smallest.point < -3 || isSmaller(smallest.timesThousand, largest)
    }

    private static func isSmaller(_ a: DecimalNumber, _ b: DecimalNumber) -> Bool {
        a.point != b.point ? a.point < b.point : a.digits.lexicographicallyPrecedes(b.digits)
    }

    private var timesThousand: DecimalNumber {
        var result = self
        result.point += 3
        return result
    }

    /// All of them with their points below each other, or all as powers of ten.
    static func texts(_ numbers: [DecimalNumber]) -> [String] {
        guard needsPowers(numbers) else {
            let parts = numbers.map { $0.special == nil ? $0.fixed : (whole: "", fraction: "") }
            let after = parts.map(\.fraction.count).max() ?? 0
            return zip(numbers, parts).map { number, part in
                if let special = number.special { return number.sign + special }
                return part.whole + "." + part.fraction + String(repeating: " ", count: after - part.fraction.count)
            }
        }
        let short = numbers.map { $0.rounded(to: precision + 1) }
        let after = max(short.map(\.digits.count).max() ?? 1, 1) - 1
        let exponents = short.map { $0.isZero ? 0 : $0.point - 1 }
        let width = max(exponents.map { "\(abs($0))".count }.max() ?? 2, 2)
        return zip(short, exponents).map { number, exponent in
            if let special = number.special { return number.sign + special }
            let digits = number.digits + [Int](repeating: 0, count: max(after + 1 - number.digits.count, 0)), power = "\(abs(exponent))"
            let fraction = digits.dropFirst().map { "\($0)" }.joined()
            return "\(number.sign)\(digits.first ?? 0).\(fraction)e\(exponent < 0 ? "-" : "+")\(String(repeating: "0", count: width - power.count))\(power)"
        }
    }
}
