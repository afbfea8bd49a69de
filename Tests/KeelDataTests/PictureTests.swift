import BadInputs
import Foundation
import KeelData
import KeelDecoders
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

private func bytes(_ base64: String) -> [UInt8] { Data(base64Encoded: base64).map(Array.init) ?? [] }

private func largestDifference(_ a: [UInt8], _ b: [UInt8]) -> Int {
    zip(a, b).map { abs(Int($0) - Int($1)) }.max() ?? 0
}

/// Two steps of 255: decoders may round the inverse transform, the mixing of inks and alpha each by one.
@Test(arguments: goldenPictures)
func decodingEqualsPillow(_ golden: GoldenPicture) throws {
    let picture = try Picture(decoding: bytes(golden.file))
    #expect(picture.width == golden.width && picture.height == golden.height)
    #expect(largestDifference(picture.pixels, bytes(golden.pixels)) <= 2)
    let header = try PictureHeader(bytes(golden.file))
    #expect(header.width == golden.width && header.height == golden.height)
}

/// One step of 255: Pillow rounds between its two passes, we don't.
@Test(arguments: goldenResizes)
func resizingEqualsPillow(_ golden: GoldenResize) throws {
    let resized = try Picture(decoding: bytes(goldenSource)).resized(
        width: golden.width, height: golden.height, fit: golden.isCropped ? .crop : .stretch)
    #expect(largestDifference(resized.pixels, bytes(golden.pixels)) <= 1)
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
    // Soft gradients survive both ways of reducing; only rounding differs.
    let full = try Picture(decoding: file).resized(width: 160, height: 120)
    #expect(largestDifference(reduced.pixels, full.pixels) <= 3)
}

@Test func letterboxKeepsProportionsAndFillsTheRest() {
    let boxed = gradient(width: 40, height: 20).resized(width: 16, height: 16, fit: .letterbox(fill: 7))
    #expect(boxed.pixels[..<(16 * 4 * 3)].allSatisfy { $0 == 7 })
    #expect(boxed.pixels.suffix(16 * 4 * 3).allSatisfy { $0 == 7 })
    let inner = gradient(width: 40, height: 20).resized(width: 16, height: 8)
    #expect(Array(boxed.pixels[(16 * 4 * 3)..<(16 * 12 * 3)]) == inner.pixels)
}

@Test func aPictureOfOneColourStaysThatColourAtEverySize() {
    for value in [UInt8(0), 1, 127, 254, 255] {
        let picture = Picture(width: 33, height: 17, pixels: Array(repeating: value, count: 33 * 17 * 3))
        for (width, height) in [(1, 1), (7, 5), (33, 17), (100, 3), (64, 64)] {
            #expect(picture.resized(width: width, height: height).pixels.allSatisfy { $0 == value })
            #expect(picture.resized(width: width, height: height, fit: .crop).pixels.allSatisfy { $0 == value })
        }
    }
}

@Test func planesAreScaledChannelByChannel() {
    let picture = Picture(width: 2, height: 1, pixels: [0, 51, 255, 255, 102, 0])
    var planes = [Float](repeating: .nan, count: 6)
    planes.withUnsafeMutableBufferPointer {
        picture.write(PictureScaling(mean: [0.5, 0, 0], deviation: [0.5, 1, 2]), to: $0)
    }
    // Float rounding of the folded scale and offset.
    for (value, expected) in zip(planes, [-1, 1, 0.2, 0.4, 0.5, 0] as [Float]) { #expect(abs(value - expected) < 1e-6) }
}

// MARK: - Bad inputs

@Test(arguments: BadInputs.cases(via: "image-sample"))
func pictureOfTheCatalogueIsAnsweredAsItSays(_ row: BadInputs.Case) throws {
    let file = Array(try Data(contentsOf: URL(fileURLWithPath: BadInputs.path(of: row))))
    do {
        let picture = try Picture(decoding: file)
        #expect(row.expect == "accept")
        #expect(picture.pixels.count == 3 * picture.width * picture.height)
    } catch {
        #expect(row.expect == "reject" && error.code == row.code && error.status == row.status, "\(error)")
    }
}

private func pngHeader(width: UInt32, height: UInt32) -> [UInt8] {
    func bigEndian(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13] + "IHDR".utf8 + bigEndian(width)
        + bigEndian(height) + [8, 2, 0, 0, 0, 0, 0, 0, 0]
}

@Test(arguments: [
    ([], "image-corrupt"), ([0x89, 0x50], "image-corrupt"), ([0xFF], "image-corrupt"), ([0xFF, 0xD8], "image-corrupt"),
    (Array("GIF89a".utf8), "media-type-mismatch"), (Array("<svg xmlns='x'/>".utf8), "media-type-mismatch"),
    (Array("hello".utf8), "media-type-mismatch"), ([0, 0, 0, 0], "media-type-mismatch"),
    (pngHeader(width: 30_000, height: 30_000), "image-too-large"), (pngHeader(width: .max, height: .max), "image-corrupt"),
    (pngHeader(width: 0, height: 8), "image-corrupt"), (pngHeader(width: 8, height: 8), "image-corrupt"),
    (pngHeader(width: 0x7FFF_FFFF, height: 0x7FFF_FFFF), "image-too-large"),
] as [([UInt8], String)])
func bytesThatAreNoPictureHaveTheirCode(_ file: [UInt8], _ code: String) {
    let error = #expect(throws: PictureError.self) { try Picture(decoding: file) }
    #expect(error?.code == code)
}

@Test func aPixelMoreThanTheLimitIsTooLarge() throws {
    let file = try gradient(width: 10, height: 10).png()
    #expect(try Picture(decoding: file, limits: PictureLimits(pixels: 100)).width == 10)
    #expect(throws: PictureError.tooLarge(width: 10, height: 10, limit: 99)) {
        try Picture(decoding: file, limits: PictureLimits(pixels: 99))
    }
}

@Test func aJPEGCutAnywhereIsCorrupt() throws {
    let file = try gradient(width: 64, height: 64).jpeg()
    for length in stride(from: 2, to: file.count, by: 7) {
        let error = #expect(throws: PictureError.self) { try Picture(decoding: Array(file[..<length])) }
        #expect(error?.code == "image-corrupt")
        // With an end marker behind the cut, a decoder would fill in grey.
        if length > file.count / 2 {
            #expect(throws: PictureError.self) { try Picture(decoding: file[..<length] + [0xFF, 0xD9]) }
        }
    }
}

@Test func aPNGCutAnywhereIsCorrupt() throws {
    let file = try gradient(width: 40, height: 30).png()
    for length in 0..<file.count {
        let error = #expect(throws: PictureError.self) { try Picture(decoding: Array(file[..<length])) }
        #expect(error?.code == "image-corrupt")
    }
}
