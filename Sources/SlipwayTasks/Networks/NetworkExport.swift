internal import Foundation
internal import Keel
internal import KeelData
internal import KeelModels
internal import KeelNN
internal import KeelProgram

extension NetworkScorer {
    var isExportable: Bool {
        switch input {
        case .rows(let encoder, _): encoder.isExportable
        case .planes, .encoded: true
        case .features: false
        }
    }

    func exportFeatures(to writer: inout ONNXModelWriter, _ ports: ExportPorts) throws -> String {
        switch input {
        case .rows(let encoder, let waves): return try encoder.export(to: &writer, waves: waves)
        case .planes(let preparation): return try preparation.scaling.export(to: &writer, of: ports.name(preparation))
        case .encoded(let preparation, let scale):
            guard let encoder else { preconditionFailure("a model with encoded pictures has its encoder") }
            let planes = try preparation.scaling.export(to: &writer, of: ports.name(preparation))
            let spec = TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(preparation.height), Dimension(preparation.width)), .float32)
            let program = try Program.trace({ try encoder.trunk($0, in: .prediction) }, input: "planes", spec)
            let features = try writer.program(program, of: [planes], weights: encoder.trunk.state().map { ("encoder.\($0.name)", $0.tensor) })[0]
            let centred = writer.node("Sub", [features, writer.constant(try Tensor(scale.mean))])
            let scaled = writer.node("Div", [centred, writer.constant(try Tensor(scale.deviation))])
            return writer.node("Clip", [scaled, writer.constant(try Tensor(Float(-5))), writer.constant(try Tensor(Float(5)))])
        case .features: preconditionFailure("counted edges aren't exported")
        }
    }

    func exportMargins(to writer: inout ONNXModelWriter, of features: String) throws -> String {
        var shape = Shape([1] + input.sizes)
        shape[0] = .symbol("batch")
        let program = try Program.trace({ try network($0, in: .prediction) }, input: "features", TensorSpec(shape, .float32))
        return try writer.program(program, of: [features], weights: network.state().map { ($0.name, $0.tensor) })[0]
    }
}

extension PictureScaling {
    /// What `Picture.write` makes of bytes: one product and one sum a channel.
    fileprivate func export(to writer: inout ONNXModelWriter, of bytes: String) throws -> String {
        let scale = try Tensor(deviation.map { 1 / (255 * $0) }, [3, 1, 1]), offset = try Tensor(zip(mean, deviation).map { -$0 / $1 }, [3, 1, 1])
        return writer.node("Add", [writer.node("Mul", [bytes, writer.constant(scale)]), writer.constant(offset)])
    }
}

extension TableEncoder {
    /// What `networkMatrix` makes of a row.
    fileprivate func export(to writer: inout ONNXModelWriter, waves: Int) throws -> String {
        let zero = writer.constant(try Tensor(Float(0)))
        func number(_ value: String, _ type: ElementKind) -> String { writer.node("Cast", [value], ["to": .int(Int(type.rawValue))]) }
        func constant(_ number: Double) throws -> String { writer.constant(try Tensor(number)) }
        func known(_ value: String, unless isMissing: String) -> String { writer.node("Where", [isMissing, zero, value]) }
        var features: [String] = []
        for column in columns {
            switch column.feature {
            case .number(let centre, let scale, let hasMissing):
                let isMissing = writer.node("IsNaN", [number(column.name, .float32)])
                let squashed = number(try exportSquashed(to: &writer, column.name, centre, scale), .float32)
                features.append(known(squashed, unless: isMissing))
                if hasMissing { features.append(number(isMissing, .float32)) }
                guard waves > 0 else { continue }
                // Sine and cosine in turn: a cosine is the sine a quarter of a turn later.
                let frequencies = (0..<(2 * waves)).map { Float.pi / 3 * powf(2, Float($0 / 2) / 2) }
                let turns = (0..<(2 * waves)).map { $0 % 2 == 0 ? 0 : Float.pi / 2 }
                let angles = writer.node("Mul", [squashed, writer.constant(try Tensor(frequencies))])
                features.append(known(writer.node("Sin", [writer.node("Add", [angles, writer.constant(try Tensor(turns))])]), unless: isMissing))
            case .boolean(let hasMissing):
                let isMissing = writer.node("IsNaN", [column.name])
                let doubled = writer.node("Mul", [column.name, writer.constant(try Tensor(Float(2)))])
                features.append(known(writer.node("Sub", [doubled, writer.constant(try Tensor(Float(1)))]), unless: isMissing))
                if hasMissing { features.append(number(isMissing, .float32)) }
            case .category(let values):
                let code = writer.node(
                    "LabelEncoder", [column.name],
                    ["keys_strings": .texts(values), "values_int64s": .ints(Array(values.indices)), "default_int64": .int(values.count)], domain: "ai.onnx.ml")
                let codes = writer.constant(try Tensor((0...values.count).map(Int64.init)))
                features.append(number(writer.node("Equal", [code, codes]), .float32))
            case .measure(let centre, let scale, let missing):
                let isMissing = writer.node("IsNaN", [number(column.name, .float32)])
                let value = writer.node("Where", [isMissing, try constant(missing), number(column.name, .float64)])
                let distance = writer.node("Div", [writer.node("Sub", [value, try constant(centre)]), try constant(scale)])
                features.append(number(writer.node("Clip", [distance, try constant(-Field.largest), try constant(Field.largest)]), .float32))
            case .date, .text: preconditionFailure("dates and texts aren't exported")
            }
        }
        return writer.node("Concat", features, ["axis": .int(1)])
    }

    /// What `squashed` makes of a number's distance from its column's middle, in double.
    private func exportSquashed(to writer: inout ONNXModelWriter, _ value: String, _ centre: Double, _ scale: Double) throws -> String {
        func constant(_ number: Double) throws -> String { writer.constant(try Tensor(number)) }
        let distance = writer.node("Div", [writer.node("Sub", [value, try constant(centre)]), try constant(scale)])
        let bounded = writer.node("Clip", [distance, try constant(-1e12), try constant(1e12)])
        let third = writer.node("Div", [bounded, try constant(3)])
        let root = writer.node("Sqrt", [writer.node("Add", [writer.node("Mul", [third, third]), try constant(1)])])
        return writer.node("Div", [bounded, root])
    }
}
