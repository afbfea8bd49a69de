import Foundation
import Keel
import KeelProgram
import Testing

private let x = Message.value("x"), y = Message.value("y")

private func run(_ model: Message, _ values: [String: ONNXValue] = [:], limits: ONNXLimits = ONNXLimits()) throws -> Tensor {
    guard case .tensor(let tensor, _) = try ONNXModel(model.bytes, limits: limits).run(values)[0] else { throw ONNXError.graph("no tensor") }
    return tensor
}

private func error(_ model: Message, _ values: [String: ONNXValue] = [:], limits: ONNXLimits = ONNXLimits()) -> String {
    do {
        return "\(try run(model, values, limits: limits).shape)"
    } catch {
        return "\(error)"
    }
}

@Test func inputsAreCheckedAgainstTheModel() throws {
    let model = Message.addition(.floats("w", [2], raw: Message.two))
    #expect(error(model) == "input 'x': is missing")
    #expect(error(model, ["x": ONNXValue(try Tensor([Float(1)], [1, 1]))]) == "input 'x': has the shape [1, 1], the model takes [n, 2]")
    #expect(error(model, ["x": ONNXValue(try Tensor([1.0, 2], [1, 2]))]) == "input 'x': is float64, the model takes float32")
    let fine = ONNXValue(try Tensor([Float(1), 2], [1, 2]))
    #expect(error(model, ["x": fine, "z": fine]) == "input 'z': isn't one of the model's: x")
}

/// Each would take more memory than there is: the limit is named before anything is allocated.
@Test(arguments: [
    ("Expand", [1 << 20, 1 << 20]), ("ConstantOfShape", [1 << 20, 1 << 20]), ("Tile", [1 << 40]), ("ConstantOfShape", [1 << 58]),
] as [(String, [Int])]) func valuesThatAreTooLargeAreNotBegun(type: String, sizes: [Int]) {
    let shape = Message.ints("s", [sizes.count], sizes)
    let inputs = type == "ConstantOfShape" ? ["s"] : ["v", "s"]
    let model = Message.model(.graph([.node(type, inputs, ["y"])], [], [y], initializers: [shape, .ints("v", [1], [1])]))
    let text = error(model)
    #expect(text.contains("the limit is 4294967296 for all"), "\(type): \(text)")
}

@Test func aShapeBeyondAllIsAValueThatIsTooLarge() throws {
    let model = Message.model(.graph([.node("ConstantOfShape", ["s"], ["y"])], [], [y], initializers: [.ints("s", [3], [1 << 20, 1 << 20, 1 << 20])]))
    #expect(throws: ONNXError.limit(place: "node ConstantOfShape that makes 'y'", "would make a value of the shape [1048576, 1048576, 1048576], the limit is 4294967296 bytes for all")) {
        try run(model)
    }
}

@Test func stringsAreJoinedAndTakenByTheirPlaces() throws {
    func texts(_ name: String, _ dims: [Int], _ texts: [String]) -> Message { texts.reduce(dims.reduce(Message()) { $0.int(1, $1) }.int(2, 8).text(8, name)) { $0.text(6, $1) } }
    let model = Message.model(
        .graph(
            [.node("Concat", ["a", "b"], ["c"], [.attribute("axis", int: 1)]), .node("Gather", ["c", "i"], ["y"], [.attribute("axis", int: 1)])], [], [.value("y", 8)],
            initializers: [texts("a", [2, 2], ["p", "q", "r", "s"]), texts("b", [2, 1], ["t", "u"]), .ints("i", [2], [-1, 0])]))
    guard case .strings(let found, let shape) = try ONNXModel(model.bytes).run([:])[0] else { throw ONNXError.graph("no strings") }
    #expect(found == ["t", "p", "u", "r"] && shape == [2, 2])
}

@Test func valuesThatGrowInALoopMeetTheLimit() {
    // Each pass doubles what is carried.
    let body = Message.graph(
        [.node("Concat", ["v", "v"], ["w"], [.attribute("axis", int: 0)]), .node("Identity", ["c"], ["d"])],
        [.value("i", 7), .value("c", 9), .value("v", 7)], [.value("d", 9), .value("w", 7)])
    let model = Message.model(
        .graph([.node("Loop", ["m", "", "s"], ["y"], [.attribute("body", graph: body)])], [], [y], initializers: [.ints("m", [], [1 << 62]), .ints("s", [4], [1, 2, 3, 4])]))
    var limits = ONNXLimits()
    limits.bytes = 64 << 20
    #expect(error(model, limits: limits).contains("67108864"))
}

