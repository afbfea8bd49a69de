package import Foundation
internal import Keel
internal import KeelProgram
package import SlipwayDomain

/// A model that was trained elsewhere, answering in tensors.
///
/// An input is an object with an array of arrays of numbers for each of the model's inputs, or, of a model with one input, that array alone. Where
/// the model leaves the size of its inputs' first axes open, and it is the same of all of them, an input is one example, without that axis; with the
/// axis, it is a batch of its own. Examples of the same shape are computed together where each output has a row for each of them.
package struct TensorPredictor: Sendable {
    /// Of one call, and computed at once.
    private static let mostInputs = 1000, atOnce = 64
    /// Numbers and words, and arrays of them, in the answers to one call, which are put together in memory.
    private static let mostPieces = 4 << 20

    private let model: ImportedModel
    private let ports: [Port]
    /// Whether inputs may be examples of a batch.
    private let isBatched: Bool
    /// Of each output whether it has a row for each example.
    private var hasRows: [Bool] = []

    private struct Port: Sendable {
        let name: String
        let kind: ElementKind
        /// Nil where it is open, or, all of them, where the rank is.
        let sizes: [Int?]?
    }

    /// - Parameter files: paths by name; `model.onnx` is the model, the others are its external data.
    /// - Errors: `ModelFault`.
    package init(files: [String: String]) throws {
        guard let path = files[ModelImport.file] else { throw ModelFault("it has no \(ModelImport.file)") }
        do {
            let read = try ONNXModel(reading: path, files: files.filter { $0.key != ModelImport.file }, limits: ModelImport.limits)
            try self.init(ImportedModel(read))
        } catch let error as ONNXError {
            throw ModelFault(error.description)
        }
    }

    /// - Errors: `Problem` for inputs that aren't tensors.
    init(_ model: ImportedModel) throws {
        self.model = model
        ports = try model.inputs.map { port in
            guard let kind = port.kind else {
                throw Problem(
                    422, "model-input-unsupported", title: "The model takes what isn't a tensor", detail: "the input '\(port.name)' isn't a tensor".withoutControls)
            }
            return Port(name: port.name, kind: kind, sizes: port.sizes?.map(\.size))
        }
        switch model.form {
        case .program(let program):
            let axes = program.inputs.map { $0.spec.shape.rank > 0 ? $0.spec.shape[0] : Dimension(1) }
            isBatched = Set(axes).count == 1 && axes[0].number == nil
            if isBatched { hasRows = program.outputs.map { $0.spec.shape.rank > 0 && $0.spec.shape[0] == axes[0] } }
        case .interpreted:
            // Exporters that give no names mean the batch.
            let axes = model.inputs.map { $0.sizes?.first }
            isBatched = Set(axes).count == 1 && axes[0] != nil && axes[0]?.size == nil
            if isBatched {
                let isDeclared = model.outputs.map { $0.sizes?.first == axes[0] }
                // What a file says of its outputs' shapes binds nobody.
                hasRows = isDeclared.contains(false) ? rowsOfZeros() ?? zip(isDeclared, model.outputs).map { $0 || $1.kind == nil } : isDeclared
            }
        }
    }

    /// Of each output whether, for zeros, its first axis is as long as the inputs', for two lengths; nil where zeros are nothing for the model.
    private func rowsOfZeros() -> [Bool]? {
        var hasRows = [Bool](repeating: true, count: model.outputs.count)
        for count in [2, 3] {
            guard let made = try? answerToZeros(examples: count) else { return nil }
            hasRows = zip(hasRows, made).map { $0 && $1.rows == count }
        }
        return hasRows
    }

    // MARK: As the API shows it

    package var inputs: JSON { ["kind": "tensors", "tensors": .array(model.inputs.map(Self.view))] }
    package var outputs: JSON { .array(model.outputs.map(Self.view)) }

    private static func view(_ port: ONNXModel.Port) -> JSON {
        let shape = port.sizes.map { sizes in
            JSON.array(
                sizes.map { size -> JSON in
                    if let number = size.size { return .integer(number) }
                    return size.name.map { .string($0.withoutControls) } ?? .null
                })
        }
        return ["name": .string(port.name.withoutControls), "kind": port.kind.map { .string("\($0)") } ?? .null, "shape": shape ?? .null]
    }

    // MARK: Answering

    /// Runs on zeros, so that the first client doesn't wait for caches. A model for which they make no sense is no error.
    package func warmUp() { _ = try? answerToZeros() }

    /// Runs on zeros, each open size 1.
    ///
    /// - Errors: `ONNXError` for what no other numbers help: a limit, an operator that turns out not to be supported, shapes that don't fit each other
    ///   where the model leaves none open.
    func tryOut() throws {
        do {
            try answerToZeros()
        } catch let error as ONNXError {
            switch error {
            case .limit, .tooLong, .tooDeep, .unsupported, .input: throw error
            default: if isDecidedByZeros { throw error }
            }
        } catch let error as TensorError {
            throw ONNXError.limit(place: "inputs", error.facts)
        }
    }

    /// Whether what goes wrong with zeros goes wrong with all numbers: all sizes are known, no input is a word or may be a size, and no encoder or tree
    /// of `ai.onnx.ml` knows some numbers alone.
    private var isDecidedByZeros: Bool {
        model.opsets["ai.onnx.ml"] == nil
            && ports.allSatisfy { port in
                guard let sizes = port.sizes, sizes.allSatisfy({ $0 != nil }) else { return false }
                return port.kind != .string && !(port.kind.isInteger && sizes.count <= 1)
            }
    }

    /// - Parameter examples: how long first axes are that are open.
    /// - Returns: nil where the model doesn't say the rank of an input.
    @discardableResult
    private func answerToZeros(examples: Int = 1) throws -> [ONNXValue]? {
        var values: [String: ONNXValue] = [:]
        for port in ports {
            guard let sizes = port.sizes else { return nil }
            let shape = try Shape(checking: sizes.enumerated().map { $1 ?? ($0 == 0 ? examples : 1) }), count = try shape.elementCount()
            guard count <= 1 << 26 else { throw ONNXError.limit(place: "input '\(port.name)'", "takes \(count) numbers") }
            if port.kind == .string {
                values[port.name] = .strings([String](repeating: "", count: count), shape)
            } else {
                values[port.name] = .tensor(try Tensor.zeros(shape, port.kind.carrier), port.kind)
            }
        }
        return try model.run(values)
    }

    /// `{"inputs": [...]}`.
    ///
    /// - Parameter isAbandoned: asked between batches: whether nobody waits for the answer any more.
    /// - Errors: `Problem` 400 for what is no such JSON, 413 for too many inputs or too large answers, 422 with a pointer such as `/inputs/7/tokens`; `CancellationError`.
    package func predict(json body: Data, modelVersion: String, isAbandoned: () -> Bool) throws -> Data {
        let inputs = try PredictBody.inputs(of: body, atMost: Self.mostInputs, "tensors")
        let given = try inputs.enumerated().map { try values(of: $1, at: "/inputs/\($0)") }
        var answers = Answers(), next = 0
        while next < given.count {
            if isAbandoned() { throw CancellationError() }
            var end = next + 1
            if given[next].isExample, !hasRows.contains(false) {
                while end < given.count, end - next < Self.atOnce, given[end].isExample, given[end].shapes == given[next].shapes { end += 1 }
            }
            if try !answer(given[next..<end], &answers) {
                for one in next..<end {
                    if isAbandoned() { throw CancellationError() }
                    _ = try answer(given[one...one], &answers)
                }
            }
            next = end
        }
        return Data("{\"model_version\":\(modelVersion.jsonQuoted),\"predictions\":[\(answers.texts.joined(separator: ","))]}".utf8)
    }

    private struct Answers {
        var texts: [String] = []
        var pieces = 0
    }

    /// What one input holds.
    private struct Given {
        var arrays: [NestedArray]
        let isExample: Bool
        var shapes: [[Int]] { arrays.map(\.shape) }
    }

    private func values(of input: JSON, at pointer: String) throws -> Given {
        var members: [String: JSON]
        if case .object(let named) = input {
            members = named
        } else if ports.count == 1 {
            members = [ports[0].name: input]
        } else {
            throw Problem.input(pointer, "invalid-value", "an input is an object with the members \(ports.map(\.name).joined(separator: ", "))".withoutControls)
        }
        let arrays = try ports.map { port in
            let place = JSONPointer.appending(pointer, port.name)
            guard let value = members.removeValue(forKey: port.name) else {
                throw Problem.input(place, "missing-member", "the model takes '\(port.name)'".withoutControls)
            }
            return try NestedArray(value, port.kind, at: place)
        }
        if let unknown = members.keys.min() {
            throw Problem.input(JSONPointer.appending(pointer, unknown), "unknown-member", "the model takes no '\(unknown)'".withoutControls)
        }
        let isExample = isBatched && zip(ports, arrays).allSatisfy { port, array in array.shape.count + 1 == port.sizes?.count }
        for (port, array) in zip(ports, arrays) {
            guard let sizes = port.sizes else { continue }
            let wanted = isExample ? Array(sizes.dropFirst()) : sizes
            let fits = wanted.count == array.shape.count && zip(wanted, array.shape).allSatisfy { $0 == nil || $0 == $1 }
            guard fits else {
                let shape = sizes.map { $0.map(String.init) ?? "?" }.joined(separator: ", ")
                throw Problem.input(
                    JSONPointer.appending(pointer, port.name), "shape-mismatch",
                    "has the shape \(array.shape); the model takes [\(shape)]\(isBatched ? ", or that without the first axis" : "")")
            }
        }
        return Given(arrays: arrays, isExample: isExample)
    }

    /// Answers inputs that are computed together.
    ///
    /// - Returns: false where each of several has to be computed alone: one isn't what the model can take, they are too large together, or their rows
    ///   can't be told from each other.
    private func answer(_ batch: ArraySlice<Given>, _ answers: inout Answers) throws -> Bool {
        guard let one = batch.first else { return true }
        let place = batch.count == 1 ? "/inputs/\(batch.startIndex)" : "/inputs"
        var values: [String: ONNXValue] = [:]
        for (i, port) in ports.enumerated() {
            let shape = one.isExample ? [batch.count] + one.arrays[i].shape : one.arrays[i].shape
            do {
                values[port.name] = try NestedArray.value(of: batch.map { $0.arrays[i] }, port.kind, shape)
            } catch let error as TensorError {
                throw Problem.input(place, "invalid-value", error.facts)
            }
        }
        let made: [ONNXValue]
        do {
            made = try model.run(values)
        } catch let error as ONNXError {
            if case .tooLong = error { throw Self.problem(504, "inference-timeout", place, error.description) }
            guard batch.count == 1 else { return false }
            if case .limit = error { throw Self.problem(413, "inference-too-large", place, error.description) }
            // The numbers, or their count, aren't what the model can take.
            throw Self.problem(422, "predict-model", place, error.description)
        }
        let isCut = zip(made.indices, made).map { one.isExample && hasRows[$0] && $1.rows == batch.count }
        guard batch.count == 1 || !isCut.contains(false) else { return false }
        for (port, value) in zip(model.outputs, made) {
            answers.pieces = [value.pieces, batch.count * (1 + port.name.utf8.count / 16)].reduce(answers.pieces) { $0.addingOrLargest($1) }
        }
        guard answers.pieces <= Self.mostPieces else {
            throw Self.problem(413, "inference-too-large", place, "the answers to the call hold more than \(Self.mostPieces) numbers and arrays of them")
        }
        let writers = try made.map { try AnswerWriter($0) }
        for row in 0..<batch.count {
            let members = zip(zip(model.outputs, writers), isCut).map { output, isCut in
                "\(output.0.name.jsonQuoted):\(isCut ? output.1.row(row) : output.1.whole)"
            }
            answers.texts.append("{\(members.joined(separator: ","))}")
        }
        return true
    }

    private static func problem(_ status: Int, _ code: String, _ pointer: String, _ detail: String) -> Problem {
        let detail = String(detail.prefix(1000))
        return Problem(
            status, code, title: "The model can't compute this input", detail: detail, errors: [.init(pointer: pointer, code: code, detail: detail)])
    }
}

