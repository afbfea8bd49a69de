package import Keel

/// The messages of an ONNX file, as far as an inference needs them, in its own words.
///
/// - Source: onnx.proto, IR version 13.
package enum ONNX {
    package struct Model {
        package var irVersion: Int64 = 0
        package var opsets: [OperatorSet] = []
        package var producer = ""
        package var graph: Graph?
        package var functions: [Function] = []
        package var hasTraining = false
    }

    package struct OperatorSet: Equatable, Sendable {
        package var domain = ""
        package var version: Int64 = 0
    }

    package struct Graph: Sendable {
        package var name = ""
        package var nodes: [Node] = []
        package var initializers: [TensorData] = []
        package var sparseInitializers: [SparseTensor] = []
        package var inputs: [ValueInfo] = []
        package var outputs: [ValueInfo] = []
    }

    package struct Function: Sendable {
        package var domain = "", name = "", overload = ""
        package var inputs: [String] = [], outputs: [String] = []
        package var attributes: [String] = []
        package var defaults: [Attribute] = []
        package var nodes: [Node] = []
        package var opsets: [OperatorSet] = []
    }

    package struct Node: Sendable {
        package var name = "", type = "", domain = "", overload = ""
        package var inputs: [String] = [], outputs: [String] = []
        package var attributes: [Attribute] = []
    }

    package struct Attribute: Sendable {
        package var name = ""
        /// Of a function's attribute, whose value this one takes.
        package var reference = ""
        package var type: Int64 = 0
        package var float: Float = 0
        package var int: Int64 = 0
        package var string: [UInt8] = []
        package var tensor: TensorData?
        package var sparseTensor: SparseTensor?
        package var graph: Graph?
        package var floats: [Float] = []
        package var ints: [Int64] = []
        package var strings: [[UInt8]] = []
        package var tensors: [TensorData] = []
        package var graphs: [Graph] = []
    }

    /// A tensor as it stands in the file: raw bytes stay there, as a range of them.
    package struct TensorData: Sendable {
        package var name = ""
        package var dims: [Int64] = []
        package var kind: Int64 = 0
        package var raw: Range<Int>?
        package var floats: [Float] = []
        /// `int32_data`, `int64_data` and `uint64_data`, whichever the kind uses.
        package var int32s: [Int64] = [], int64s: [Int64] = [], uint64s: [Int64] = []
        package var doubles: [Double] = []
        package var strings: [[UInt8]] = []
        package var external: [String: String] = [:]
        package var isExternal = false
        package var isSegment = false
        package var place = ""
        /// What `raw` is a range of.
        package var file: MappedBytes?
        /// Of a tensor that is to be written: what it holds.
        package var numbers: Tensor?
    }

    package struct SparseTensor: Sendable {
        package var values = TensorData()
        package var indices = TensorData()
        package var dims: [Int64] = []
    }

    package struct ValueInfo: Sendable {
        package var name = ""
        package var type: ValueType?
    }

    package indirect enum ValueType: Equatable, Sendable {
        case tensor(kind: Int64, [Dimension]?)
        case sparseTensor
        case sequence(ValueType?)
        case optional(ValueType?)
        case map
        case opaque
    }

    package enum Dimension: Equatable, Sendable {
        case size(Int64)
        case parameter(String)
        case unknown
    }
}

// How each is read. Unknown fields are passed over: later versions of the format may have them.

extension ONNX.Model {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: irVersion = try reader.int64(type)
            case 2: producer = try reader.string(type)
            case 7: graph = try ONNX.Graph(try reader.message(type, "graph"), file)
            case 8: try reader.append(to: &opsets, type, "opset_import", file)
            case 20:
                hasTraining = true
                try reader.skip(type)
            case 25: try reader.append(to: &functions, type, "functions", file)
            default: try reader.skip(type)
            }
        }
    }
}

extension ONNX.OperatorSet: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: domain = try reader.string(type)
            case 2: version = try reader.int64(type)
            default: try reader.skip(type)
            }
        }
        if domain == "ai.onnx" { domain = "" }
    }
}

extension ONNX.Graph: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: try reader.append(to: &nodes, type, "node", file)
            case 2: name = try reader.string(type)
            case 5: try reader.append(to: &initializers, type, "initializer", file)
            case 11: try reader.append(to: &inputs, type, "input", file)
            case 12: try reader.append(to: &outputs, type, "output", file)
            case 15: try reader.append(to: &sparseInitializers, type, "sparse_initializer", file)
            default: try reader.skip(type)
            }
        }
    }
}

extension ONNX.Function: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: name = try reader.string(type)
            case 4: try reader.append(to: &inputs, type)
            case 5: try reader.append(to: &outputs, type)
            case 6: try reader.append(to: &attributes, type)
            case 7: try reader.append(to: &nodes, type, "node", file)
            case 9: try reader.append(to: &opsets, type, "opset_import", file)
            case 10: domain = try reader.string(type)
            case 11: try reader.append(to: &defaults, type, "attribute_proto", file)
            case 13: overload = try reader.string(type)
            default: try reader.skip(type)
            }
        }
        if domain == "ai.onnx" { domain = "" }
    }
}