@Test func anEndlessLoopIsCutByStepsAndByTime() {
    let body = Message.graph([.node("Identity", ["c"], ["d"])], [.value("i", 7), .value("c", 9)], [.value("d", 9)])
    let model = Message.model(
        .graph(
            [.node("Loop", ["m", ""], [], [.attribute("body", graph: body)]), .node("Identity", ["m"], ["y"])], [], [y], initializers: [.ints("m", [], [1 << 62])]))
    var limits = ONNXLimits()
    limits.steps = 1000
    #expect(error(model, limits: limits).contains("took more than 1000 nodes"))
    limits.steps = .max
    limits.time = .milliseconds(20)
    #expect(error(model, limits: limits).contains("took longer than"))
}

@Test func aLoopThatDoesNothingIsCutToo() {
    let body = Message.graph([], [.value("i", 7), .value("c", 9)], [.value("c", 9)])
    let model = Message.model(
        .graph(
            [.node("Loop", ["m", ""], [], [.attribute("body", graph: body)]), .node("Identity", ["m"], ["y"])], [], [y], initializers: [.ints("m", [], [1 << 62])]))
    var limits = ONNXLimits()
    limits.steps = 1000
    #expect(error(model, limits: limits).contains("took more than 1000 nodes"))
}

@Test func innerGraphsSeeTheNamesAroundThem() throws {
    func branch(_ type: String, _ name: String) -> Message { .graph([.node(type, ["x", "w"], [name])], [], [.value(name)]) }
    let model = Message.model(
        .graph(
            [.node("If", ["c"], ["y"], [.attribute("then_branch", graph: branch("Add", "a")), .attribute("else_branch", graph: branch("Sub", "b"))])],
            [x, .value("c", 9)], [y], initializers: [.floats("w", [2], raw: Message.two)]))
    let five = ONNXValue(try Tensor([Float(5), 5]))
    #expect(try run(model, ["x": five, "c": ONNXValue(Tensor(true))]).elements() == [6, 7])
    #expect(try run(model, ["x": five, "c": ONNXValue(Tensor(false))]).elements() == [4, 3])
}

@Test func functionsTakeTheirCallersAttributes() throws {
    // f(x; axis) = ReduceSum-like: Softmax's axis stands for any.
    let inner = Message.node("Concat", ["a", "a"], ["b"], [Message().text(1, "axis").int(20, 2).text(21, "where")])
    let function = Message().text(1, "twice").texts(4, ["a"]).texts(5, ["b"]).texts(6, ["where"]).message(7, inner).message(9, Message().int(2, 17)).text(10, "d")
    let model = Message.model(
        .graph([.node("twice", ["x"], ["y"], [.attribute("where", int: 1)], domain: "d")], [x], [y]), functions: [function], more: [Message().text(1, "d").int(2, 1)])
    #expect(try run(model, ["x": ONNXValue(Tensor([Float(1), 2], [1, 2]))]).elements() == [1, 2, 1, 2])
    #expect(try run(model, ["x": ONNXValue(Tensor([Float(1), 2], [1, 2]))]).shape == [1, 4])
}

@Test func unsupportedOperatorsAreListedByOpset() throws {
    let model = try ONNXModel(
        Message.model(
            .graph([.node("NoSuchOp", ["x"], ["a"]), .node("NoSuchOp", ["a"], ["b"]), .node("Scatter", ["b", "b", "b"], ["y"])], [x], [y])
        ).bytes)
    #expect(model.unsupported.map(\.type) == ["NoSuchOp", "Scatter"])
    #expect(model.unsupported.map(\.count) == [2, 1])
    #expect(model.unsupported.map(\.reason) == ["isn't known", "known in opsets 9 to 10"])
    #expect(model.unsupported.allSatisfy { $0.opset == 17 })
}