extension ONNXValue {
    /// How long the first axis is; nil where there is none.
    fileprivate var rows: Int? {
        switch self {
        case .tensor(let tensor, _): tensor.shape.sizes?.first
        case .strings(_, let shape): shape.sizes?.first
        case .sequence(let parts): parts.count
        case .maps(let rows): rows.count
        case .none, .sizes: nil
        }
    }

    /// Numbers, words and arrays that are written for it; a long word counts as several.
    fileprivate var pieces: Int {
        switch self {
        case .tensor(let tensor, _): Self.pieces(of: tensor.shape)
        case .strings(let texts, let shape): texts.reduce(Self.pieces(of: shape)) { $0.addingOrLargest($1.utf8.count / 16) }
        case .sequence(let parts): parts.reduce(1) { $0.addingOrLargest($1.pieces) }
        case .maps(let rows): rows.reduce(1) { $1.reduce($0.addingOrLargest(1)) { $0.addingOrLargest(1 + $1.key.utf8.count / 16) } }
        case .none, .sizes: 1
        }
    }

    private static func pieces(of shape: Shape) -> Int {
        var sum = 1, count = 1
        for size in shape.sizes ?? [] {
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            count = overflow ? .max : product
            sum = sum.addingOrLargest(count)
        }
        return sum
    }
}

