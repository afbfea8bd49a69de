package import Foundation

extension JSONEncoder {
    /// Equal values give equal bytes: members stand in the order of their names. Slashes stay as they are.
    package static func ordered(isPretty: Bool = false) -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
        return encoder
    }

    package func text(of value: some Encodable) throws -> String { String(decoding: try encode(value), as: UTF8.self) }
}

extension String {
    /// The text as JSON, with its quotes.
    package var jsonQuoted: String {
        var result = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            // U+2028 and U+2029 end a line for readers of event streams and JavaScript.
            case _ where scalar.value < 0x20 || scalar.value == 0x7F || scalar.value == 0x2028 || scalar.value == 0x2029:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension BinaryFloatingPoint {
    /// The number as JSON, which has no infinities and no NaN.
    package var jsonNumber: String { isFinite ? "\(self)" : "null" }
}
