package import Foundation
internal import KeelData
package import SlipwayDomain

/// A loaded model that answers as the API does. Evaluation predicts through it too, so a report holds for what is served.
///
/// Calls compute on the calling thread, several at once if they like: give it threads that may be busy, never those of
/// the cooperative pool.
package struct Predictor: Sendable {
    /// Of one call: what a call may take of a process that answers for everybody, in memory and in time.
    package static let mostRows = 1000, mostPictures = 32
    /// Inputs that are computed at once; between two such batches a call that nobody waits for any more ends.
    static let rowsAtOnce = 256, picturesAtOnce = 8

    private let model: TrainedModel
    private let columnIndex: [String: Int]

    /// - Parameter folder: holds `model.json` and the files that it names, whose sizes and digests are checked.
    /// - Errors: `ModelFault`.
    package init(folder: URL) throws {
        try self.init(TrainedModel { folder.appending(path: $0) })
    }

    /// - Parameter files: paths by name.
    /// - Errors: `ModelFault`.
    package init(files: [String: String]) throws {
        try self.init(
            TrainedModel { name in
                guard let path = files[name] else { throw ModelFault("it has no \(name)") }
                return URL(fileURLWithPath: path)
            })
    }

    private init(_ model: TrainedModel) {
        self.model = model
        columnIndex = Dictionary(zip(model.columns.map(\.name), 0...), uniquingKeysWith: { first, _ in first })
    }

    package var task: LearningTask { model.task }
    package var classes: [String] { model.classes }
    /// What predict takes: the model version's `inputs`.
    package var inputs: JSON { model.manifest.inputs }

    /// Predicts something harmless, so that the first client doesn't wait for caches and lazy set-up.
    package func warmUp() throws {
        switch task.items {
        case .rows: _ = try predictions(rows: [[String?](repeating: nil, count: model.columns.count)])
        case .pictures:
            let grey = Picture(width: 32, height: 32, pixels: [UInt8](repeating: 128, count: 3 * 32 * 32))
            _ = try predictions(pictures: [grey.jpeg()])
        }
    }

    // MARK: As clients ask

    /// One picture's bytes, PNG or JPEG.
    ///
    /// - Errors: `Problem` 415 when the model takes rows, 413, 415 or 422 when they are no picture that can be read, 422 when the answer isn't finite.
    package func predict(pictureBytes bytes: [UInt8]) throws -> PredictionAnswer {
        guard task.items == .pictures else {
            throw Problem(
                415, "predict-media-type", title: "This model takes rows",
                detail: "send JSON: {\"inputs\": [{\"column\": value, ...}]}")
        }
        do {
            return answer(try finite(predictions(pictures: [bytes])))
        } catch var problem as Problem {
            // The picture is the whole body: there is no place in it to point to.
            problem.errors = []
            throw problem
        }
    }

    /// `{"inputs": [...]}`: rows as objects, or pictures as `{"base64": "..."}`.
    ///
    /// - Parameter isAbandoned: asked between batches: whether nobody waits for the answer any more.
    /// - Errors: `Problem` 400 for what is no such JSON, 413 for too many inputs, 422 with a pointer such as
    ///   `/inputs/7/price`, or `/inputs/7` where the answer isn't finite; `CancellationError` for an abandoned call. One bad input fails the call.
    package func predict(json body: Data, isAbandoned: () -> Bool = { false }) throws -> PredictionAnswer {
        let (most, size) = switch task.items {
        case .rows: (Self.mostRows, Self.rowsAtOnce)
        case .pictures: (Self.mostPictures, Self.picturesAtOnce)
        }
        let inputs = try PredictBody.inputs(of: body, atMost: most, task.items.rawValue)
        var whole = answer(Predictions(width: max(model.classes.count, 1), values: []))
        var missing: Set<String> = []
        for start in stride(from: 0, to: inputs.count, by: size) {
            if isAbandoned() { throw CancellationError() }
            let batch = inputs[start..<min(start + size, inputs.count)]
            let answers = switch task.items {
            case .rows: try predictions(rows: rows(batch, &missing))
            case .pictures: try predictions(ofPictures: batch)
            }
            whole.predictions.values += try finite(answers, from: start).values
        }
        whole.warnings = model.columns.map(\.name).filter(missing.contains).map {
            "the column '\($0)' is missing in some inputs; it counts as a missing value there"
        }
        return whole
    }

    private func predictions(ofPictures inputs: ArraySlice<JSON>) throws -> Predictions {
        var pictures: [[UInt8]] = []
        for (index, input) in zip(inputs.indices, inputs) {
            guard case .object(let members) = input, members.count == 1, let text = members["base64"]?.stringValue,
                let bytes = Data(base64Encoded: text)
            else {
                throw Problem.input("/inputs/\(index)", "invalid-value", "a picture is {\"base64\": \"...\"}")
            }
            pictures.append([UInt8](bytes))
        }
        return try predictions(pictures: pictures, from: inputs.startIndex)
    }

    /// The fields of some inputs, in the order of the training version's columns.
    ///
    /// - Parameter missing: gets the columns that an input doesn't name.
    private func rows(_ inputs: ArraySlice<JSON>, _ missing: inout Set<String>) throws -> [[String?]] {
        var rows: [[String?]] = []
        for (index, input) in zip(inputs.indices, inputs) {
            guard case .object(let members) = input else {
                throw Problem.input("/inputs/\(index)", "invalid-value", "a row is an object of column names and values")
            }
            var row = [String?](repeating: nil, count: model.columns.count)
            for (name, value) in members {
                let pointer = JSONPointer.appending("/inputs/\(index)", name)
                guard let column = columnIndex[name] else {
                    let known = model.columns.map(\.name).filter { $0 != model.target }
                    throw Problem.input(
                        pointer, "unknown-column",
                        "the model has no column '\(name.prefix(100))'; \(nearest(to: name, among: known))")
                }
                if name == model.target { continue }
                row[column] = try Self.field(value, model.columns[column], pointer)
            }
            for column in model.columns where column.name != model.target && members[column.name] == nil {
                missing.insert(column.name)
            }
            rows.append(row)
        }
        return rows
    }

    /// A value of JSON as the text that would have stood in the upload; nil for a missing value.
    private static func field(_ value: JSON, _ column: ModelManifest.Column, _ pointer: String) throws(Problem) -> String? {
        func wrong(_ what: String) -> Problem {
            let expected =
                switch column.type {
                case .number: "numbers"
                case .boolean: "true and false"
                case .date: "dates such as 2024-03-01"
                case .category, .text: "texts"
                }
            return .input(pointer, "invalid-value", "\(what); the column '\(column.name)' holds \(expected)")
        }
        let text: String
        switch value {
        case .null: return nil
        case .string(let given):
            if TableValue.isMissing(given) { return nil }
            text = given
        case .bool(let given):
            guard column.type != .number, column.type != .date else { throw wrong("\(given) is a boolean") }
            text = given ? "true" : "false"
        case .integer(let given): text = String(given)
        case .number(let given): text = given.plain
        case .array, .object: throw wrong("a list or an object is no field")
        }
        let isReadable =
            switch column.type {
            case .number: TableValue.number(text) != nil
            case .boolean: TableValue.boolean(text) != nil
            case .date: TableValue.date(text) != nil
            case .category, .text: true
            }
        guard isReadable else { throw wrong("'\(text.prefix(64))' can't be read") }
        return text
    }

    // MARK: As evaluation asks

    /// - Parameter rows: fields in the order of the training version's columns.
    func predictions(rows: [[String?]]) throws -> Predictions {
        try model.predictions(ModelInputs(rows: rows))
    }

    /// - Parameter first: the first picture's place among the call's inputs.
    /// - Errors: `Problem` 413, 415 or 422 naming the picture.
    func predictions(pictures files: [[UInt8]], from first: Int = 0) throws -> Predictions {
        var inputs = ModelInputs()
        for preparation in model.preparations {
            inputs.pictures[preparation] = try files.enumerated().map { index, bytes in
                do {
                    return try preparation.picture(decoding: bytes)
                } catch {
                    let (status, code) = (error as? PictureError).map { ($0.status, $0.code) } ?? (422, "image-corrupt")
                    throw Problem(
                        status, code, title: "This is no picture that can be read", detail: "\(error)",
                        errors: [.init(pointer: "/inputs/\(first + index)", code: code, detail: "\(error)")])
                }
            }
        }
        return try model.predictions(inputs)
    }

    /// JSON has no other numbers, and none of several scores would be the highest.
    ///
    /// - Parameter first: the first item's place among the call's inputs.
    /// - Errors: `Problem` 422 naming the first item whose answer isn't finite.
    private func finite(_ predictions: Predictions, from first: Int = 0) throws(Problem) -> Predictions {
        guard let place = predictions.values.firstIndex(where: { !$0.isFinite }) else { return predictions }
        let detail = "the model's numbers overflow with this input: it may be far from all that the model was trained on"
        throw Problem(
            422, "predict-not-finite", title: "The model has no finite answer to an input", detail: detail,
            errors: [.init(pointer: "/inputs/\(first + place / predictions.width)", code: "predict-not-finite", detail: detail)])
    }

    private func answer(_ predictions: Predictions) -> PredictionAnswer {
        PredictionAnswer(classes: model.classes, isClassification: model.task.isClassification, predictions: predictions)
    }
}

