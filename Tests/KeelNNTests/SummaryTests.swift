import Keel
import KeelNN
import Testing

private struct Net: Layer {
    var block: ConvNorm2D
    var head: Linear
    var scale: Tensor

    init() throws(TensorError) {
        var generator = Philox(seed: 1)
        block = try ConvNorm2D(3, 8, kernel: 3, stride: 2, using: &generator)
        head = try Linear(8, 5, using: &generator)
        scale = try .ones([5])
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(block(x, in: context).globalAveragePool2D(), in: context) * scale
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try block.forEachState(body, under: "block")
        try head.forEachState(body, under: "head")
        try body("scale", .parameter, &scale)
    }
}

@Test func aSummaryTellsWhatEachLayerCosts() throws {
    let summary = try summary(Net(), input: .zeros([2, 3, 16, 16]))
    let rows = Dictionary(uniqueKeysWithValues: summary.rows.map { ($0.layer, $0) })
    #expect(summary.rows.map(\.layer) == ["block.conv", "block.norm", "head", ""])
    #expect(rows["block.conv"]?.flops == 2 * 2 * 8 * 8 * 8 * 27)
    #expect(rows["block.conv"]?.output == [2, 8, 8, 8])
    #expect(rows["block.norm"]?.parameters == 16 && rows["block.norm"]?.stateBytes == 128)
    // Normalisation, ReLU and pooling: the layer before the head ends with the pooled channels.
    #expect(rows["block.norm"]?.output == [2, 8])
    #expect(rows["head"]?.flops == 2 * 2 * 5 * 8 + 10)
    #expect(summary.parameters == 8 * 27 + 16 + 45 + 5)
}

@Test func theTableOfASummaryIsExact() throws {
    var generator = Philox(seed: 1)
    let net = Sequential([try Linear(4, 300, using: &generator), Activation.relu, try Linear(300, 2, hasBias: false, using: &generator)] as [any Layer])
    #expect(
        try "\(summary(net, input: .zeros([8, 4])))" == """
            layer     output  parameters   FLOPs    state  activations
            ----------------------------------------------------------
            0       [8, 300]       1,500  24,000  5.9 KiB     18.8 KiB
            2         [8, 2]         600   9,600  2.3 KiB         64 B
            ----------------------------------------------------------
            in all                 2,100  33,600  8.2 KiB     18.8 KiB
            """)
}

@Test func aModuleWithSeveralInputsIsCalledByItsCaller() throws {
    var generator = Philox(seed: 1)
    let net = try UNetUp(4, skip: 2, 3, using: &generator)
    let summary = try summary(of: net) { try $0(.zeros([1, 4, 3, 3]), skip: .zeros([1, 2, 6, 6]), in: .prediction) }
    #expect(summary.rows.map(\.layer) == ["up", "first.conv", "first.norm", "second.conv", "second.norm"])
    #expect(summary.rows.last?.output == [1, 3, 6, 6])
}
