public import Keel
public import KeelProgram

extension Program {
    /// Exported, and read again.
    package func reread(opset: Int, weights: [(name: String, tensor: Tensor)] = []) throws -> ONNXModel {
        var writer = ProtobufWriter()
        try onnx(opset: opset, weights: weights).write(to: &writer)
        return try ONNXModel(writer.allBytes())
    }
}

extension ONNXModel {
    /// The outputs' tensors.
    package func run(_ inputs: [(String, Tensor)]) throws -> [Tensor] {
        let values = try run(Dictionary(uniqueKeysWithValues: inputs.map { ($0, ONNXValue($1)) }))
        return try values.map { value in
            guard case .tensor(let tensor, _) = value else { throw ONNXError.graph("an output isn't a tensor") }
            return tensor
        }
    }
}