/// The answers to one call, in the order of its inputs.
package struct PredictionAnswer: Sendable {
    let classes: [String]
    let isClassification: Bool
    fileprivate(set) var predictions: Predictions
    package var warnings: [String] = []

    init(classes: [String], isClassification: Bool, predictions: Predictions) {
        self.classes = classes
        self.isClassification = isClassification
        self.predictions = predictions
    }

    package var count: Int { predictions.count }

    /// The body of the answer: `{model_version, predictions, warnings?}`.
    package func json(modelVersion: String) -> Data {
        var text = "{\"model_version\":\(modelVersion.jsonQuoted),\"predictions\":["
        let names = classes.map(\.jsonQuoted)
        for item in 0..<predictions.count {
            if item > 0 { text += "," }
            let row = predictions[item]
            if isClassification {
                let top = predictions.top(item)
                text += "{\"label\":\(names[top]),\"score\":\(row[row.startIndex + top].jsonNumber),\"scores\":["
                for (index, score) in row.enumerated() {
                    if index > 0 { text += "," }
                    text += "{\"label\":\(names[index]),\"score\":\(score.jsonNumber)}"
                }
                text += "]}"
            } else {
                text += "{\"value\":\(row[row.startIndex].jsonNumber)}"
            }
        }
        text += "]"
        if !warnings.isEmpty { text += ",\"warnings\":[\(warnings.map(\.jsonQuoted).joined(separator: ","))]" }
        return Data((text + "}").utf8)
    }
}

