// A data pipeline: two threads make pictures ahead, shuffled and changed anew in each epoch, but the same at
// any number of threads. A small convolutional network tells lying stripes from standing ones.
import Keel
import KeelData
import KeelNN

struct Example: Sendable { let picture: Picture, label: Int }

/// Stripes of random width, phase and brightness; standing ones for odd items.
func makePicture(_ item: Int) -> Picture {
    var generator = Philox(seed: 1, stream: UInt64(item))
    let width = Int.random(in: 2...4, using: &generator), phase = Int.random(in: 0..<8, using: &generator)
    let bright = UInt8.random(in: 120...255, using: &generator)
    let pixels = (0..<16 * 16).flatMap { place in
        let position = item % 2 == 1 ? place % 16 : place / 16
        return [UInt8](repeating: (position + phase) / width % 2 == 0 ? bright : 30, count: 3)
    }
    return Picture(width: 16, height: 16, pixels: pixels)
}

@Sendable func makeExample(_ request: LoaderRequest<Int>) -> Example {
    var generator = Philox(seed: 2, stream: UInt64(request.epoch) << 32 | UInt64(request.item))
    let augmentation = PictureAugmentation(flip: 0.5, shift: 0.1, rotation: 10, brightness: 0.2, contrast: 0.2)
    let picture = augmentation.augmented(makePicture(request.item), using: &generator)
    return Example(picture: picture, label: request.item % 2)
}

let order = ItemOrder(count: 256, shuffledBy: 1)
var batches = LoaderBatches(order, batchSize: 32) { position in
    Loader(order, from: position, threads: 2, ahead: 64, make: makeExample)
} collate: { examples in
    [try Tensor(examples.map(\.picture), scaling: .symmetric), try Tensor(examples.map(\.label))]
}

var generator = Philox(seed: 3)
let network = Sequential([
    try Conv2D(3, 8, kernel: 3, stride: 2, padding: 1, using: &generator), Activation.relu,
    try Conv2D(8, 16, kernel: 3, stride: 2, padding: 1, using: &generator), Activation.relu,
    GlobalAveragePool(), try Linear(16, 2, using: &generator),
])
let trainer = try Trainer(network, seed: 1, optimizer: { try AdamW($0, learningRate: 1e-2) }) {
    (network, batch: [Tensor], context) in try network(batch[0], in: context).softmaxCrossEntropy(batch[1])
}
try trainer.train(on: &batches, epochs: 5)

let unseen = Array(256..<356), pictures = try Tensor(unseen.map(makePicture), scaling: .symmetric)
let answers = try trainer.network(pictures, in: .prediction)
print("accuracy", try Accuracy().value(of: answers, Tensor(unseen.map { $0 % 2 })))
