import CJPEG

/// A picture to be written in the many ways in which cameras and programs write them.
struct Picture {
    let width: Int
    let height: Int
    /// RGB, row by row from the top.
    var pixels: [UInt8]

    init(width: Int, height: Int, _ colour: (_ x: Int, _ y: Int) -> (red: UInt8, green: UInt8, blue: UInt8)) {
        self.width = width
        self.height = height
        pixels = []
        pixels.reserveCapacity(width * height * 3)
        for y in 0..<height {
            for x in 0..<width {
                let (red, green, blue) = colour(x, y)
                pixels += [red, green, blue]
            }
        }
    }

    private func colour(_ x: Int, _ y: Int) -> (red: UInt8, green: UInt8, blue: UInt8) {
        let at = (y * width + x) * 3
        return (pixels[at], pixels[at + 1], pixels[at + 2])
    }

    // MARK: PNG

    enum PNGMode: CaseIterable { case grey, grey16, greyAlpha, rgb, rgb16, rgba, palette }

    /// Unfiltered, in stored deflate blocks.
    func png(_ mode: PNGMode = .rgb) -> [UInt8] {
        var rows: [UInt8] = []
        for y in 0..<height {
            rows.append(0)
            for x in 0..<width {
                let (red, green, blue): (UInt8, UInt8, UInt8) = colour(x, y)
                let luminance: Int = 299 * Int(red) + 587 * Int(green) + 114 * Int(blue)
                let grey = UInt8(luminance / 1000)
                switch mode {
                case .grey: rows.append(grey)
                case .grey16: rows += [grey, grey]
                case .greyAlpha: rows += [grey, 255]
                case .rgb: rows += [red, green, blue]
                case .rgb16: rows += [red, red, green, green, blue, blue]
                case .rgba: rows += [red, green, blue, 255]
                case .palette: rows.append((red >> 5) << 5 | (green >> 5) << 2 | (blue >> 6))
                }
            }
        }
        let (type, depth): (UInt8, UInt8) =
            switch mode {
            case .grey: (0, 8)
            case .grey16: (0, 16)
            case .greyAlpha: (4, 8)
            case .rgb: (2, 8)
            case .rgb16: (2, 16)
            case .rgba: (6, 8)
            case .palette: (3, 8)
            }
        var header: [UInt8] = []
        header.append(big: UInt32(width))
        header.append(big: UInt32(height))
        header += [depth, type, 0, 0, 0]
        var file: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
        file += Self.chunk("IHDR", header)
        if mode == .palette {
            // Three bits of red, three of green, two of blue.
            let palette: [UInt8] = (UInt8.min...UInt8.max).flatMap { code in [code & 0xe0, (code & 0x1c) << 3, code << 6] }
            file += Self.chunk("PLTE", palette)
        }
        file += Self.chunk("IDAT", Self.stored(rows))
        return file + Self.chunk("IEND", [])
    }

    private static func chunk(_ kind: String, _ bytes: [UInt8]) -> [UInt8] {
        var chunk: [UInt8] = []
        chunk.append(big: UInt32(bytes.count))
        chunk += Array(kind.utf8) + bytes
        chunk.append(big: crc32(Array(kind.utf8) + bytes))
        return chunk
    }

    /// A zlib stream of stored blocks.
    private static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var stream: [UInt8] = [0x78, 0x01]
        var rest = bytes[...]
        repeat {
            let block = rest.prefix(65_535)
            rest = rest.dropFirst(block.count)
            stream.append(rest.isEmpty ? 1 : 0)
            stream.append(little: UInt16(block.count))
            stream.append(little: ~UInt16(block.count))
            stream += block
        } while !rest.isEmpty
        var (a, b) = (UInt32(1), UInt32(0))
        for byte in bytes {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        stream.append(big: b << 16 | a)
        return stream
    }

    // MARK: JPEG

    enum JPEGMode: CaseIterable { case grey, colour, progressive, cmyk }

    /// - Parameter orientation: the EXIF tag, 1 to 8, as which the stored rows are to be read; nil for no EXIF at all.
    func jpeg(_ mode: JPEGMode = .colour, orientation: UInt8? = nil, quality: Int32 = 90) throws -> [UInt8] {
        guard let compressor = tjInitCompress() else { throw PictureError.jpeg(String(cString: tjGetErrorStr2(nil))) }
        defer { tjDestroy(compressor) }
        var output: UnsafeMutablePointer<UInt8>?
        var size: UInt = 0
        defer { tjFree(output) }
        var source = pixels
        var format = TJPF_RGB
        if mode == .cmyk {
            // Without black, inverted as Photoshop and libjpeg's callers expect it.
            source = stride(from: 0, to: pixels.count, by: 3).flatMap { at -> [UInt8] in Array(pixels[at..<at + 3]) + [255] }
            format = TJPF_CMYK
        }
        let status = source.withUnsafeBufferPointer {
            tjCompress2(
                compressor, $0.baseAddress, Int32(width), 0, Int32(height), Int32(format.rawValue), &output, &size,
                Int32((mode == .grey ? TJSAMP_GRAY : TJSAMP_444).rawValue), quality,
                mode == .progressive ? TJFLAG_PROGRESSIVE : 0)
        }
        guard status == 0 else { throw PictureError.jpeg(String(cString: tjGetErrorStr2(compressor))) }
        let file = Array(UnsafeBufferPointer(start: output, count: Int(size)))
        guard let orientation else { return file }
        return Array(file[..<2]) + Self.exif(orientation) + file[2...]
    }

    /// The picture whose rows, stored as `orientation` says, show this one upright.
    func stored(as orientation: UInt8) -> Picture {
        let isTurned = orientation >= 5
        return Picture(width: isTurned ? height : width, height: isTurned ? width : height) { x, y in
            switch orientation {
            case 2: colour(width - 1 - x, y)
            case 3: colour(width - 1 - x, height - 1 - y)
            case 4: colour(x, height - 1 - y)
            case 5: colour(y, x)
            case 6: colour(width - 1 - y, x)
            case 7: colour(width - 1 - y, height - 1 - x)
            case 8: colour(y, height - 1 - x)
            default: colour(x, y)
            }
        }
    }

    /// An APP1 segment that holds the orientation and nothing else, in big-endian TIFF.
    private static func exif(_ orientation: UInt8) -> [UInt8] {
        let tiff: [UInt8] =
            [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1] + [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0] + [0, 0, 0, 0]
        var segment: [UInt8] = [0xff, 0xe1]
        segment.append(big: UInt16(2 + 6 + tiff.count))
        return segment + Array("Exif\0\0".utf8) + tiff
    }
}

enum PictureError: Error { case jpeg(String) }