/// `{"inputs": [...]}`, the body of a predict call.
enum PredictBody {
    /// - Errors: `Problem` 400 for what is no such JSON, 413 for too many inputs.
    static func inputs(of body: Data, atMost most: Int, _ what: String) throws -> [JSON] {
        let document: JSON
        do {
            document = try JSONReader.read([UInt8](body))
        } catch {
            throw error.problem
        }
        guard case .object(let members) = document, case .array(let inputs)? = members["inputs"], !inputs.isEmpty else {
            throw Problem.input("/inputs", "missing-member", "the body must be {\"inputs\": [...]} with one input at least")
        }
        if let unknown = members.keys.sorted().first(where: { $0 != "inputs" }) {
            throw Problem.input(JSONPointer.appending("", unknown), "unknown-member", "'\(unknown)' is unknown; the body has 'inputs' only")
        }
        guard inputs.count <= most else {
            let detail = "\(inputs.count) \(what); a call takes \(most) at most"
            throw Problem(
                413, "predict-too-many-inputs", title: "Too many inputs for one call", detail: detail,
                errors: [.init(pointer: "/inputs", code: "too-many", detail: detail)])
        }
        return inputs
    }
}

extension Problem {
    static func input(_ pointer: String, _ code: String, _ detail: String) -> Problem {
        Problem(
            422, "predict-input", title: "An input can't be used", detail: "\(pointer): \(detail)",
            errors: [Place(pointer: pointer, code: code, detail: detail)])
    }
}
