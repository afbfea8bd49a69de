internal import Keel

/// A node about to be computed: its inputs and attributes, in the form that operators ask for them.
struct OperatorCall {
    let node: ONNX.Node
    let opset: Int
    let inputs: [ONNXValue?]
    let attributes: [String: ONNX.Attribute]
    let execution: ModelRun
    let scope: ModelRun.Scope

    func wrong(_ what: String) -> ONNXError { .node(name: node.name, operator: node.type, what) }

    func unsupported(_ what: String) -> ONNXError { .unsupported(domain: node.domain, operator: node.type, opset: opset, what) }

    // Inputs.

    func has(_ i: Int) -> Bool {
        guard i < inputs.count, let value = inputs[i] else { return false }
        if case .none = value { return false }
        return true
    }

    func value(_ i: Int) throws -> ONNXValue {
        guard has(i), let value = inputs[i] else { throw wrong("input \(i) is missing") }
        if case .sizes(let sizes) = value { return .tensor(try sizes.tensor(), sizes.kind) }
        return value
    }

    func tensor(_ i: Int) throws -> Tensor {
        guard case .tensor(let tensor, _) = try value(i) else { throw wrong("input \(i) isn't a tensor of numbers") }
        return tensor
    }

    func optional(_ i: Int) throws -> Tensor? { has(i) ? try tensor(i) : nil }

    func kind(_ i: Int) throws -> ElementKind {
        guard has(i) else { throw wrong("input \(i) is missing") }
        guard let kind = inputs[i]?.kind else { throw wrong("input \(i) isn't a tensor") }
        return kind
    }

    /// All tensors from `first` on.
    func tensors(from first: Int = 0) throws -> [Tensor] {
        guard inputs.count > first else { throw wrong("has no input") }
        return try (first..<inputs.count).map(tensor)
    }

    /// The whole numbers of a small tensor.
    func ints(_ i: Int) throws -> [Int] {
        let tensor = try tensor(i)
        guard !tensor.dtype.isFloat else { throw wrong("input \(i) holds \(tensor.dtype), whole numbers are expected") }
        return try tensor.cast(to: .int64).elements(Int.self)
    }

    func int(_ i: Int) throws -> Int {
        let numbers = try ints(i)
        guard numbers.count == 1 else { throw wrong("input \(i) holds \(numbers.count) numbers, one is expected") }
        return numbers[0]
    }

    /// The sizes that an input names; while a model is traced, expressions too.
    func dimensions(_ i: Int) throws -> [Dimension] {
        try sizes(i).map { size in
            guard let dimension = size.dimension else { throw wrong("input \(i) holds a negative size") }
            return dimension
        }
    }

    func double(_ i: Int) throws -> Double {
        let tensor = try tensor(i)
        guard tensor.count == 1 else { throw wrong("input \(i) holds \(tensor.count) numbers, one is expected") }
        return try tensor.cast(to: .float64).elements(Double.self)[0]
    }

    // Attributes.

    func int(_ name: String) -> Int? { attributes[name].map { Int($0.int) } }
    func int(_ name: String, _ standard: Int) -> Int { int(name) ?? standard }
    func flag(_ name: String, _ standard: Bool = false) -> Bool { int(name).map { $0 != 0 } ?? standard }
    func ints(_ name: String) -> [Int]? { attributes[name].map { $0.ints.map(Int.init) } }
    func float(_ name: String) -> Double? { attributes[name].map { Double($0.float) } }
    func float(_ name: String, _ standard: Double) -> Double { float(name) ?? standard }
    func floats(_ name: String) -> [Float]? { attributes[name]?.floats }
    func string(_ name: String) -> String? { attributes[name].map { String(decoding: $0.string, as: UTF8.self) } }
    func string(_ name: String, _ standard: String) -> String { string(name) ?? standard }
    func strings(_ name: String) -> [String]? { attributes[name].map { $0.strings.map { String(decoding: $0, as: UTF8.self) } } }
    func constant(_ name: String) throws -> ONNXValue? {
        guard let data = attributes[name]?.tensor else { return nil }
        try execution.reserve(data.valueBytes, for: node)
        return try ONNXValue(data, in: execution.model.external)
    }

    /// The numbers of a tensor attribute, as doubles.
    func numbers(_ name: String) throws -> [Double]? {
        guard let value = try constant(name) else { return nil }
        guard case .tensor(let tensor, _) = value else { throw wrong("attribute '\(name)' doesn't hold numbers") }
        return try tensor.cast(to: .float64).elements(Double.self)
    }

    func graph(_ name: String) throws -> ONNX.Graph {
        guard let graph = attributes[name]?.graph else { throw wrong("has no graph '\(name)'") }
        return graph
    }

    func required<T>(_ value: T?, _ name: String) throws -> T {
        guard let value else { throw wrong("has no attribute '\(name)'") }
        return value
    }

    /// An axis counted from the front.
    func axis(_ axis: Int, rank: Int) throws -> Int {
        let place = axis < 0 ? axis + rank : axis
        guard place >= 0, place < rank else { throw wrong("axis \(axis) isn't one of \(rank)") }
        return place
    }

    func axes(_ axes: [Int], rank: Int) throws -> [Int] {
        let places = try axes.map { try axis($0, rank: rank) }
        guard Set(places).count == places.count else { throw wrong("names an axis twice: \(axes)") }
        return places
    }

