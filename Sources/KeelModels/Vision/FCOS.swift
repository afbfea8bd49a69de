public import Keel
public import KeelNN

/// FCOS, a detector without anchors: Tian, Shen, Chen and He, *FCOS: Fully Convolutional One-Stage Object Detection*, 2019, with the
/// improvements of its later version: centreness beside the boxes, and boxes of which a place near the centre is in charge.
///
/// Each place of five maps, 1/8 to 1/128 of the sides, says what lies there, how far its four sides are, and how near the middle it is.
/// `[batch, 3, h, w]`, sides multiples of 128 → logits `[batch, places, classes]`, distances `[batch, places, 4]` (left, top, right and bottom, in pixels),
/// and centreness logits `[batch, places]`.
public struct FCOS<Trunk: PictureTrunk>: Network {
    public var trunk: Trunk
    public var pyramid: FeaturePyramid
    /// Two more maps, each half as high and wide as the one before.
    public var higher: [Conv2D]
    /// What all maps go through alike.
    public var classTower, boxTower: [NormedConv]
    public var classes, distances, centreness: Conv2D

    public static var strides: [Int] { [8, 16, 32, 64, 128] }

    /// A 3x3 convolution, group normalisation, ReLU.
    public struct NormedConv: Layer {
        public var conv: Conv2D
        public var norm: GroupNorm

        init(_ channels: Int, groups: Int, using generator: inout Philox) throws(TensorError) {
            conv = try Conv2D(channels, channels, kernel: 3, padding: 1, using: &generator)
            norm = try GroupNorm(channels, groups: groups)
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            try norm(conv(x, in: context), in: context).relu()
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try conv.forEachState(body, under: "conv")
            try norm.forEachState(body, under: "norm")
        }
    }

    /// - Parameters:
    ///   - width: the channels of the maps; a multiple of `groups`.
    ///   - groups: of the normalisations.
    public init(_ trunk: Trunk, width: Int = 256, groups: Int = 32, classes count: Int, using generator: inout Philox) throws(TensorError) {
        self.trunk = trunk
        pyramid = try FeaturePyramid(Array(trunk.mapChannels[1...]), width, using: &generator)
        (higher, classTower, boxTower) = ([], [], [])
        for _ in 0..<2 { higher.append(try Conv2D(width, width, kernel: 3, stride: 2, padding: 1, using: &generator)) }
        for _ in 0..<4 { classTower.append(try NormedConv(width, groups: groups, using: &generator)) }
        for _ in 0..<4 { boxTower.append(try NormedConv(width, groups: groups, using: &generator)) }
        classes = try Conv2D(width, count, kernel: 3, padding: 1, using: &generator)
        classes.weight = try .normal(classes.weight.shape, deviation: 0.01, using: &generator)
        // At first everything is of no class with a probability of 0.99, so that the many places without anything don't drown the rest.
        classes.bias = try .full(-4.59512, [count])
        distances = try Conv2D(width, 4, kernel: 3, padding: 1, using: &generator)
        distances.weight = try .normal(distances.weight.shape, deviation: 0.01, using: &generator)
        distances.bias = try .ones([4])
        centreness = try Conv2D(width, 1, kernel: 3, padding: 1, using: &generator)
        centreness.weight = try .normal(centreness.weight.shape, deviation: 0.01, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 1, "FCOS")
        let found = try self(inputs[0], in: context)
        return [found.logits, found.distances, found.centreness]
    }

    public func callAsFunction(
        _ images: Tensor, in context: Context
    ) throws(TensorError) -> (logits: Tensor, distances: Tensor, centreness: Tensor) {
        var maps = try pyramid(Array(trunk.maps(images, in: context)[1...]), in: context)
        maps.append(try higher[0](maps[2], in: context))
        maps.append(try higher[1](maps[3].relu(), in: context))
        var logits: [Tensor] = [], sides: [Tensor] = [], centres: [Tensor] = []
        for (map, stride) in zip(maps, Self.strides) {
            var (what, where_) = (map, map)
            for layer in classTower { what = try layer(what, in: context) }
            for layer in boxTower { where_ = try layer(where_, in: context) }
            logits.append(try Self.places(classes(what, in: context)))
            sides.append(try Self.places(distances(where_, in: context).relu() * Double(stride)))
            centres.append(try Self.places(centreness(where_, in: context)))
        }
        return (
            try .concatenated(logits, axis: 1), try .concatenated(sides, axis: 1), try Tensor.concatenated(centres, axis: 1).withoutAxis(-1)
        )
    }