/// The whole numbers wrap, as the standard's unsigned kinds do.
@Test(arguments: [(2, 250, 10, 4), (4, 65530, 10, 4), (3, 120, 10, -126), (12, 4_294_967_290, 10, 4)]) func narrowWholeNumbersWrap(kind: Int, a: Int, b: Int, sum: Int) throws {
    func number(_ name: String, _ value: Int) -> Message {
        let head = Message().int(2, kind).text(8, name)
        return kind == 12 ? head.int(11, value) : head.int(5, value)
    }
    let model = Message.model(
        .graph([.node("Add", ["a", "b"], ["s"]), .node("Cast", ["s"], ["y"], [.attribute("to", int: 7)])], [], [.value("y", 7)], initializers: [number("a", a), number("b", b)]))
    #expect(try run(model).elements(Int.self) == [sum])
}

/// A node on the constants `a`, `b`, … as its inputs, and its answer.
private func single(_ type: String, _ constants: [Message], _ attributes: [Message] = [], opset: Int = 17, ml: Int? = nil) -> Message {
    let inputs = ["a", "b", "c", "d", "e"].prefix(constants.count)
    return .model(
        .graph([.node(type, Array(inputs), ["y"], attributes, domain: ml == nil ? "" : "ai.onnx.ml")], [], [y], initializers: constants), opset: opset,
        more: ml.map { [Message().text(1, "ai.onnx.ml").int(2, $0)] } ?? [])
}

/// A tree of so many nodes, each of which leads to the next one on both sides.
private func narrowTree(_ count: Int) -> Message {
    let next = (0..<count).map { $0 < count - 1 ? $0 + 1 : 0 }, isLeaf = (0..<count).map { $0 < count - 1 ? 0 : 1 }
    let members = Message().int(1, count).int(2, 2).data(9, [UInt8](repeating: 6, count: count))
    let sets = Message.floats("", [2 * count], raw: (0..<count).flatMap { _ in [0, 0, 128, 63, 0, 0, 192, 127] as [UInt8] })
    return single(
        "TreeEnsemble", [.zeros("a", [1, 1])],
        [
            .attribute("nodes_featureids", ints: next.map { _ in 0 }), .attribute("nodes_truenodeids", ints: next), .attribute("nodes_falsenodeids", ints: next),
            .attribute("nodes_trueleafs", ints: isLeaf), .attribute("nodes_falseleafs", ints: isLeaf), .attribute("nodes_modes", tensor: members),
            .attribute("nodes_splits", tensor: .zeros("", [count])), .attribute("membership_values", tensor: sets),
            .attribute("leaf_weights", tensor: .zeros("", [1])), .attribute("leaf_targetids", ints: [0]), .attribute("tree_roots", ints: [0]),
            .attribute("n_targets", int: 1),
        ], ml: 5)
}

private let huge = 1 << 62

