/// What went wrong in Keel: the reason with its facts, and where.
public struct TensorError: Error, Equatable, Sendable, CustomStringConvertible {
    public indirect enum Reason: Equatable, Sendable {
        case innerDimensions(primitive: String, Shape, Shape)
        case notBroadcastable(primitive: String, Shape, Shape)
        case rank(primitive: String, expected: String, Shape)
        case shape(primitive: String, expected: String, Shape)
        case dtype(primitive: String, expected: String, DType)
        case dtypesDiffer(primitive: String, DType, DType)
        case axisOutOfRange(primitive: String, axis: Int, Shape)
        case indexOutOfRange(primitive: String, position: Int, index: Int, limit: Int)
        case labelOutOfRange(row: Int, label: Int, classes: Int)
        case argument(primitive: String, name: String, given: String, allowed: String)
        case matrix(primitive: String, index: Int, MatrixFault)
        case elementCount(given: Int, Shape)
        case invalidShape([Int])
        case symbolicDimension(Dimension)
        case devicesDiffer(primitive: String, String, String)
        case notScalar(Shape)
        case noGradient(String)
        case graphReleased(primitive: String)
        case changedInPlace(primitive: String, input: Int)
        case higherOrder(primitive: String)
        /// A primitive, or its gradient, made a NaN or an infinity of finite numbers. The error's call stack is that of the primitive's call.
        case notFinite(primitive: String, isGradient: Bool, number: String)
        case outOfMemory(bytes: Int)
        case numericLibrary(String)
        case file(path: String, String)
        case malformedFile(path: String, String)
        case unsafeFormat(path: String, String)
        case tooManyTensors(path: String, count: Int, limit: Int)
        case missingState(name: String, path: String)
        case unexpectedState(name: String, path: String)
        case stateMismatch(name: String, expected: String, given: String)
        /// Of a tensor that is traced, something was wanted that only a running program has.
        case traced(wanted: String)
        case custom(String)
    }

    public let reason: Reason
    /// The layer in which it happened, such as `encoder.conv1`, as far as the names of the parameters involved tell.
    public internal(set) var layerPath: String?
    /// Whether it was made while a program was traced, or by a program of what was traced.
    private var isOfProgram: Bool
    /// Addresses of the calls that led here; its description has them as text.
    public internal(set) var callStack: CallStack

    public init(_ reason: Reason, layerPath: String? = nil) { self.init(reason, layerPath: layerPath, calledFrom: .capture()) }

    init(_ reason: Reason, layerPath: String? = nil, calledFrom callStack: CallStack) {
        self.reason = reason
        self.layerPath = layerPath
        self.callStack = callStack
        isOfProgram = ThreadState.current.trace != nil
    }

    /// The same error as one of a call that was traced earlier.
    package func calledFrom(_ callStack: CallStack) -> TensorError {
        var error = self
        error.callStack = callStack
        error.isOfProgram = true
        return error
    }

    public static func == (a: TensorError, b: TensorError) -> Bool { a.reason == b.reason }

    public var description: String { namesLine ? callStack.callersLine.map { "\(facts) (at \($0))" } ?? facts : facts }

    /// The description without a line: where the caller is no code that anybody wrote, as when a file's graph is run.
    package var facts: String { layerPath.map { "\(message) (in layer \($0))" } ?? message }

    /// Whether the line isn't where the error is thrown, or is what is looked for.
    private var namesLine: Bool {
        if case .notFinite = reason { return true }
        return isOfProgram
    }

