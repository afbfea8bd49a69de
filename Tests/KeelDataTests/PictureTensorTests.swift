import Keel
import KeelData
import Testing

@Test func picturesBecomeABatchOfPlanes() throws {
    let picture = Picture(width: 2, height: 1, pixels: [0, 51, 255, 255, 102, 0])
    let batch = try Tensor([picture, picture], scaling: .unit)
    #expect(batch.shape == [2, 3, 1, 2])
}