/// Numbers in a file that no arithmetic may trust: each is named, or does no harm and the shape of the answer is told.
private let hostileNodes: [(String, Message, String)] = [
    (
        "a column beyond all", single("TfIdfVectorizer", [.ints("a", [1], [1])], [.attribute("min_gram_length", int: 1), .attribute("max_gram_length", int: 1), .attribute("ngram_counts", ints: [0]), .attribute("ngram_indexes", ints: [.max]), .attribute("pool_int64s", ints: [1]), .attribute("mode", text: "TF")]),
        "ngram_indexes is [9223372036854775807]"
    ),
    (
        "2^62 targets", single("LinearRegressor", [.zeros("a", [1, 4])], [.attribute("targets", int: huge), .attribute("coefficients", floats: [0, 0, 0, 0])], ml: 1),
        "4 coefficients and 0 intercepts for 4611686018427387904 targets of 4 features"
    ),
    (
        "-1 support vectors", single("SVMRegressor", [.zeros("a", [1, 2])], [.attribute("n_supports", int: -1), .attribute("coefficients", floats: []), .attribute("rho", floats: [0])], ml: 1),
        "-1 support vectors"
    ),
    (
        "one row of scores for three classes", single("SVMClassifier", [.zeros("a", [1, 2])], [.attribute("classlabels_ints", ints: [0, 1, 2]), .attribute("coefficients", floats: [0, 0]), .attribute("rho", floats: [0]), .attribute("post_transform", text: "SOFTMAX")], ml: 1),
        "2 coefficients for 2 features and 3 classes"
    ),
    (
        "3000 classes of 2^40 vectors", single("SVMClassifier", [.zeros("a", [1, 2])], [.attribute("classlabels_ints", ints: Array(0..<3000)), .attribute("vectors_per_class", ints: [Int](repeating: 1 << 40, count: 3000)), .attribute("coefficients", floats: [0, 0]), .attribute("rho", floats: [0])], ml: 1),
        "a support vector machine has [1099511627776, "
    ),
    (
        "two lists of categories", single("OneHotEncoder", [Message().int(1, 1).int(2, 8).text(8, "a").text(6, "b")], [.attribute("cats_int64s", ints: [1]), .attribute("cats_strings", texts: ["a", "b"])], ml: 1),
        "[1, 2]"
    ),
    (
        "regions of one number", single("RoiAlign", [.zeros("a", [1, 1, 2, 2]), .zeros("b", [1, 1]), .ints("c", [1], [0])], [.attribute("mode", text: "max")]),
        "takes [n, c, h, w] and boxes [regions, 4], was given [1, 1, 2, 2] and [1, 1]"
    ),
    ("a scan of nothing", single("Scan", [], [.attribute("body", graph: .graph([], [], [])), .attribute("num_scan_inputs", int: 1)], opset: 8), "has no batch"),
    (
        "parts of 2^63 - 1", .model(.graph([.node("SplitToSequence", ["a", "b"], ["s"]), .node("SequenceLength", ["s"], ["y"])], [], [y], initializers: [.zeros("a", [2]), .ints("b", [], [.max])])),
        "[]"
    ),
    (
        "a transposed convolution to -2^63", single("ConvTranspose", [.zeros("a", [1, 1, 2, 2]), .zeros("b", [1, 1, 2, 2])], [.attribute("output_shape", ints: [.min, 1])]),
        "output_shape is [-9223372036854775808, 1]"
    ),
    (
        "a transposed convolution in 2^62 groups", single("ConvTranspose", [.zeros("a", [1, 1, 1]), .zeros("b", [1, 4, 1])], [.attribute("group", int: huge)]),
        "weights [1, 4, 1] in 4611686018427387904 groups don't fit [1, 1, 1]"
    ),
    (
        "a convolution in 2^62 groups", single("Conv", [.zeros("a", [1, 1, 1]), .zeros("b", [0, 4, 1])], [.attribute("group", int: huge)]),
        "weights [0, 4, 1] in 4611686018427387904 groups don't fit [1, 1, 1]"
    ),
    (
        "2^64 windows", single("DeformConv", [.zeros("a", [1, 1, 2, 2]), .zeros("b", [1, 1, 1, 1]), .zeros("c", [1])], [.attribute("pads", ints: [Int](repeating: Int(Int32.max), count: 4))], opset: 19),
        "would make a value of the shape"
    ),
    (
        "2^62 parts of no channel", single("DeformConv", [.zeros("a", [1, 0, 2, 2]), .zeros("b", [0, 0, 1, 1]), .zeros("c", [1])], [.attribute("offset_group", int: huge)], opset: 19),
        "channels don't divide into the groups"
    ),
    (
        "infinitely many samples a second", single("MelWeightMatrix", [.ints("a", [], [1]), .ints("b", [], [4]), .number("c", .infinity), .number("d", 0), .number("e", 1)]),
        "1 bins of 4 from 0.0 to 1.0 Hz at inf Hz"
    ),
    ("a tree of 2^64 ways", narrowTree(64), "[1, 1]"),
    ("a wide shape that holds nothing", single("ConstantOfShape", [.ints("a", [2], [0, 1 << 31])]), "would make a value of 8589934592 bytes"),
    ("quantised to strings", single("QuantizeLinear", [.zeros("a", [1]), .number("b", 1)], [.attribute("output_dtype", int: 8)], opset: 21), "elements of kind 8"),
    ("dequantised to strings", single("DequantizeLinear", [.ints("a", [1], [1]), .number("b", 1)], [.attribute("output_dtype", int: 8)], opset: 23), "elements of kind 8"),
    ("a filter bank of strings", single("MelWeightMatrix", [.ints("a", [], [1]), .ints("b", [], [4]), .number("c", 2), .number("d", 0), .number("e", 1)], [.attribute("output_datatype", int: 8)]), "elements of kind 8"),
    ("attention in strings", single("Attention", [.zeros("a", [1, 1, 1, 1]), .zeros("b", [1, 1, 1, 1]), .zeros("c", [1, 1, 1, 1])], [.attribute("softmax_precision", int: 8)], opset: 23), "elements of kind 8"),
]

