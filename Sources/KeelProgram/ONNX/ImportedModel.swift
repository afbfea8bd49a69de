internal import Keel

/// A model of the ONNX format as something that answers: what a server holds. Any number of threads may run it at once.
///
/// Wherever the model can be traced it is a program, with its passes, its plan and an arena for each run. Where what it does depends on numbers that only
/// a run has, as a loop's end or the count of what a filter leaves, it is interpreted, node after node.
public struct ImportedModel: Sendable {
    public enum Form: Sendable {
        case program(Program)
        /// Because of `why` it is no program.
        case interpreted(ONNXModel, why: String)
    }

    public let form: Form
    public let inputs: [ONNXModel.Port]
    public let outputs: [ONNXModel.Port]
    public let opsets: [String: Int]
    public let producer: String
    public let limits: ONNXLimits
    /// Of a program's outputs.
    private let kinds: [ElementKind]
    private let inputNames: Set<String>

    /// - Parameter passes: what a program is optimised with.
    /// - Throws: `ONNXError.unsupported` where an operator can't be computed.
    public init(_ model: ONNXModel, passes: [Pass] = Pass.all) throws(ONNXError) {
        try self.init(model, passes, openAxes: 0)
    }

    /// - Parameter openAxes: how many of each input's first axes have symbols for sizes whatever the model says, one for each number; such a program is to
    ///   be compared with the model as it is.
    package init(_ model: ONNXModel, _ passes: [Pass] = Pass.all, openAxes: Int) throws(ONNXError) {
        if let first = model.unsupported.first {
            throw .unsupported(domain: first.domain, operator: first.type, opset: first.opset, first.reason)
        }
        (inputs, outputs, opsets, producer, limits) = (model.inputs, model.outputs, model.opsets, model.producer, model.limits)
        inputNames = Set(model.inputs.map(\.name))
        do {
            let (program, kinds) = try Program.traced(model, openAxes: openAxes)
            var passes = passes
            if model.hasByteWeights, passes.contains(where: { $0.name == Pass.quantisationRecognition.name }) { passes.append(.byteWeightRecognition) }
            (form, self.kinds) = (.program(try program.optimised(passes)), kinds)
        } catch {
            (form, kinds) = (.interpreted(model, why: (error as? TensorError)?.facts ?? "\(error)"), [])
        }
    }

    /// Runs the model.
    ///
    /// - Parameter values: by the inputs' names.
    /// - Returns: in the outputs' order.
    /// - Throws: `ONNXError`: an input that is missing or doesn't fit, a limit, a node whose inputs don't fit it.
    public func run(_ values: [String: ONNXValue]) throws -> [ONNXValue] {
        switch form {
        case .interpreted(let model, _): try model.run(values)
        case .program(let program): try run(program, values)
        }
    }

    private func run(_ program: Program, _ values: [String: ONNXValue]) throws -> [ONNXValue] {
        var given: [Tensor] = []
        for port in inputs {
            guard let value = values[port.name] else { throw ONNXError.input(name: port.name, "is missing") }
            try port.check(value)
            guard case .tensor(let tensor, _) = value else { throw ONNXError.input(name: port.name, "isn't a tensor of numbers") }
            given.append(tensor)
        }
        if let name = values.keys.first(where: { !inputNames.contains($0) }) {
            throw ONNXError.input(name: name, "isn't one of the model's: \(inputs.map(\.name).joined(separator: ", "))")
        }
        do {
            let plan = try program.plan(for: given), bytes = max(plan.bytes, plan.largestValue)
            guard bytes <= limits.bytes else { throw ONNXError.limit(place: "program", "would take \(bytes) bytes, the limit is \(limits.bytes)") }
            if let (step, work) = plan.heaviest, work > Double(limits.work) {
                throw ONNXError.tooLong(place: "program", "its \(step) would take \(Int(min(work, 0x1p62))) operations, the limit is \(limits.work)")
            }
            return zip(try program.run(given, until: .now + limits.time), kinds).map { .tensor($0, $1) }
        } catch let error as TensorError {
            if case .outOfMemory = error.reason { throw ONNXError.limit(place: "program", error.facts) }
            throw ONNXError.graph(error.facts)
        }
    }
}

extension ONNXModel {
    /// Whether weights lie in the file as whole numbers with scales.
    fileprivate var hasByteWeights: Bool {
        graph.nodes.contains { node in node.type == "DequantizeLinear" && node.inputs.first.map { initializers[$0] != nil } ?? false }
    }
}

extension Program {
    /// The program of a model of the ONNX format: its graph, run once by `Program.trace`. Sizes to which the model gives names, and those that it leaves
    /// open, are symbols; what it computes of sizes is done while it is traced, with expressions of them.
    ///
    /// It can do less than the model where sizes are symbols: an axis is stretched only where its size is the number 1, and positions beyond an axis'
    /// end are refused, not passed over.
    ///
    /// - Throws: `ONNXError`: an operator that isn't supported, or that a program can't have; an input or output that is no tensor of numbers, or whose rank
    ///   isn't said. As `Program.trace`, where what the model does depends on numbers that only a run has.
    public init(onnx model: ONNXModel) throws {
        if let first = model.unsupported.first {
            throw ONNXError.unsupported(domain: first.domain, operator: first.type, opset: first.opset, first.reason)
        }
        self = try Self.traced(model, openAxes: 0).program
    }

    fileprivate static func traced(_ model: ONNXModel, openAxes: Int) throws -> (program: Program, outputs: [ElementKind]) {
        var kinds: [ElementKind] = []
        let inputs = try model.inputs.enumerated().map { i, port in (name: port.name, spec: try port.spec(place: i, openAxes: openAxes)) }
        let program = try traced(inputs: inputs) { tensors in
            var values = model.initializers
            for (port, tensor) in zip(model.inputs, tensors) { values[port.name] = port.kind.map { .tensor(tensor, $0) } }
            let made = try ModelRun(model, isTracing: true).run(model.graph, model.opsets, values, outer: nil, depth: 0)
            return try zip(model.outputs, made).map { port, value in
                switch value {
                case .tensor(let tensor, let kind):
                    kinds.append(kind)
                    return (port.name, tensor)
                case .sizes(let sizes):
                    kinds.append(sizes.kind)
                    return (port.name, try sizes.tensor())
                default: throw ONNXError.graph("the output '\(port.name)' isn't a tensor of numbers")
                }
            }
        }
        return (program, kinds)
    }
}

extension ONNXModel.Port {
    /// What a program takes for it: sizes that the model leaves open are symbols, by their names, or by where they stand.
    fileprivate func spec(place: Int, openAxes: Int) throws -> TensorSpec {
        guard let kind, kind != .string else { throw ONNXError.input(name: name, "isn't a tensor of numbers") }
        guard let sizes else { throw ONNXError.input(name: name, "has a rank that the model doesn't say") }
        guard sizes.count <= Shape.maximumRank else { throw ONNXError.input(name: name, "has \(sizes.count) axes") }
        let dimensions = try sizes.enumerated().map { axis, size in
            if let number = size.size {
                guard number <= ONNXLimits.axis else { throw ONNXError.limit(place: "input '\(name)'", "a size of \(number)") }
                return axis < openAxes && number > 1 ? Dimension.symbol("n\(number)") : Dimension(number)
            }
            // Names stay in a table for good: a long one is as well called by its place.
            if let symbol = size.name, !symbol.isEmpty, symbol.utf8.count <= 64 { return Dimension.symbol(symbol) }
            return Dimension.symbol("input\(place).\(axis)")
        }
        return TensorSpec(Shape(of: dimensions), kind.carrier)
    }
}