    /// `[batch, numbers, h, w]` → `[batch, h * w, numbers]`
    private static func places(_ map: Tensor) throws(TensorError) -> Tensor { try map.flattened(from: 2).transposed() }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trunk.forEachState(body, under: "trunk")
        try pyramid.forEachState(body, under: "pyramid")
        for place in higher.indices { try higher[place].forEachState(body, under: "higher.\(place)") }
        for place in classTower.indices { try classTower[place].forEachState(body, under: "class_tower.\(place)") }
        for place in boxTower.indices { try boxTower[place].forEachState(body, under: "box_tower.\(place)") }
        try classes.forEachState(body, under: "classes")
        try distances.forEachState(body, under: "distances")
        try centreness.forEachState(body, under: "centreness")
    }
}

/// A thing in a picture: its class, and its sides in pixels.
public struct LabelledBox: Sendable, Hashable {
    public var label: Int
    public var left, top, right, bottom: Float
    /// How sure a detector is of it; 1 for what is known.
    public var score: Float

    public init(label: Int, left: Float, top: Float, right: Float, bottom: Float, score: Float = 1) {
        (self.label, self.left, self.top, self.right, self.bottom, self.score) = (label, left, top, right, bottom, score)
    }
}

extension FCOS {
    /// The middles of the places, for pictures of this size, from the finest map to the coarsest; and each one's stride.
    static func places(height: Int, width: Int) -> [(x: Float, y: Float, stride: Float)] {
        var places: [(x: Float, y: Float, stride: Float)] = []
        for stride in strides {
            let step = Float(stride)
            for row in 0..<(height + stride - 1) / stride {
                for column in 0..<(width + stride - 1) / stride { places.append(((Float(column) + 0.5) * step, (Float(row) + 0.5) * step, step)) }
            }
        }
        return places
    }

    /// Which box each place is in charge of: one whose centre is within 1.5 strides, whose farthest side is of its map's range, and of those the
    /// smallest.
    static func assigned(_ boxes: [LabelledBox], to places: [(x: Float, y: Float, stride: Float)]) -> [LabelledBox?] {
        places.map { x, y, stride in
            let nearest: Float = stride == 8 ? 0 : 4 * stride, farthest: Float = stride == 128 ? .infinity : 8 * stride
            var best: (area: Float, box: LabelledBox)?
            for box in boxes {
                let sides: [Float] = [x - box.left, y - box.top, box.right - x, box.bottom - y]
                let middleX = (box.left + box.right) / 2, middleY = (box.top + box.bottom) / 2
                guard let least = sides.min(), let most = sides.max(), least > 0, nearest <= most, most <= farthest,
                    abs(x - middleX) < 1.5 * stride, abs(y - middleY) < 1.5 * stride
                else { continue }
                let area = (box.right - box.left) * (box.bottom - box.top)
                if area < best?.area ?? .infinity { best = (area, box) }
            }
            return best?.box
        }
    }

    /// What is to be learned from pictures with these boxes in them: the focal loss of the classes, the generalised overlap of the boxes, and the
    /// logistic loss of the centreness, each divided by the number of places that are in charge of something.
    public func loss(_ images: Tensor, _ boxes: [[LabelledBox]], in context: Context) throws(TensorError) -> Tensor {
        let (height, width, batch) = (try images.shape.size(2), try images.shape.size(3), try images.shape.size(0))
        guard boxes.count == batch else { throw TensorError(.argument(primitive: "FCOS", name: "boxes", given: "\(boxes.count)", allowed: "\(batch), a list a picture")) }
        let places = Self.places(height: height, width: width), found = try self(images, in: context)
        let classes = try found.logits.shape.size(2)
        var truth = [Float](repeating: 0, count: batch * places.count * classes)
        var chosen: [Int64] = [], middles: [Float] = [], sides: [Float] = [], centres: [Float] = []
        for (picture, boxes) in boxes.enumerated() {
            for (index, box) in Self.assigned(boxes, to: places).enumerated() {
                guard let box else { continue }
                guard (0..<classes).contains(box.label) else { throw TensorError(.labelOutOfRange(row: picture, label: box.label, classes: classes)) }
                let place = picture * places.count + index, (x, y, _) = places[index]
                truth[place * classes + box.label] = 1
                chosen.append(Int64(place))
                middles += [x, y, x, y]
                sides += [box.left, box.top, box.right, box.bottom]
                let l = x - box.left, t = y - box.top, r = box.right - x, b = box.bottom - y
                let across = min(l, r) / max(l, r), down = min(t, b) / max(t, b)
                centres.append((across * down).squareRoot())
            }
        }
        let share = 1 / Double(max(chosen.count, 1))
        let classLoss = try found.logits.sigmoidFocalLoss(Tensor(truth, [batch, places.count, classes])).sum() * share
        guard !chosen.isEmpty else { return classLoss }
        let rows = try Tensor(chosen), signs = try Tensor([-1, -1, 1, 1] as [Float])
        let predicted = try found.distances.flattened(through: 1).gathered(rows) * signs + Tensor(middles, [chosen.count, 4])
        let boxLoss = try predicted.boxLoss(Tensor(sides, [chosen.count, 4]), .generalised).sum() * share
        let middle = try found.centreness.flattened().gathered(rows).binaryCrossEntropy(Tensor(centres), reduction: .sum) * share
        return try classLoss + boxLoss + middle
    }