@Test(arguments: hostileNodes) func hostileNodesAreRefusedOrDoNoHarm(what: String, model: Message, message: String) {
    let text = error(model)
    #expect(message.hasPrefix("[") ? text == message : text.contains(message), "\(what): \(text)")
}

@Test func powersOfTwoKeepTheirBitsBesideZeros() throws {
    // What pads a float8E8M0 is no power of two: it becomes the least one.
    let a = Message().int(1, 1).int(2, 24).text(8, "a").data(9, [130])
    let model = Message.model(
        .graph([.node("Pad", ["a", "b"], ["p"]), .node("BitCast", ["p"], ["y"], [.attribute("to", int: 2)])], [], [.value("y", 2)], initializers: [a, .ints("b", [2], [1, 0])]), opset: 26)
    #expect(try run(model).cast(to: .int64).elements(Int.self) == [0, 130])
}

/// Each would compute for hours, and makes little or nothing.
@Test(arguments: [
    ("MatMul", [.zeros("a", [64, 64]), .zeros("b", [64, 64])], [], "would take 262144 operations"),
    ("Conv", [.zeros("a", [1, 1, 64, 64]), .zeros("b", [1, 1, 32, 32])], [], "would take 1115136 operations"),
    ("ConvTranspose", [.zeros("a", [1, 1, 64, 64]), .zeros("b", [1, 1, 32, 32])], [], "would take 4194304 operations"),
    ("MaxPool", [.zeros("a", [1, 1, 64, 64])], [.attribute("kernel_shape", ints: [32, 32])], "would take 1115136 operations"),
    ("NonMaxSuppression", [.zeros("a", [1, 512, 4]), .zeros("b", [1, 1, 512]), .ints("c", [1], [512])], [], "would take 262144 operations"),
    ("Einsum", [.zeros("a", [64, 64]), .zeros("b", [64, 64])], [.attribute("equation", text: "ij,jk->ik")], "would take 262144 operations"),
    (
        "RoiAlign", [.zeros("a", [1, 1, 4, 4]), .zeros("b", [64, 4]), .ints("c", [64], [Int](repeating: 0, count: 64))],
        [.attribute("coordinate_transformation_mode", text: "half_pixel")], "would take 262144 operations"
    ),
    (
        "Resize", [.zeros("a", [1, 1, 64, 64]), .zeros("b", [0]), .zeros("c", [0]), .ints("d", [4], [1, 1, 64, 4096])],
        [.attribute("mode", text: "cubic")], "would take 16777216 operations"
    ),
] as [(String, [Message], [Message], String)]) func workIsBounded(type: String, constants: [Message], attributes: [Message], message: String) {
    var limits = ONNXLimits()
    #expect(error(single(type, constants, attributes), limits: limits).hasPrefix("["))
    limits.work = 1 << 17
    let text = error(single(type, constants, attributes), limits: limits)
    #expect(text.contains(message + ", the limit is 131072"), "\(type): \(text)")
}

/// One node each, of many milliseconds.
@Test func timeIsLookedAtWithinTreesAndSupportVectors() {
    let leaf = [
        Message.attribute("nodes_treeids", ints: [0]), .attribute("nodes_nodeids", ints: [0]), .attribute("nodes_featureids", ints: [0]),
        .attribute("nodes_values", floats: [0]), .attribute("nodes_modes", texts: ["LEAF"]), .attribute("nodes_truenodeids", ints: [0]),
        .attribute("nodes_falsenodeids", ints: [0]), .attribute("n_targets", int: 1), .attribute("target_treeids", ints: [0]),
        .attribute("target_nodeids", ints: [0]), .attribute("target_ids", ints: [0]), .attribute("target_weights", floats: [1]),
    ]
    let vectors = [
        Message.attribute("coefficients", floats: [Float](repeating: 1, count: 64)), .attribute("support_vectors", floats: [Float](repeating: 1, count: 64)),
        .attribute("n_supports", int: 64), .attribute("rho", floats: [0]),
    ]
    var limits = ONNXLimits()
    limits.time = .milliseconds(1)
    for (type, rows, attributes) in [("TreeEnsembleRegressor", 3_000_000, leaf), ("SVMRegressor", 200_000, vectors)] {
        let model = single(type, [.zeros("a", [rows, 1])], attributes, ml: 3)
        #expect(error(model) == "[\(rows), 1]")
        #expect(error(model, limits: limits).contains("took longer than"), "\(type)")
    }
}

