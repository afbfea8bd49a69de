/// What is wrong with an ONNX model, or with what it was given: the place and the facts.
public enum ONNXError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file can't be read.
    case file(path: String, String)
    /// The bytes aren't a sound message. `place` names it, such as `graph.node[3].attribute[0]`.
    case malformed(place: String, byte: Int, String)
    /// A limit of the reader or of an execution: bytes, mostly.
    case limit(place: String, String)
    /// More nodes, or more time, than an execution may take.
    case tooLong(place: String, String)
    /// Messages, graphs or functions that lie too deep in each other.
    case tooDeep(place: String, String)
    /// A tensor's facts don't agree with each other.
    case tensor(name: String, String)
    /// External data that isn't inside the model's folder, or not as long as the tensor is.
    case externalData(tensor: String, location: String, String)
    case opset(domain: String, version: Int, allowed: String)
    /// The graph can't be computed in its order: `value` isn't there where `node` reads it.
    case notDefined(value: String, node: String)
    case definedTwice(value: String)
    case graph(String)
    case unsupported(domain: String, operator: String, opset: Int, String)
    /// A node's inputs or attributes don't fit its operator.
    case node(name: String, operator: String, String)
    case input(name: String, String)
    /// A program holds what operators of ONNX don't do: the primitive, and the line that called it when it was traced.
    case notExportable(primitive: String, line: String?, String)

    /// Names and texts of the file are shown without control characters, which a terminal would obey.
    public var description: String { text.withoutControls }

    private var text: String {
        switch self {
        case .file(let path, let what): "\(path): \(what)"
        case .malformed(let place, let byte, let what): "\(place.isEmpty ? "model" : place), byte \(byte): \(what)"
        case .limit(let place, let what), .tooLong(let place, let what), .tooDeep(let place, let what): "\(place): \(what)"
        case .tensor(let name, let what): "tensor '\(name)': \(what)"
        case .externalData(let tensor, let location, let what): "tensor '\(tensor)': external data '\(location)' \(what)"
        case .opset(let domain, let version, let allowed):
            "opset \(version) of \(domain.isEmpty ? "ai.onnx" : domain) isn't known: allowed is \(allowed)"
        case .notDefined(let value, let node):
            "node \(node) reads '\(value)', which nothing before it makes: the nodes aren't in order, or go in a circle"
        case .definedTwice(let value): "'\(value)' is made twice"
        case .graph(let what): what
        case .unsupported(let domain, let name, let opset, let what):
            "operator \(domain.isEmpty ? "" : domain + ".")\(name) of opset \(opset) isn't supported\(what.isEmpty ? "" : ": " + what)"
        case .node(let name, let type, let what): "node \(name.isEmpty ? type : "'\(name)' (\(type))"): \(what)"
        case .input(let name, let what): "input '\(name)': \(what)"
        case .notExportable(let primitive, let line, let what):
            "\(primitive) can't be exported\(what.isEmpty ? "" : ": \(what)")\(line.map { " (at \($0))" } ?? "")"
        }
    }
}

extension String {
    /// With U+FFFD for each control or format character, and for each separator of lines.
    package var withoutControls: String {
        var result = UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: result.append("\u{FFFD}")
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
