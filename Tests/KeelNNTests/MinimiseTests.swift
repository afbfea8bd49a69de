import Keel
import KeelNN
import Testing

/// What the short form of a training step does, and batches of tensors in memory.
@Suite struct MinimiseTests {
    /// `y = 2x` from `y = 0`: at x = 1 the gradient of the squared error is -4.
    private func line() throws -> (layer: Linear, parameters: ParameterStore) {
        var generator = Philox(seed: 1)
        var layer = try Linear(1, 1, hasBias: false, using: &generator)
        layer.weight = try .zeros([1, 1])
        let parameters = try ParameterStore(&layer)
        return (layer, parameters)
    }

    private func loss(_ layer: Linear) throws -> Tensor {
        try layer(.ones([1, 1]), in: .training(seed: 1, step: 0)).meanSquaredError(.full(2, [1, 1]))
    }

    @Test func gradientsFromBeforeDoNotCount() throws {
        let (layer, parameters) = try line()
        let optimizer = try SGD(parameters, learningRate: 0.25)
        try loss(layer).backward()
        try optimizer.minimise(loss(layer))
        #expect(try layer.weight.item() == 1)  // 0 + 0.25 * 4: exact
        #expect(try layer.weight.gradient?.item() == -4)
    }

    @Test func optimisersMoveTogether() throws {
        let (first, firstParameters) = try line(), (second, secondParameters) = try line()
        let optimizers: [any Optimizer] = [
            try SGD(firstParameters, learningRate: 0.25), try SGD(secondParameters, learningRate: 0.125),
        ]
        try optimizers.minimise(loss(first) + loss(second))
        #expect(try first.weight.item() == 1)
        #expect(try second.weight.item() == 0.5)
    }

    @Test func anEpochHasEveryExampleOnceAndKeepsTensorsTogether() throws {
        var batches = try TensorBatches(Tensor.range(10), Tensor.range(10, from: 100), batchSize: 4, shuffledBy: 1)
        #expect(batches.batchesPerEpoch == 3)
        var orders: [[Int64]] = []
        for _ in 0..<2 {
            var order: [Int64] = []
            for size in [4, 4, 2] {
                let batch = try batches.next(), items = try batch[0].elements(Int64.self)
                #expect(items.count == size)
                #expect(try batch[1].elements(Int64.self) == items.map { $0 + 100 })
                order += items
            }
            #expect(order.sorted() == Array(0..<10))
            orders.append(order)
        }
        #expect(orders[0] != orders[1])
        batches.seek(epoch: 1, batch: 1)
        #expect(try batches.next()[0].elements(Int64.self) == Array(orders[1][4..<8]))
        batches.seek(epoch: 0, batch: 2)
        #expect(try batches.next()[0].elements(Int64.self) == Array(orders[0][8...]))
    }

    @Test func withoutASeedTheOrderIsThatOfTheExamples() throws {
        var batches = try TensorBatches(Tensor.range(3), batchSize: 2)
        #expect(try (0..<3).map { _ in try batches.next()[0].elements(Int64.self) } == [[0, 1], [2], [0, 1]])
    }

    @Test func aMetricOfOneBatchLeavesTheMetricAsItWas() throws {
        let logits = try Tensor([1, 0, 0, 1] as [Float], [2, 2]), accuracy = Accuracy()
        #expect(try accuracy.value(of: logits, Tensor([0, 0])) == 0.5)
        #expect(try accuracy.value(of: logits, Tensor([0, 1])) == 1)
    }

    @Test func whatMakesNoBatchIsRefused() throws {
        let three = try Tensor.range(3), four = try Tensor.range(4)
        #expect(throws: TensorError.self) { try TensorBatches(batchSize: 1) }
        #expect(throws: TensorError.self) { try TensorBatches(three, batchSize: 0) }
        #expect(throws: TensorError.self) { try TensorBatches(three, four, batchSize: 1) }
        #expect(throws: TensorError.self) { try TensorBatches(Tensor.range(0), batchSize: 1) }
    }
}