    /// Axes that newer opsets have as input `i`, and older ones as an attribute; nil where neither is there.
    func axes(input i: Int, rank: Int) throws -> [Int]? {
        if has(i) { return try axes(ints(i), rank: rank) }
        return try ints("axes").map { try axes($0, rank: rank) }
    }

    /// What is made of the attributes, once for all runs of the model. In inner graphs, where names may be another's, for each run.
    func prepared<Value: Sendable>(_ make: () throws -> Value) throws -> Value {
        guard scope.depth == 0, let name = node.outputs.first(where: { !$0.isEmpty }) else { return try make() }
        if let known = execution.model.prepared.withLock({ $0[name] }) as? Value { return known }
        let made = try make()
        execution.model.prepared.withLock { $0[name] = made }
        return made
    }

    // Results.

    /// Says no before a value is made that is too large. Empty axes count as 1: what operators compute of the others is there all the same.
    @discardableResult func reserve(_ sizes: some Sequence<Int>, _ dtype: DType) throws -> Shape {
        let sizes = Array(sizes), shape: Shape
        do {
            shape = try Shape(checking: sizes)
        } catch {
            guard sizes.count <= Shape.maximumRank, sizes.allSatisfy({ $0 >= 0 }) else { throw error }
            throw ONNXError.limit(place: "node \(node.label)", "would make a value of the shape \(sizes), the limit is \(execution.model.limits.bytes) bytes for all")
        }
        let (bytes, overflow) = shape.breadth.multipliedReportingOverflow(by: dtype.width)
        try execution.reserve(overflow ? .max : bytes, for: node)
        return shape
    }

    /// The same of sizes that may be symbols, each of which counts as 1: what it takes is known when the program runs.
    @discardableResult func reserve(_ dimensions: [Dimension], _ dtype: DType) throws -> Shape {
        let numbers = dimensions.compactMap(\.number)
        if numbers.count == dimensions.count { return try reserve(numbers, dtype) }
        guard dimensions.count <= Shape.maximumRank else { throw TensorError(.invalidShape(numbers)) }
        try reserve(numbers, dtype)
        return Shape(of: dimensions)
    }

    func reserve(work dimensions: [Dimension]) throws { try reserve(work: dimensions.compactMap(\.number)) }

    /// Says no before as many operations are begun as the product of `sizes`.
    func reserve(work sizes: [Int]) throws {
        var work = 1
        for size in sizes {
            let (next, overflow) = work.multipliedReportingOverflow(by: size)
            work = overflow ? .max : next
            if size == 0 { return }
        }
        guard work <= execution.model.limits.work else {
            throw ONNXError.tooLong(place: "node \(node.label)", "would take \(work == .max ? "more than 2^63" : "\(work)") operations, the limit is \(execution.model.limits.work)")
        }
    }

    /// Counts steps of a loop that no bound of `work` covers, and looks at the clock now and then.
    func count(_ steps: Int = 1, into total: inout Int) throws {
        let before = total
        total &+= steps
        if before >> 16 != total >> 16 { try execution.checkTime(at: node) }
    }

    /// The shape that tensors stretch to.
    func broadcast(_ tensors: [Tensor]) throws -> Shape {
        let sizes = try stretched(tensors.map(\.shape.dimensions))
        return try reserve(sizes, tensors.contains { $0.dtype.width == 8 } ? .int64 : .float32)
    }

    /// The sizes that shapes stretch to: aligned at the end, an axis of size 1 takes the others' size.
    func stretched<Size: Equatable & CustomStringConvertible>(_ shapes: [[Size]], one: Size) throws -> [Size] {
        let rank = shapes.map(\.count).max() ?? 0
        return try (0..<rank).map { axis in
            var size = one
            for own in shapes where axis >= rank - own.count {
                let other = own[axis - rank + own.count]
                guard size == one || other == one || size == other else {
                    throw wrong("the shapes \(shapes.map(\.description).joined(separator: ", ")) don't broadcast")
                }
                if other != one { size = other }
            }
            return size
        }
    }

    func stretched(_ shapes: [[Int]]) throws -> [Int] { try stretched(shapes, one: 1) }
    func stretched(_ shapes: [[Dimension]]) throws -> [Dimension] { try stretched(shapes, one: Dimension(1)) }

    /// A result of `kind`, its numbers brought into it.
    func result(_ tensor: Tensor, _ kind: ElementKind) throws -> [ONNXValue] { [.tensor(try kind.settled(tensor), kind)] }

    /// A result of the first input's kind, of numbers that are that kind's already.
    func same(_ tensor: Tensor) throws -> [ONNXValue] { [.tensor(tensor, try kind(0))] }

    func bools(_ tensor: Tensor) -> [ONNXValue] { [.tensor(tensor, .bool)] }
    func ints64(_ tensor: Tensor) -> [ONNXValue] { [.tensor(tensor, .int64)] }
    func ints64(_ numbers: [Int], _ shape: Shape? = nil) throws -> [ONNXValue] { [.tensor(try Tensor(numbers, shape ?? [numbers.count]), .int64)] }
}

extension Tensor {
    /// The size of an axis that a model named.
    func size(at axis: Int) throws(TensorError) -> Int {
        guard (0..<rank).contains(axis) else { throw TensorError(.axisOutOfRange(primitive: "size", axis: axis, shape)) }
        return try shape.size(axis)
    }

    /// The sizes of a tensor whose numbers are there.
    func sizes() throws(TensorError) -> [Int] {
        var result: [Int] = []
        for axis in 0..<rank { result.append(try shape.size(axis)) }
        return result
    }
}
