import Keel
import KeelData
import Testing

private let (count, channels, height, width) = (3, 2, 6, 8)

/// Pictures whose numbers are all different, and one-hot targets.
private func batch() throws -> (pictures: Tensor, targets: Tensor, masks: Tensor) {
    let numbers = (0..<count * channels * height * width).map { Float($0) }
    let targets = (0..<count * count).map { Float($0 / count == $0 % count ? 1 : 0) }
    let masks = (0..<count * height * width).map { $0 / (height * width) }
    return (
        try Tensor(numbers, [count, channels, height, width]), try Tensor(targets, [count, count]),
        try Tensor(masks, [count, height, width])
    )
}

/// The share that a picture keeps is what its own class keeps. Float32 products and one sum of numbers below 300: 1e-4.
@Test(arguments: 0..<10)
func mixUpBlendsPicturesAsItsTargetsSay(seed: Int) throws {
    var generator = Philox(seed: UInt64(seed))
    let (pictures, targets, _) = try batch()
    let mixed = try MixUp(alpha: 0.7).mixed(pictures, targets, using: &generator)
    let (before, after) = (try pictures.elements(), try mixed.pictures.elements())
    let shares = try mixed.targets.elements()
    #expect(mixed.pictures.shape == pictures.shape && mixed.targets.shape == targets.shape)
    let size = channels * height * width
    for picture in 0..<count {
        let other = (picture + count - 1) % count
        let (share, rest) = (shares[picture * count + picture], shares[picture * count + other])
        #expect((0...1).contains(share) && abs(share + rest - 1) < 1e-6)
        for place in 0..<size {
            let expected = share * before[picture * size + place] + rest * before[other * size + place]
            #expect(abs(after[picture * size + place] - expected) < 1e-4)
        }
    }
}

/// Beta(α, α) has the variance v = 1 / (4 (2 α + 1)) and a kurtosis below 3: of 500 draws, five deviations of the mean are
/// 5 √(v / 500), and of the variance less than 5 v √(2 / 500).
@Test(arguments: [0.2, 1, 4])
func sharesOfMixUpAreBetaDistributed(alpha: Double) throws {
    let pictures = try Tensor([Float(1), 0], [2, 1])
    let shares = try (0..<500).map { stream -> Double in
        var generator = Philox(seed: 4, stream: UInt64(stream))
        return Double(try MixUp(alpha: alpha).mixed(pictures, pictures, using: &generator).pictures.elements()[0])
    }
    let mean = shares.reduce(0, +) / 500, expected = 0.25 / (2 * alpha + 1)
    let variance = shares.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 500
    #expect(abs(mean - 0.5) < 5 * (expected / 500).squareRoot())
    #expect(abs(variance - expected) < 5 * expected * (2.0 / 500).squareRoot())
}

@Test(arguments: 0..<30)
func cutMixFillsOneRectangleAndTargetsHaveItsArea(seed: Int) throws {
    var generator = Philox(seed: UInt64(seed))
    let (pictures, targets, masks) = try batch()
    let mixed = try CutMix().mixed(pictures, targets, masks: masks, using: &generator)
    let (before, after) = (try pictures.elements(), try mixed.pictures.elements())
    let classes = try #require(mixed.masks).elements(Int.self)
    let shares = try mixed.targets.elements()
    #expect(mixed.masks?.dtype == masks.dtype)
    // The places that the first picture's mask has from the last one.
    let filled = (0..<height * width).filter { classes[$0] == count - 1 }
    let (rows, columns) = (Set(filled.map { $0 / width }), Set(filled.map { $0 % width }))
    #expect(filled.count == rows.count * columns.count)
    #expect(rows.isEmpty || rows.max().map { $0 - (rows.min() ?? 0) } == rows.count - 1)
    #expect(columns.isEmpty || columns.max().map { $0 - (columns.min() ?? 0) } == columns.count - 1)
    let places = Set(filled), plane = height * width
    for picture in 0..<count {
        let other = (picture + count - 1) % count
        #expect(abs(shares[picture * count + other] - Float(filled.count) / Float(plane)) < 1e-6)
        #expect(abs(shares[picture * count + picture] + shares[picture * count + other] - 1) < 1e-6)
        for place in 0..<plane {
            let from = places.contains(place) ? other : picture
            #expect(classes[picture * plane + place] == from)
            for channel in 0..<channels {
                let at = channel * plane + place
                #expect(after[picture * channels * plane + at] == before[from * channels * plane + at])
            }
        }
    }
}

/// The area that is wished for is even in 0...1 and cut at the edges, so about this much is filled: 0.5 less the cut.
@Test func cutMixFillsLargeAndSmallRectangles() throws {
    let pictures = try Tensor([Float](repeating: 0, count: 2 * 16 * 16), [2, 1, 16, 16])
    let targets = try Tensor([Float(1), 0], [2, 1])
    let filled = try (0..<300).map { stream -> Float in
        var generator = Philox(seed: 5, stream: UInt64(stream))
        return 1 - (try CutMix().mixed(pictures, targets, using: &generator).targets.elements()[0])
    }
    #expect(filled.contains { $0 < 0.05 } && filled.contains { $0 > 0.7 })
    #expect(filled.allSatisfy { (0...1).contains($0) })
}

@Test func batchesThatCannotBeMixedAreRefused() throws {
    var generator = Philox(seed: 1)
    let (pictures, targets, masks) = try batch()
    let few = try targets.sliced(0, to: 2)
    #expect(throws: TensorError(.shape(primitive: "MixUp", expected: "as many targets as pictures", [2, 3]))) {
        try MixUp().mixed(pictures, few, using: &generator)
    }
    #expect(
        throws: TensorError(
            .argument(primitive: "MixUp", name: "alpha", given: "0.0", allowed: "finite numbers above 0"))
    ) {
        try MixUp(alpha: 0).mixed(pictures, targets, using: &generator)
    }
    #expect(
        throws: TensorError(
            .rank(primitive: "CutMix", expected: "pictures [n, channels, height, width]", [3, 6, 8]))
    ) {
        try CutMix().mixed(masks, targets, using: &generator)
    }
    #expect(throws: TensorError(.shape(primitive: "CutMix", expected: "masks of the pictures' size", [3, 3]))) {
        try CutMix().mixed(pictures, targets, masks: targets, using: &generator)
    }
}
