import Keel
import Testing

private func zeros(_ sizes: Int..., dtype: DType = .float32) throws -> Tensor { try .zeros(Shape(sizes), dtype) }

let visionRejections: [Rejection] = [
    Rejection("GroupNormalization: groups is 4, allowed is a divisor of the 6 channels") { _ = try zeros(2, 6, 3).groupNormalised(groups: 4, scale: zeros(6), bias: zeros(6)) },
    Rejection("GroupNormalization: groups is 0, allowed is a divisor of the 6 channels") { _ = try zeros(2, 6, 3).groupNormalised(groups: 0, scale: zeros(6), bias: zeros(6)) },
    Rejection("GroupNormalization: float32 and float64 don't mix; cast one of them") {
        _ = try zeros(2, 6, 3).groupNormalised(groups: 2, scale: zeros(6), bias: zeros(6, dtype: .float64))
    },
    Rejection("RMSNormalization: needs floats, was given int64") { _ = try zeros(2, dtype: .int64).rmsNormalised(scale: zeros(2)) },
    Rejection("AdaptiveMaxPool2D: size is 0 x 2, allowed is 1 and more") { _ = try zeros(1, 1, 3, 3).adaptiveMaxPool2D(to: (0, 2)) },
    Rejection("AdaptiveAveragePool2D: size is 1 x -1, allowed is 1 and more") { _ = try zeros(1, 1, 3, 3).adaptiveAveragePool2D(to: (1, -1)) },
    Rejection("MaxPool: dilation is (height: 2, width: 2), allowed is 1") { _ = try zeros(1, 1, 3, 3).maxPool2D(kernel: (2, 2), sliding: Sliding(dilation: 2)) },
    Rejection("ConvTranspose: output padding is 0 x 2, allowed is 0 and more, less than the stride or the dilation") {
        _ = try zeros(1, 2, 3, 3).convTranspose2D(zeros(2, 1, 3, 3), sliding: Sliding(stride: 2), outputPadding: (0, 2))
    },
    Rejection("ConvTranspose: needs weights [c, k / 2, kh, kw] that fit [1, 3, 3, 3], c a multiple of 2, was given [3, 1, 3, 3]") {
        _ = try zeros(1, 3, 3, 3).convTranspose2D(zeros(3, 1, 3, 3), groups: 2)
    },
    Rejection("ConvTranspose: height is 1 with 4 of padding, allowed is so much that something is left") {
        _ = try zeros(1, 2, 1, 9).convTranspose2D(zeros(2, 1, 3, 3), sliding: Sliding(padding: 2))
    },
    Rejection("Conv: needs a sequence [n, c, l], was given [2, 3]") { _ = try zeros(2, 3).conv1D(zeros(4, 3, 3)) },
    Rejection("Resize: size is 2 x 0, allowed is 1 and more") { _ = try zeros(1, 1, 3, 3).resized(to: (2, 0)) },
    Rejection("Resize: factor is 0, allowed is 1 and more") { _ = try zeros(1, 1, 3, 3).upsampled(by: 0) },
    Rejection("Resize: needs floats, was given uint8") { _ = try zeros(1, 1, 3, 3, dtype: .uint8).upsampled(by: 2) },
    Rejection("RoiAlign: samples is 65, allowed is 1...64") {
        _ = try zeros(1, 1, 3, 3).regionAligned(boxes: zeros(1, 4), pictures: zeros(1, dtype: .int64), to: (1, 1), samples: 65)
    },
    Rejection("RoiAlign: needs pictures [2], was given [1]") {
        _ = try zeros(1, 1, 3, 3).regionAligned(boxes: zeros(2, 4), pictures: zeros(1, dtype: .int64), to: (1, 1))
    },
    Rejection("RoiAlign: needs int64 pictures, was given int32") {
        _ = try zeros(1, 1, 3, 3).regionAligned(boxes: zeros(1, 4), pictures: zeros(1, dtype: .int32), to: (1, 1))
    },
    Rejection("NonMaximumSuppression: overlap is 1.5, allowed is 0...1") { _ = try zeros(1, 2, 4).nonMaximumSuppression(scores: zeros(1, 1, 2), overlap: 1.5, most: 1) },
    Rejection("NonMaximumSuppression: most is 0, allowed is 1 and more") { _ = try zeros(1, 2, 4).nonMaximumSuppression(scores: zeros(1, 1, 2), most: 0) },
    Rejection("NonMaximumSuppression: needs labels [1, 2], was given [2]") {
        _ = try zeros(1, 2, 4).nonMaximumSuppression(scores: zeros(1, 1, 2), labels: zeros(2, dtype: .int64), most: 1)
    },
    Rejection("boxLoss: needs boxes [..., 4], was given [3]") { _ = try zeros(3).boxLoss(zeros(3)) },
    Rejection("sigmoidFocalLoss: focus is -1.0, allowed is 0 and more") { _ = try zeros(3).sigmoidFocalLoss(zeros(3), focus: -1) },
    Rejection("sigmoidFocalLoss: balance is 2.0, allowed is 0...1") { _ = try zeros(3).sigmoidFocalLoss(zeros(3), balance: 2) },
    Rejection("softmaxFocalLoss: needs labels [3], was given [2]") { _ = try zeros(3, 2).softmaxFocalLoss(zeros(2, dtype: .int64)) },
    Rejection("diceLoss: smoothing is 0.0, allowed is above 0") { _ = try zeros(1, 1, 2).diceLoss(zeros(1, 1, 2), smoothing: 0) },
    Rejection("a region's box doesn't depend on anything that requires a gradient") {
        let boxes = try zeros(1, 4).requiringGradient()
        _ = try zeros(1, 1, 3, 3).requiringGradient().regionAligned(boxes: boxes, pictures: zeros(1, dtype: .int64), to: (1, 1)).gradients(of: [boxes])
    },
]

