public import Keel

extension Tensor {
    /// Pictures of one size as a network reads them: `[pictures, 3, height, width]`, float32.
    ///
    /// - Precondition: there is at least one picture, and all have the same size.
    public init(_ pictures: [Picture], scaling: PictureScaling) throws(TensorError) {
        guard let first = pictures.first else { preconditionFailure("a batch has at least one picture") }
        precondition(
            pictures.allSatisfy { $0.width == first.width && $0.height == first.height }, "pictures of a batch have one size")
        let size = first.pixels.count
        let planes = [Float](unsafeUninitializedCapacity: size * pictures.count) { buffer, count in
            for (index, picture) in pictures.enumerated() {
                picture.write(scaling, to: UnsafeMutableBufferPointer(rebasing: buffer[index * size..<(index + 1) * size]))
            }
            count = size * pictures.count
        }
        try self.init(planes, [pictures.count, 3, first.height, first.width])
    }
}