    private var message: String {
        switch reason {
        case .innerDimensions(let primitive, let a, let b):
            "\(primitive): the inner dimensions of \(a) and \(b) differ: the last axis of the first must equal the last but one of the second"
        case .notBroadcastable(let primitive, let a, let b):
            "\(primitive): \(a) and \(b) don't broadcast: aligned at the end, each pair of axes must be equal or have a 1"
        case .rank(let primitive, let expected, let shape): "\(primitive): needs \(expected), was given \(shape)"
        case .shape(let primitive, let expected, let shape): "\(primitive): needs \(expected), was given \(shape)"
        case .dtype(let primitive, let expected, let dtype): "\(primitive): needs \(expected), was given \(dtype)"
        case .dtypesDiffer(let primitive, let a, let b): "\(primitive): \(a) and \(b) don't mix; cast one of them"
        case .axisOutOfRange(let primitive, let axis, let shape): "\(primitive): \(shape) has no axis \(axis)"
        case .indexOutOfRange(let primitive, let position, let index, let limit):
            "\(primitive): index \(index) at position \(position) isn't in \(-limit)..<\(limit)"
        case .labelOutOfRange(let row, let label, let classes): "label \(label) of row \(row) isn't in 0..<\(classes)"
        case .argument(let primitive, let name, let given, let allowed): "\(primitive): \(name) is \(given), allowed is \(allowed)"
        case .matrix(let primitive, let index, let fault): "\(primitive): matrix \(index) of the stack \(fault)"
        case .elementCount(let given, let shape): "\(given) elements don't fill the shape \(shape)"
        case .invalidShape(let sizes): "\(sizes) is no shape: at most eight sizes, none negative, and a product of at most 2^59"
        case .symbolicDimension(let dimension): "the dimension \(dimension) has no number until the program runs"
        case .devicesDiffer(let primitive, let a, let b): "\(primitive): inputs lie on the devices \(a) and \(b); move one of them"
        case .notScalar(let shape): "needs a tensor with one element, was given \(shape)"
        case .noGradient(let what): "\(what) doesn't depend on anything that requires a gradient"
        case .graphReleased(let primitive): "\(primitive): the graph was released by an earlier backward pass; ask that pass to keep it"
        case .changedInPlace(let primitive, let input):
            "\(primitive): tensor \(input) that its gradient reads was changed in place since; run backward before the update, or copy the tensor"
        case .higherOrder(let primitive): "\(primitive): has no derivative of second order"
        case .notFinite(let primitive, let isGradient, let number):
            "\(primitive): \(isGradient ? "its gradient " : "")made \(number) of finite numbers"
        case .outOfMemory(let bytes): "no memory for \(bytes) bytes"
        case .numericLibrary(let what): what
        case .file(let path, let what): "\(path): \(what)"
        case .malformedFile(let path, let what): "\(path): not a sound safetensors file: \(what)"
        case .unsafeFormat(let path, let what): "\(path): \(what); save the weights as safetensors instead"
        case .tooManyTensors(let path, let count, let limit): "\(path): holds \(count) tensors or more, allowed are \(limit)"
        case .missingState(let name, let path): "\(path): has no tensor '\(name)', which the layer needs"
        case .unexpectedState(let name, let path): "\(path): has a tensor '\(name)', which the layer doesn't know"
        case .stateMismatch(let name, let expected, let given): "'\(name)' is \(given), the layer needs \(expected)"
        case .traced(let wanted): "a traced tensor has no numbers until its program runs, so \(wanted)"
        case .custom(let what): what
        }
    }
}

// `throw .rank(...)` wherever the error type is known.
extension TensorError {
    static func innerDimensions(primitive: String, _ a: Shape, _ b: Shape) -> TensorError { TensorError(.innerDimensions(primitive: primitive, a, b)) }
    static func notBroadcastable(primitive: String, _ a: Shape, _ b: Shape) -> TensorError { TensorError(.notBroadcastable(primitive: primitive, a, b)) }
    static func rank(primitive: String, expected: String, _ shape: Shape) -> TensorError { TensorError(.rank(primitive: primitive, expected: expected, shape)) }
    static func shape(primitive: String, expected: String, _ shape: Shape) -> TensorError { TensorError(.shape(primitive: primitive, expected: expected, shape)) }
    static func dtype(primitive: String, expected: String, _ dtype: DType) -> TensorError { TensorError(.dtype(primitive: primitive, expected: expected, dtype)) }
    static func axisOutOfRange(primitive: String, axis: Int, _ shape: Shape) -> TensorError { TensorError(.axisOutOfRange(primitive: primitive, axis: axis, shape)) }
    static func argument(primitive: String, name: String, given: some CustomStringConvertible, allowed: String) -> TensorError {
        TensorError(.argument(primitive: primitive, name: name, given: given.description, allowed: allowed))
    }
    static func invalidShape(_ sizes: [Int]) -> TensorError { TensorError(.invalidShape(sizes)) }
    static func symbolicDimension(_ dimension: Dimension) -> TensorError { TensorError(.symbolicDimension(dimension)) }
}
