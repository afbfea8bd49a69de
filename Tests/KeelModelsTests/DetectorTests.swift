import Keel
import KeelModels
import KeelNN
import Testing

@Test func aDetectorFindsWhatItHasLearned() throws {
    var generator = Philox(seed: 6)
    let trunk = try ResNet.Trunk(blocks: [1, 1, 1, 1], isBottleneck: false, width: 8, using: &generator)
    var network = try FCOS(trunk, width: 16, groups: 4, classes: 2, using: &generator)
    let picture = try Tensor.normal([1, 3, 128, 128], using: &generator)
    let boxes = [LabelledBox(label: 1, left: 16, top: 24, right: 60, bottom: 64), LabelledBox(label: 0, left: 70, top: 64, right: 120, bottom: 100)]
    let optimizer = try Adam(ParameterStore(&network), learningRate: 0.01)
    for step in 0..<80 { try optimizer.minimise(network.loss(picture, [boxes], in: .training(seed: 1, step: step))) }

    let found = try network.detections(picture, leastScore: 0.3)
    #expect(found.count == 1)
    #expect(Set(found[0].prefix(2).map(\.label)) == [0, 1])
    for box in boxes {
        let near = try #require(found[0].first { $0.label == box.label })
        // A place of the finest map is eight pixels wide.
        for (side, expected) in [(near.left, box.left), (near.top, box.top), (near.right, box.right), (near.bottom, box.bottom)] {
            #expect(abs(side - expected) < 8, "\(near)")
        }
    }
    #expect(try network.detections(picture, most: 1)[0].count == 1)
    #expect(throws: TensorError.self) { try network.loss(picture, [], in: .prediction) }
    #expect(throws: TensorError.self) { try network.loss(picture, [[LabelledBox(label: 2, left: 16, top: 24, right: 60, bottom: 64)]], in: .prediction) }
}