extension Int {
    fileprivate func addingOrLargest(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

/// Arrays in arrays, of numbers, bools or strings, as a tensor has them.
private struct NestedArray {
    private(set) var shape: [Int] = []
    private var numbers: [Double] = []
    private var integers: [Int64] = []
    private var texts: [String] = []

    init(_ value: JSON, _ kind: ElementKind, at pointer: String) throws {
        var inner = value
        while case .array(let elements) = inner {
            shape.append(elements.count)
            guard shape.count <= Shape.maximumRank else { throw Problem.input(pointer, "invalid-value", "has more than \(Shape.maximumRank) axes") }
            guard let first = elements.first else { break }
            inner = first
        }
        try append(value, 0, kind, pointer)
    }

    private mutating func append(_ value: JSON, _ depth: Int, _ kind: ElementKind, _ pointer: String) throws {
        guard depth < shape.count else {
            switch value {
            case .integer(let number) where kind.isInteger && kind.limits.contains(Int64(number)): integers.append(Int64(number))
            case .integer(let number) where kind.isFloat: numbers.append(Double(number))
            case .number(let number) where kind.isFloat: numbers.append(number)
            // JSON has no NaN: what is missing.
            case .null where kind.isFloat: numbers.append(.nan)
            case .number(let number) where kind.isInteger:
                guard let whole = Int64(exactly: number), kind.limits.contains(whole) else { throw Problem.input(pointer, "invalid-value", "holds \(number), which is no \(kind)") }
                integers.append(whole)
            case .bool(let flag) where kind == .bool: integers.append(flag ? 1 : 0)
            case .string(let text) where kind == .string: texts.append(text)
            default: throw Problem.input(pointer, "invalid-value", "isn't an array of \(kind)")
            }
            return
        }
        guard case .array(let elements) = value, elements.count == shape[depth] else {
            throw Problem.input(pointer, "invalid-value", "isn't an array in which all rows are equally long")
        }
        for element in elements { try append(element, depth + 1, kind, pointer) }
    }

    /// One after the other, as a tensor of this shape.
    static func value(of arrays: [NestedArray], _ kind: ElementKind, _ shape: [Int]) throws -> ONNXValue {
        let whole = try Shape(checking: shape)
        if kind == .string { return .strings(arrays.flatMap(\.texts), whole) }
        let tensor = try kind.isFloat ? Tensor(arrays.flatMap(\.numbers), whole) : Tensor(arrays.flatMap(\.integers), whole)
        return try ONNXValue(tensor, as: kind)
    }
}
