import KeelData
import KeelDecoders
import Testing

@Test func withoutSettingsAPictureStaysAsItIs() {
    var random = Mutations(seed: 1)
    let picture = gradient(width: 20, height: 12)
    #expect(PictureAugmentation().augmented(picture, using: &random) == picture)
}

@Test func aFlipMirrorsExactly() {
    var random = Mutations(seed: 1)
    let picture = gradient(width: 5, height: 3)
    let flipped = PictureAugmentation(flip: 1).augmented(picture, using: &random)
    for y in 0..<3 {
        for x in 0..<5 {
            let (from, to) = (3 * (5 * y + x), 3 * (5 * y + 4 - x))
            #expect(Array(picture.pixels[from..<from + 3]) == Array(flipped.pixels[to..<to + 3]))
        }
    }
}

@Test func theSameSeedGivesTheSamePicture() {
    let picture = gradient(width: 32, height: 32)
    let strong = PictureAugmentation(flip: 0.5, shift: 0.2, rotation: 30, zoom: 0.3, brightness: 0.2, contrast: 0.5)
    func augmented(_ seed: UInt64) -> Picture {
        var random = Mutations(seed: seed)
        return strong.augmented(picture, using: &random)
    }
    #expect(augmented(1) == augmented(1))
    #expect(augmented(1) != augmented(2))
    #expect(augmented(3).width == 32 && augmented(3).height == 32)
}

/// The middle pixel is its own source whatever the angle and size; interpolation may round it by one.
@Test func movesKeepTheMiddleInPlace() {
    let picture = gradient(width: 33, height: 33)
    let middle = 3 * (33 * 16 + 16)
    for seed in 1...20 {
        var random = Mutations(seed: UInt64(seed))
        let turned = PictureAugmentation(rotation: 180, zoom: 0.5).augmented(picture, using: &random)
        for c in 0..<3 { #expect(abs(Int(turned.pixels[middle + c]) - Int(picture.pixels[middle + c])) <= 1) }
    }
}
