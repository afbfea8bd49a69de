import Foundation
import Keel
import KeelData
import KeelDecoders
import Testing

private let transforms: [(name: String, transform: any PictureTransform)] = [
    ("flip", RandomFlip(horizontal: 0.5, vertical: 0.5)),
    ("crop", RandomCrop(width: 9, height: 7, padding: 2)),
    ("resized crop", RandomResizedCrop(width: 10, height: 8)),
    ("moves", PictureAugmentation(flip: 0.5, shift: 0.2, rotation: 25, zoom: 0.3)),
    ("brightness", ColourJitter(brightness: 0.8)),
    ("contrast", ColourJitter(contrast: 0.8)),
    ("saturation", ColourJitter(saturation: 0.8)),
    ("hue", ColourJitter(hue: 0.5)),
    ("rand-augment", RandAugment(operations: 1, magnitude: 17)),
]

private func bytes(_ entry: [String: Any], _ name: String) throws -> [UInt8] {
    Array(try #require((entry[name] as? String).flatMap { Data(base64Encoded: $0) }))
}

private func sample(_ entry: [String: Any]) throws -> AnnotatedPicture {
    let (width, height) = (try #require(entry["width"] as? Int), try #require(entry["height"] as? Int))
    let boxes = try #require(entry["boxes"] as? [[NSNumber]]).map { numbers in
        let edges = numbers.map(\.doubleValue)
        return PictureBox(left: edges[0], top: edges[1], right: edges[2], bottom: edges[3], label: Int(edges[4]))
    }
    return AnnotatedPicture(
        Picture(width: width, height: height, pixels: try bytes(entry, "pixels")), boxes: boxes,
        mask: PictureMask(width: width, height: height, classes: try bytes(entry, "mask")))
}

private func source() throws -> AnnotatedPicture {
    let golden = try Golden("augmentation")
    return try sample([
        "width": golden.entry("width", as: Int.self), "height": golden.entry("height", as: Int.self),
        "pixels": golden.entry("pixels", as: String.self), "mask": golden.entry("mask", as: String.self),
        "boxes": golden.entry("boxes", as: [[NSNumber]].self),
    ])
}

/// The script says how far off bytes may be: 0 for exact operations, 1 where Pillow cuts off and Keel rounds (or filters
/// in other steps), 2 for bilinear sampling at 256ths of a pixel. Boxes are double arithmetic.
@Test(arguments: transforms.map(\.name))
func aPictureItsBoxesAndItsMaskChangeAsTheGoldenScriptDoes(name: String) throws {
    let transform = try #require(transforms.first { $0.name == name }).transform
    let cases = try Golden("augmentation").entry("cases", as: [String: [[String: Any]]].self)
    let source = try source()
    for entry in try #require(cases[name]) {
        let expected = try sample(entry)
        let (stream, tolerance) = (try #require(entry["stream"] as? Int), try #require(entry["tolerance"] as? Int))
        var generator = Philox(seed: 9, stream: UInt64(stream))
        let found = transform.augmented(source, using: &generator)
        #expect(found.picture.width == expected.picture.width && found.picture.height == expected.picture.height)
        let furthest = zip(found.picture.pixels, expected.picture.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
        #expect(furthest <= tolerance, "stream \(stream)")
        #expect(found.mask == expected.mask, "stream \(stream)")
        #expect(found.boxes.map(\.label) == expected.boxes.map(\.label), "stream \(stream)")
        for (a, b) in zip(found.boxes, expected.boxes) {
            let edges = [(a.left, b.left), (a.top, b.top), (a.right, b.right), (a.bottom, b.bottom)]
            #expect(edges.allSatisfy { abs($0 - $1) < 1e-9 }, "stream \(stream)")
        }
        var again = Philox(seed: 9, stream: UInt64(stream))
        #expect(transform.augmented(source.picture, using: &again) == found.picture && again == generator)
    }
}

/// A generator's position after a picture doesn't depend on the picture, so pictures can't change each other's draws.
@Test(arguments: transforms.map(\.name))
func aTransformDrawsAsMuchForEveryPicture(name: String) throws {
    let transform = try #require(transforms.first { $0.name == name }).transform
    var first = Philox(seed: 1), second = Philox(seed: 1)
    _ = transform.augmented(try source(), using: &first)
    let dot = transform.augmented(Picture(width: 1, height: 1, pixels: [9, 8, 7]), using: &second)
    #expect(first.position == second.position)
    #expect(dot.pixels.count == 3 * dot.width * dot.height)
}

@Test func aBoxOfWhichLittleIsLeftIsDropped() throws {
    let boxes = [PictureBox(left: 0, top: 0, right: 10, bottom: 10, label: 4)]
    // All of a picture of 20 x 10 but its left nine columns: a tenth of the box is left.
    let crop = RandomCrop(width: 11, height: 10)
    func remaining(_ share: Double) -> Set<[PictureBox]> {
        let sample = AnnotatedPicture(gradient(width: 20, height: 10), boxes: boxes, leastVisibleShare: share)
        return Set(
            (0..<60).map { stream in
                var generator = Philox(seed: 2, stream: UInt64(stream))
                return crop.augmented(sample, using: &generator).boxes
            })
    }
    let tenth = [PictureBox(left: 0, top: 0, right: 1, bottom: 10, label: 4)]
    #expect(remaining(0.1).contains(tenth) && remaining(0.1).count == 10)
    #expect(!remaining(0.11).contains(tenth) && remaining(0.11).contains([]))
}

@Test func aCropLargerThanItsPictureHasItInTheMiddle() {
    var generator = Philox(seed: 2)
    let sample = AnnotatedPicture(
        Picture(width: 1, height: 2, pixels: [1, 2, 3, 4, 5, 6]),
        mask: PictureMask(width: 1, height: 2, classes: [7, 8]))
    let found = RandomCrop(width: 3, height: 2).augmented(sample, using: &generator)
    #expect(found.picture.pixels == [1, 2, 3, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 4, 5, 6])
    #expect(found.mask?.classes == [255, 7, 255, 255, 8, 255])
}