@Test(arguments: visionRejections)
func aWrongVisionCallIsRefusedWithTheReason(_ rejection: Rejection) throws {
    let error = #expect(throws: TensorError.self) { try rejection.call() }
    #expect(error?.description == rejection.text)
}

@Test func suppressionKeepsTheBestOfThoseThatOverlap() throws {
    // The second overlaps the first by 9/11 and the third by 1/19; the fourth is the first's mirror image, corner for corner; the fifth has no area.
    let boxes = try Tensor.boxes([[0, 0, 10, 10], [1, 0, 11, 10], [10, 0, 20, 10], [10, 10, 0, 0], [30, 30, 30, 30]])
    func chosen(_ scores: [Float], labels: [Int64]? = nil, overlap: Double = 0.5, leastScore: Double = -.infinity, most: Int = 5) throws -> [Int64] {
        let found = try boxes.nonMaximumSuppression(
            scores: Tensor(scores, [1, 1, 5]), labels: labels.map { try Tensor($0, [1, 5]) }, overlap: overlap, leastScore: leastScore, most: most)
        let all = try found.chosen.elements(Int64.self), count = Int(try found.counts.item(Int64.self))
        #expect(all[count...].allSatisfy { $0 == -1 })
        return Array(all[..<count])
    }
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5]) == [0, 2, 4])
    #expect(try chosen([0.5, 0.8, 0.7, 0.6, 0.9]) == [4, 1, 2])
    #expect(try chosen([0.5, 0.5, 0.5, 0.5, 0.5]) == [0, 2, 4], "the first of equals is the better one")
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5], overlap: 0.9) == [0, 1, 2, 4], "the fourth is the first")
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5], overlap: 1) == [0, 1, 2, 3, 4])
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5], overlap: 0.5, leastScore: 0.7) == [0], "a score must be above the least")
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5], most: 2) == [0, 2])
    #expect(try chosen([.nan, 0.8, .infinity, -.infinity, .nan]) == [2, 1])
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5], labels: [0, 1, 0, 2, 0]) == [0, 1, 2, 3, 4])
    #expect(try chosen([0.9, 0.8, 0.7, 0.6, 0.5], labels: [0, 1, 0, 0, 0]) == [0, 1, 2, 4])
}

extension Tensor {
    /// One picture's boxes.
    fileprivate static func boxes(_ sides: [[Float]]) throws -> Tensor { try Tensor(sides.flatMap { $0 }, [1, sides.count, 4]) }
}

/// Rows of work are split by count, grain and threads alone, and no two threads add to one number.
@Test func resultsDoNotDependOnTheThreadCount() throws {
    var generator = Philox(seed: 8)
    let x = try Tensor.uniform([2, 32, 40, 40], in: -1...1, using: &generator), weight = try Tensor.uniform([32], in: -1...1, using: &generator)
    let boxes = try Tensor((0..<400).map { Float($0 * 37 % 41) }, [100, 4]), pictures = try Tensor((0..<100).map { Int64($0 % 2) })

    func run(_ threads: Int) throws -> [[Float]] {
        Threads.count = threads
        let v = [x.requiringGradient(), weight.requiringGradient()]
        let normal = try v[0].groupNormalised(groups: 4, scale: v[1], bias: v[1]).resized(to: (50, 30)).adaptiveMaxPool2D(to: (33, 29))
        let y = try normal.regionAligned(boxes: boxes, pictures: pictures, to: (5, 5)).flattened(from: 2).rmsNormalised(scale: .ones([25]))
        return try [y.elements()] + (y.arctangent() * y).sum().gradients(of: v).map { try $0.elements() }
    }
    let before = Threads.count
    defer { Threads.count = before }
    #expect(try run(1) == run(2))
}