    /// What there is in pictures, the surest first.
    ///
    /// - Parameters:
    ///   - leastScore: what is less sure isn't given.
    ///   - overlap: of two boxes of a class that overlap more than this, the less sure one isn't given.
    ///   - most: how many boxes a picture gives at most.
    public func detections(
        _ images: Tensor, leastScore: Double = 0.2, overlap: Double = 0.6, most: Int = 100
    ) throws(TensorError) -> [[LabelledBox]] {
        let (height, width, batch) = (try images.shape.size(2), try images.shape.size(3), try images.shape.size(0))
        let places = Self.places(height: height, width: width)
        return try noGrad { () throws(TensorError) in
            let found = try self(images, in: .prediction)
            let middles = try Tensor(places.flatMap { [$0.x, $0.y, $0.x, $0.y] }, [places.count, 4]), signs = try Tensor([-1, -1, 1, 1] as [Float])
            let limits = try Tensor([width, height, width, height].map(Float.init))
            let boxes = try (found.distances * signs + middles).maximum(Tensor(Float(0))).minimum(limits)      // [batch, places, 4]
            let scores = try (found.logits.sigmoid() * found.centreness.sigmoid().withAxis(-1)).squareRoot()   // [batch, places, classes]
            let best = try scores.topK(1)
            let (sure, labels) = (try best.values.withoutAxis(-1), try best.indices.withoutAxis(-1))
            let kept = try boxes.nonMaximumSuppression(
                scores: sure.withAxis(1), labels: labels, overlap: overlap, leastScore: leastScore, most: most)
            let (numbers, allScores, allLabels) = (try boxes.elements(), try sure.elements(), try labels.elements(Int64.self))
            let chosen = try kept.chosen.elements(Int64.self)
            var result: [[LabelledBox]] = []
            for picture in 0..<batch {
                result.append(
                    chosen[picture * most..<(picture + 1) * most].filter { $0 >= 0 }.map { index in
                        let place = picture * places.count + Int(index), side = 4 * place
                        return LabelledBox(
                            label: Int(allLabels[place]), left: numbers[side], top: numbers[side + 1], right: numbers[side + 2], bottom: numbers[side + 3],
                            score: allScores[place])
                    })
            }
            return result
        }
    }
}

extension FCOS<ResNet.Trunk> {
    static var named: [NamedNetwork] {
        [
            named("fcos-resnet-18", [2, 2, 2, 2], false, 19_303_072), named("fcos-resnet-50", [3, 4, 6, 3], true, 32_322_720, .exact(32_322_720, "torchvision, batch normalisation counted")),
            named("fcos-resnet-101", [3, 4, 23, 3], true, 51_314_848),
        ]
    }

    private static func named(
        _ name: String, _ blocks: [Int], _ isBottleneck: Bool, _ parameters: Int, _ published: NamedNetwork.Count? = nil
    ) -> NamedNetwork {
        NamedNetwork(
            name, .detection, Self.self, paper: "Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, 2019", parameters: parameters,
            published: published, inputs: [NetworkPort("images", ["batch", 3, 512, 512])],
            outputs: [
                NetworkPort("logits", ["batch", 5456, 91]), NetworkPort("distances", ["batch", 5456, 4]), NetworkPort("centreness", ["batch", 5456]),
            ], classes: 91
        ) { (classes, generator) throws(TensorError) in
            try FCOS(ResNet.Trunk(blocks: blocks, isBottleneck: isBottleneck, using: &generator), classes: classes, using: &generator)
        }
    }
}
