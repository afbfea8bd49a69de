import KeelData
import Testing

/// A picture of soft gradients, so that JPEG keeps it nearly as it is.
func gradient(width: Int, height: Int) -> Picture {
    var pixels: [UInt8] = []
    for y in 0..<height {
        for x in 0..<width {
            pixels += [UInt8(255 * x / width), UInt8(255 * y / height), UInt8(255 * (x + y) / (width + height))]
        }
    }
    return Picture(width: width, height: height, pixels: pixels)
}

@Test func pngKeepsEveryByte() throws {
    let picture = gradient(width: 37, height: 21)
    #expect(try Picture(decoding: picture.png()) == picture)
}

@Test func jpegIsDecodedAtReducedScaleForASmallSide() throws {
    let file = try gradient(width: 640, height: 480).jpeg(quality: 95)
    let header = try PictureHeader(file)
    #expect(header.width == 640 && header.height == 480 && header.format == .jpeg)
    #expect(try Picture(decoding: file).width == 640)
    let reduced = try Picture(decoding: file, minimumSide: 100)
    #expect(reduced.width == 160 && reduced.height == 120)
    #expect(try Picture(decoding: file, minimumSide: 1000).width == 640)
}
