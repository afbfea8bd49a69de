internal import Foundation
internal import Keel
internal import KeelData
internal import KeelProgram
internal import SlipwayDomain

extension TrainedModel {
    /// The model in the ONNX format, which other runtimes run: what is made of its inputs, its members, and the mean of what they say.
    ///
    /// - Of a table there is an input for each column, `[batch, 1]`. Numbers are float32, or float64 where a network is among the parts, which takes a
    ///   column's middle away before anything is rounded; a missing one is NaN. Booleans are float32, 1 and 0. Categories are texts, as they stand in the table
    ///   without blanks around them.
    /// - Of pictures there is `picture`, `[batch, 3, height, width]`: red, green and blue, 0...255, resized as `model.json` says of the part's input. Where
    ///   the parts have pictures of several sizes, each has an input named after it, as `picture_64x64_letterbox`.
    /// - It answers `scores` and `label`, or `value`.
    ///
    /// - Returns: nil where a part has a preparation for which there are no operators (dates, texts, counted edges), where all trees together have more
    ///   than a million nodes, or where a model from elsewhere does what no program can.
    func onnx() throws -> [UInt8]? {
        guard parts.allSatisfy({ !$0.members.isEmpty && $0.members.allSatisfy(\.isExportable) }) else { return nil }
        let members = parts.flatMap(\.members)
        guard members.reduce(0, { $0 + (($1 as? ForestScorer)?.forest.feature.count ?? 0) }) <= 1 << 20 else { return nil }
        let answers = task.isClassification ? ["scores", "label"] : ["value"]
        guard let ports = ExportPorts(columns, members), ports.names.isDisjoint(with: answers) else { return nil }

        var writer = ONNXModelWriter(opset: 17, mlOpset: 5, ports: ports.names.sorted() + answers)
        ports.declare(in: &writer)
        var sum: String?
        for part in parts {
            guard let first = part.members.first else { continue }
            // All members of a part see the same.
            let features = try first.exportFeatures(to: &writer, ports), share = Float(part.description.weight / Double(part.members.count))
            for member in part.members {
                guard let margins = try exportMargins(of: member, to: &writer, of: features) else { return nil }
                let own = writer.node("Mul", [try member.link.export(to: &writer, of: margins), writer.constant(try Tensor(share))])
                sum = sum.map { writer.node("Add", [$0, own]) } ?? own
            }
        }
        guard let sum else { return nil }
        writer.node("Identity", [sum], as: answers[0])
        writer.output(answers[0], .float32, [task.isClassification ? classes.count : 1])
        if task.isClassification {
            let place = writer.node("ArgMax", [sum], ["axis": .int(1), "keepdims": .int(0)])
            writer.node(
                "LabelEncoder", [place], ["keys_int64s": .ints(Array(classes.indices)), "values_strings": .texts(classes)], domain: "ai.onnx.ml", as: answers[1])
            writer.output(answers[1], .string, [])
        }
        return try writer.bytes()
    }

    /// - Returns: nil where a model from elsewhere can't be said as a program, whose graph depends on what it computes.
    private func exportMargins(of member: any Scorer, to writer: inout ONNXModelWriter, of features: String) throws -> String? {
        do {
            return try member.exportMargins(to: &writer, of: features)
        } catch where base != nil && (error is TensorError || error is ONNXError) {
            return nil
        }
    }
}

/// The inputs of a model in the ONNX format.
struct ExportPorts {
    private var columns: [ModelManifest.Column] = []
    /// Whether numbers are float64.
    private let isDouble: Bool
    private var pictures: [Size: String] = [:]

    /// What pictures come as; each preparation does the rest.
    private struct Size: Hashable {
        let width, height: Int
        let fit: PictureFit

        init(_ preparation: PicturePreparation) { (width, height, fit) = (preparation.width, preparation.height, preparation.fit) }

        var name: String {
            let fit = switch fit {
            case .stretch: "stretch"
            case .crop: "crop"
            case .letterbox: "letterbox"
            }
            return "picture_\(width)x\(height)_\(fit)"
        }
    }

    /// - Returns: nil where nothing is read, or two inputs would have one name.
    init?(_ known: [ModelManifest.Column], _ members: [any Scorer]) {
        isDouble = members.contains { ($0 as? NetworkScorer)?.input.table != nil }
        let tables = members.compactMap { ($0 as? ForestScorer)?.encoder ?? ($0 as? NetworkScorer)?.input.table }
        let read = Set(tables.flatMap { $0.columns.map(\.name) })
        columns = known.filter { read.contains($0.name) }
        let sizes = Set(members.compactMap { ($0 as? NetworkScorer)?.input.preparation }.map(Size.init))
        for size in sizes { pictures[size] = sizes.count == 1 ? "picture" : size.name }
        guard !names.isEmpty, names.count == columns.count + sizes.count else { return nil }
    }

    var names: Set<String> { Set(columns.map(\.name) + pictures.values) }

    func declare(in writer: inout ONNXModelWriter) {
        for column in columns {
            let kind: ElementKind = switch column.type {
            case .category: .string
            case .number: isDouble ? .float64 : .float32
            case .boolean, .date, .text: .float32
            }
            writer.input(column.name, kind, [1])
        }
        for (size, name) in pictures.sorted(by: { $0.value < $1.value }) { writer.input(name, .float32, [3, size.height, size.width]) }
    }

    func isDouble(_ column: TableEncoder.Column) -> Bool {
        if case .number = column.feature { isDouble } else { false }
    }

    func name(_ preparation: PicturePreparation) -> String {
        guard let name = pictures[Size(preparation)] else { preconditionFailure("every preparation has its input") }
        return name
    }
}

extension TableEncoder {
    var isExportable: Bool {
        columns.allSatisfy { column in
            switch column.feature {
            case .number, .boolean, .category, .measure: true
            case .date, .text: false
            }
        }
    }
}

extension Link {
    /// What `answers` makes of margins.
    fileprivate func export(to writer: inout ONNXModelWriter, of margins: String) throws -> String {
        switch kind {
        case .logistic:
            let chance = writer.node("Sigmoid", [margins]), other = writer.node("Sub", [writer.constant(try Tensor([Float(1)])), chance])
            return writer.node("Concat", [other, chance], ["axis": .int(1)])
        case .softmax: return writer.node("Softmax", [margins], ["axis": .int(1)])
        case .identity, .logarithm:
            let scaled = writer.node("Mul", [margins, writer.constant(try Tensor([deviation]))])
            let value = writer.node("Add", [scaled, writer.constant(try Tensor([mean]))])
            guard kind == .logarithm else { return value }
            guard let low = bounds?.first, let high = bounds?.last else { return writer.node("Exp", [value]) }
            return writer.node("Exp", [writer.node("Clip", [value, writer.constant(try Tensor(low)), writer.constant(try Tensor(high))])])
        }
    }
}
