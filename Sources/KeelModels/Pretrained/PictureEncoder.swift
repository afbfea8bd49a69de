public import Keel
public import KeelData
internal import KeelNN
internal import KeelProgram

/// What EfficientNet-Lite0 sees in pictures: 1,280 numbers each, from which a linear classifier tells most things apart.
///
/// It may be used by several threads at once.
///
/// ```swift
/// let encoder = try PictureEncoder(from: ModelStore(folder: folder))
/// let features = try encoder.features(of: pictures)  // [pictures, 1280]
/// ```
public struct PictureEncoder: Sendable {
    /// How many numbers a picture gives.
    public static let width = 1280
    /// The height and width that pictures are resized to.
    public static let side = 224
    package let trunk: EfficientNetLite.Trunk
    private let program: Program
    private let fit: PictureFit
    private let batch = 16

    /// - Parameter fit: how pictures that aren't square become so.
    /// - Throws: `TensorError.file` where the store has no weights; what loading them throws.
    public init(from store: ModelStore, fit: PictureFit = .stretch) throws {
        try self.init(EfficientNetLite.pretrained(in: store).trunk, fit: fit)
    }

    /// With the weights of a file that has more, the trunk's names after a prefix.
    package init(loading file: Safetensors, under prefix: String) throws {
        var generator = Philox(seed: 0)
        var trunk = try EfficientNetLite.Trunk(using: &generator)
        try trunk.load(from: file, under: prefix, allowingMore: true)
        try self.init(trunk, fit: .stretch)
    }

    private init(_ trunk: EfficientNetLite.Trunk, fit: PictureFit) throws {
        self.trunk = trunk
        self.fit = fit
        let spec = TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(Self.side), Dimension(Self.side)), .float32)
        program = try Program.trace({ try trunk($0, in: .prediction) }, input: "images", spec).optimised()
    }

    /// - Shapes: → `[pictures, 1280]`.
    public func features(of pictures: [Picture]) throws(TensorError) -> Tensor {
        guard !pictures.isEmpty else { return try .zeros([0, Self.width]) }
        var parts: [Tensor] = []
        for start in stride(from: 0, to: pictures.count, by: batch) {
            let few = pictures[start..<min(start + batch, pictures.count)].map { $0.resized(width: Self.side, height: Self.side, fit: fit) }
            parts.append(try program(Tensor(few, scaling: EfficientNetLite.scaling)))
        }
        return try Tensor.concatenated(parts)
    }
}