extension ONNX.Node: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: try reader.append(to: &inputs, type)
            case 2: try reader.append(to: &outputs, type)
            case 3: name = try reader.string(type)
            case 4: self.type = try reader.string(type)
            case 5: try reader.append(to: &attributes, type, "attribute", file)
            case 7: domain = try reader.string(type)
            case 8: overload = try reader.string(type)
            default: try reader.skip(type)
            }
        }
        if domain == "ai.onnx" { domain = "" }
    }

    /// How messages call it: by its name, or by what it makes.
    package var label: String {
        if !name.isEmpty { return "'\(name)' (\(type))" }
        return outputs.first.map { "\(type) that makes '\($0)'" } ?? type
    }
}

extension ONNX.Attribute: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: name = try reader.string(type)
            case 2: float = try reader.float(type)
            case 3: int = try reader.int64(type)
            case 4: string = Array(reader.bytes[try reader.range(type)])
            case 5: tensor = try ONNX.TensorData(try reader.message(type, "t"), file)
            case 6: graph = try ONNX.Graph(try reader.message(type, "g"), file)
            case 7: try reader.append(to: &floats, type)
            case 8: try reader.append(to: &ints, type)
            case 9: try reader.append(to: &strings, type)
            case 10: try reader.append(to: &tensors, type, "tensors", file)
            case 11: try reader.append(to: &graphs, type, "graphs", file)
            case 20: self.type = try reader.int64(type)
            case 21: reference = try reader.string(type)
            case 22: sparseTensor = try ONNX.SparseTensor(try reader.message(type, "sparse_tensor"), file)
            default: try reader.skip(type)
            }
        }
    }
}

extension ONNX.TensorData: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        place = reader.place
        self.file = file
        while let (field, type) = try reader.field() {
            switch field {
            case 1: try reader.append(to: &dims, type)
            case 2: kind = try reader.int64(type)
            case 3:
                isSegment = true
                try reader.skip(type)
            case 4: try reader.append(to: &floats, type)
            case 5: try reader.append(to: &int32s, type)
            case 6: try reader.append(to: &strings, type)
            case 7: try reader.append(to: &int64s, type)
            case 8: name = try reader.string(type)
            case 9: raw = try reader.range(type)
            case 10: try reader.append(to: &doubles, type)
            case 11: try reader.append(to: &uint64s, type)
            case 13:
                var entry = try reader.message(type, "external_data"), key = "", value = ""
                while let (field, type) = try entry.field() {
                    switch field {
                    case 1: key = try entry.string(type)
                    case 2: value = try entry.string(type)
                    default: try entry.skip(type)
                    }
                }
                external[key] = value
            case 14: isExternal = try reader.int64(type) == 1
            default: try reader.skip(type)
            }
        }
    }

    /// How messages call it: by its name, or by where it stands.
    package var label: String { name.isEmpty ? place : name }
}

extension ONNX.SparseTensor: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: values = try ONNX.TensorData(try reader.message(type, "values"), file)
            case 2: indices = try ONNX.TensorData(try reader.message(type, "indices"), file)
            case 3: try reader.append(to: &dims, type)
            default: try reader.skip(type)
            }
        }
    }
}

extension ONNX.ValueInfo: ProtobufMessage {
    package init(_ reader: consuming ProtobufReader, _: MappedBytes) throws(ONNXError) {
        while let (field, type) = try reader.field() {
            switch field {
            case 1: name = try reader.string(type)
            case 2: self.type = try ONNX.ValueType.read(try reader.message(type, "type"))
            default: try reader.skip(type)
            }
        }
    }
}

extension ONNX.ValueType {
    static func read(_ reader: consuming ProtobufReader) throws(ONNXError) -> ONNX.ValueType? {
        var result: ONNX.ValueType?
        while let (field, type) = try reader.field() {
            switch field {
            case 1: result = try tensor(try reader.message(type, "tensor_type"))
            case 4: result = .sequence(try element(try reader.message(type, "sequence_type")))
            case 5:
                result = .map
                try reader.skip(type)
            case 7:
                result = .opaque
                try reader.skip(type)
            case 8:
                result = .sparseTensor
                try reader.skip(type)
            case 9: result = .optional(try element(try reader.message(type, "optional_type")))
            default: try reader.skip(type)
            }
        }
        return result
    }

    private static func element(_ reader: consuming ProtobufReader) throws(ONNXError) -> ONNX.ValueType? {
        var result: ONNX.ValueType?
        while let (field, type) = try reader.field() {
            if field == 1 { result = try read(try reader.message(type, "elem_type")) } else { try reader.skip(type) }
        }
        return result
    }

    private static func tensor(_ reader: consuming ProtobufReader) throws(ONNXError) -> ONNX.ValueType {
        var kind: Int64 = 0, dimensions: [ONNX.Dimension]?
        while let (field, type) = try reader.field() {
            switch field {
            case 1: kind = try reader.int64(type)
            case 2:
                var shape = try reader.message(type, "shape"), sizes: [ONNX.Dimension] = []
                while let (field, type) = try shape.field() {
                    guard field == 1 else {
                        try shape.skip(type)
                        continue
                    }
                    var dimension = try shape.message(type, "dim[\(sizes.count)]"), size = ONNX.Dimension.unknown
                    while let (field, type) = try dimension.field() {
                        switch field {
                        case 1: size = .size(try dimension.int64(type))
                        case 2: size = .parameter(try dimension.string(type))
                        default: try dimension.skip(type)
                        }
                    }
                    sizes.append(size)
                }
                dimensions = sizes
            default: try reader.skip(type)
            }
        }
        return .tensor(kind: kind, dimensions)
    }
}
