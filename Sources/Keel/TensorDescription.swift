extension Tensor: CustomStringConvertible {
    /// The numbers as nested lists, as NumPy prints them, with the middle left out of what is long; then dtype and shape.
    public var description: String {
        func text(_ values: [String], _ shape: ArraySlice<Int>) -> String {
            guard let size = shape.first else { return values.first ?? "" }
            let rest = shape.dropFirst(), step = rest.reduce(1, *)
            let places: [Int?] = size <= 6 ? (0..<size).map { $0 } : [0, 1, 2, nil, size - 3, size - 2, size - 1]
            let parts = places.map { $0.map { text(Array(values[$0 * step..<($0 + 1) * step]), rest) } ?? "..." }
            return "[" + parts.joined(separator: rest.isEmpty ? ", " : ",\n ") + "]"
        }
        func values() throws(TensorError) -> [String] {
            switch dtype {
            case .float32: try elements(Float.self).map { "\($0)" }
            case .float64: try elements(Double.self).map { "\($0)" }
            case .int32: try elements(Int32.self).map { "\($0)" }
            case .int64: try elements(Int64.self).map { "\($0)" }
            case .uint8: try elements(UInt8.self).map { "\($0)" }
            case .bool: try elements(Bool.self).map { "\($0)" }
            }
        }
        guard let sizes = shape.sizes else { return "\(spec)" }
        do throws(TensorError) { return text(try values(), sizes[...]) + " \(spec)" } catch { return "\(spec): \(error)" }
    }
}
