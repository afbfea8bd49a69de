// How messages are written, as far as an export makes them; `Messages.swift` says how each is read.

extension ONNX.Model {
    package func write(to writer: inout ProtobufWriter) {
        writer.int(1, irVersion)
        writer.text(2, producer)
        if let graph { writer.message(7) { graph.write(to: &$0) } }
        for set in opsets {
            writer.message(8) {
                $0.text(1, set.domain)
                $0.int(2, set.version)
            }
        }
    }
}

extension ONNX.Graph {
    func write(to writer: inout ProtobufWriter) {
        for node in nodes { writer.message(1) { node.write(to: &$0) } }
        writer.text(2, name)
        for tensor in initializers { writer.message(5) { tensor.write(to: &$0) } }
        for input in inputs { writer.message(11) { input.write(to: &$0) } }
        for output in outputs { writer.message(12) { output.write(to: &$0) } }
    }
}

extension ONNX.Node {
    func write(to writer: inout ProtobufWriter) {
        for input in inputs { writer.text(1, input) }
        for output in outputs { writer.text(2, output) }
        writer.text(3, name)
        writer.text(4, type)
        for attribute in attributes { writer.message(5) { attribute.write(to: &$0) } }
        if !domain.isEmpty { writer.text(7, domain) }
    }
}

extension ONNX.Attribute {
    /// What its type says that it holds.
    func write(to writer: inout ProtobufWriter) {
        writer.text(1, name)
        switch type {
        case 1: writer.float(2, float)
        case 2: writer.int(3, int)
        case 3: writer.bytes(4, string)
        case 4: if let tensor { writer.message(5) { tensor.write(to: &$0) } }
        case 5: if let graph { writer.message(6) { graph.write(to: &$0) } }
        case 6: writer.floats(7, floats)
        case 7: writer.ints(8, ints)
        case 8: for text in strings { writer.bytes(9, text) }
        default: preconditionFailure("no export makes attributes of type \(type)")
        }
        writer.int(20, type)
    }
}

extension ONNX.TensorData {
    package func write(to writer: inout ProtobufWriter) {
        writer.ints(1, dims)
        writer.int(2, kind)
        writer.text(8, name)
        if let numbers { writer.numbers(9, numbers) }
        for (key, value) in external.sorted(by: { $0.key < $1.key }) {
            writer.message(13) {
                $0.text(1, key)
                $0.text(2, value)
            }
        }
        if isExternal { writer.int(14, 1) }
    }
}

extension ONNX.ValueInfo {
    func write(to writer: inout ProtobufWriter) {
        writer.text(1, name)
        guard case .tensor(let kind, let dimensions) = type else { return }
        writer.message(2) { type in
            type.message(1) { tensor in
                tensor.int(1, kind)
                if let dimensions { tensor.message(2) { ONNX.write(dimensions, to: &$0) } }
            }
        }
    }
}

extension ONNX {
    fileprivate static func write(_ dimensions: [Dimension], to shape: inout ProtobufWriter) {
        for dimension in dimensions {
            shape.message(1) { writer in
                switch dimension {
                case .size(let size): writer.int(1, size)
                case .parameter(let name): writer.text(2, name)
                case .unknown: break
                }
            }
        }
    }
}