/// Grams longer than the text, and skips beyond its end, aren't looked for one by one.
@Test func wordsThatAreTooFarApartTakeNoTime() {
    let counts = [Int](repeating: 0, count: 1 << 20)
    let grams = [
        Message.attribute("min_gram_length", int: 1), .attribute("max_gram_length", int: 1 << 20), .attribute("max_skip_count", int: 1 << 20),
        .attribute("ngram_counts", ints: counts), .attribute("ngram_indexes", ints: []), .attribute("pool_int64s", ints: []), .attribute("mode", text: "TF"),
    ]
    #expect(error(single("TfIdfVectorizer", [.ints("a", [3], [1, 2, 3])], grams)) == "[0]")
    var limits = ONNXLimits()
    limits.time = .milliseconds(1)
    let text = Message.ints("a", [3000], [Int](repeating: 1, count: 3000))
    #expect(error(single("TfIdfVectorizer", [text], grams), limits: limits).contains("took longer than"))
}

@Test func aSumOfVeryManyProductsIsRefused() {
    let terms = [String](repeating: "i", count: 33).joined(separator: ",")
    let node = Message.node("Einsum", [String](repeating: "a", count: 33), ["y"], [.attribute("equation", text: terms + "->")])
    let text = error(.model(.graph([node], [], [y], initializers: [.zeros("a", [2])])))
    #expect(text.contains("33 factors, allowed are 32"), "\(text)")
}

/// Limits hold inside of one node, too.
@Test func stepsAndBytesAreCountedWithinNodes() {
    var limits = ONNXLimits()
    limits.steps = 10
    let layer = single("RNN", [.zeros("a", [20, 1, 1]), .zeros("b", [1, 1, 1]), .zeros("c", [1, 1, 1])], [.attribute("hidden_size", int: 1)])
    #expect(error(layer, limits: limits) == "node RNN that makes 'y': the execution took more than 10 nodes")
    #expect(error(single("LRN", [.zeros("a", [1, 1])], [.attribute("size", int: 20)]), limits: limits).contains("took more than 10 nodes"))
    limits = ONNXLimits()
    limits.time = .zero
    #expect(error(single("Relu", [.zeros("a", [1])]), limits: limits).contains("took longer than"))

    // 512 KiB each, 4 MiB in all.
    let body = Message.graph([.node("Expand", ["p", "n"], ["q"])], [.value("p")], [.value("q")])
    let constants = [Message.zeros("a", [16]), .ints("n", [1], [1 << 17])]
    let map = Message.model(
        .graph([.node("SplitToSequence", ["a"], ["s"]), .node("SequenceMap", ["s"], ["t"], [.attribute("body", graph: body)]), .node("SequenceLength", ["t"], ["y"])], [], [y], initializers: constants))
    let scan = Message.model(
        .graph([.node("Scan", ["a"], ["y"], [.attribute("body", graph: body), .attribute("num_scan_inputs", int: 1)])], [], [y], initializers: constants))
    #expect(error(map) == "[]")
    #expect(error(scan) == "[16, 131072]")
    limits = ONNXLimits()
    limits.bytes = 4 << 20
    for model in [map, scan] { #expect(error(model, limits: limits).contains("would make a value of 4194368 bytes")) }
    // Parts that hold nothing are tensors all the same.
    limits.bytes = 1 << 20
    let parts = Message.model(
        .graph([.node("SplitToSequence", ["a"], ["s"]), .node("SequenceLength", ["s"], ["y"])], [], [y], initializers: [.zeros("a", [8192, 0])]))
    #expect(error(parts, limits: limits).contains("would make a value of 2097152 bytes"))
}

@Test func activationsTakeTheNumbersThatAreTheirs() throws {
    // Tanh has no alpha: 2 and 1 are those of the way back.
    let layer = single(
        "RNN", [.zeros("a", [1, 1, 1]), .zeros("b", [2, 1, 1]), .zeros("c", [2, 1, 1])],
        [
            .attribute("hidden_size", int: 1), .attribute("direction", text: "bidirectional"), .attribute("activations", texts: ["Tanh", "Affine"]),
            .attribute("activation_alpha", floats: [2]), .attribute("activation_beta", floats: [1]),
        ])
    #expect(try run(layer).elements() == [0, 1])
}

@Test(arguments: [(7, Int.min, Int.max), (6, Int(Int32.min), Int(Int32.max)), (3, -128, 127), (2, 0, 255), (12, 0, Int(UInt32.max)), (13, 0, -1), (9, 0, 1)])
func extremesOfNothingAreTheirKindsEnds(kind: Int, least: Int, largest: Int) throws {
    for (type, expected) in [("ReduceMax", least), ("ReduceMin", largest)] {
        let model = Message.model(
            .graph(
                [.node(type, ["a"], ["e"]), .node("Cast", ["e"], ["y"], [.attribute("to", int: 7)])], [], [.value("y", 7)],
                initializers: [Message().int(1, 0).int(2, kind).text(8, "a").data(9, [])]), opset: 20)
        #expect(try run(model).elements(Int.self) == [expected], "\(type) of \(kind)")
    }
}

/// A sample of the ONNX project's own test directories (`onnx` 1.18.0, Apache-2.0).
@Test func theSampleOfONNXsOwnCasesPasses() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases").path
    let result = try ONNXVerifier([folder])
    for one in result.cases { #expect(one.outcome == .passed, "\(one.name)") }
    #expect(result.cases.count >= 60)
}

@Test func theVerifierTellsWhatFails() throws {
    let files = FileManager.default, folder = files.temporaryDirectory.appendingPathComponent("onnx-\(UUID().uuidString)").path
    defer { try? files.removeItem(atPath: folder) }
    func write(_ name: String, _ model: Message, output: Message) throws {
        try files.createDirectory(atPath: "\(folder)/\(name)/test_data_set_0", withIntermediateDirectories: true)
        let input = Message.floats("", [1, 2], raw: Message.two)
        for (file, message) in [("model.onnx", model), ("test_data_set_0/input_0.pb", input), ("test_data_set_0/output_0.pb", output)] {
            try Data(message.bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)/\(file)"))
        }
    }
    let same = Message.model(.graph([.node("Identity", ["x"], ["y"])], [x], [y])), right = Message.floats("", [1, 2], raw: Message.two)
    try write("a", same, output: right)
    try write("b", same, output: .floats("", [2], raw: Message.two))
    try write("c", .model(.graph([.node("Abs", ["x"], ["z"]), .node("Add", ["z", "z"], ["y"])], [x], [y])), output: right)
    try write("d", .model(.graph([.node("NoSuchOp", ["x"], ["y"])], [x], [y])), output: right)
    try write("f", same, output: .floats("", [1, 2], raw: [0, 0, 128, 127, 0, 0, 0, 64]))
    try write("e", .model(.graph([.node("Identity", ["x"], ["y"])], [.value("x", 8)], [.value("y", 8)])), output: right)
    let cases = try ONNXVerifier([folder]).cases
    #expect(cases.map(\.name) == ["a", "b", "c", "d", "e", "f"])
    #expect(cases[0].outcome == .passed)
    #expect(cases[1].outcome == .failed("test_data_set_0: output 0: has the shape [1, 2], [2] is expected"))
    #expect(cases[2].outcome == .failed("test_data_set_0: output 0: 2.0 at 0, 1.0 is expected; 2 of 2 differ"))
    #expect(cases[3].outcome == .unsupported("operator NoSuchOp of opset 17 isn't supported: isn't known"))
    #expect(cases[4].outcome == .excluded("strings"))
    #expect(cases[2].subject == "Abs")
    #expect(cases[5].outcome == .failed("test_data_set_0: output 0: 1.0 at 0, inf is expected; 1 of 2 differ"))
}
