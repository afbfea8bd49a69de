internal import CJPEG
internal import KeelDataKernels

/// An upright picture of 8-bit red, green and blue: `height` rows of `width` pixels of three bytes, without gaps.
public struct Picture: Sendable, Equatable {
    public let width, height: Int
    public internal(set) var pixels: [UInt8]

    /// - Precondition: `pixels` holds `3 * width * height` bytes, and the picture has at least one pixel.
    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0 && pixels.count == 3 * width * height, "a picture holds three bytes a pixel")
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// A picture whose bytes `fill` writes, all of them.
    init<E: Error>(
        width: Int, height: Int, filling fill: (UnsafeMutablePointer<UInt8>) throws(E) -> Void
    ) throws(E) {
        let count = 3 * width * height
        var failure: E?
        let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            guard let base = buffer.baseAddress else { return }
            do throws(E) {
                try fill(base)
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        self.init(width: width, height: height, pixels: pixels)
    }
}

/// How large a picture may be.
public struct PictureLimits: Sendable, Equatable {
    /// Pixels that a header may declare; a decoder needs some three to ten bytes for each.
    public var pixels: Int

    public init(pixels: Int = 50_000_000) {
        self.pixels = pixels
    }
}

extension Picture {
    /// Decodes a PNG or JPEG file, told apart by its bytes, into upright RGB.
    ///
    /// - Every kind ends as the same three bytes a pixel: grey is repeated, palettes are looked up, 16-bit samples are
    ///   rounded to 8, CMYK and YCCK (also stored inverted, as Adobe does) are mixed, and transparency is composited on white.
    ///   Colour profiles and gamma chunks are not applied.
    /// - EXIF orientation is applied (JPEG, and PNG's eXIf).
    /// - The header is checked against `limits` before anything is inflated; text chunks never are.
    /// - Parameter minimumSide: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (cheaply, within the inverse
    ///   cosine transform) as long as its shorter side keeps this many pixels. nil decodes at full size.
    /// - Errors: `PictureError`. A cut file is corrupt, even where a decoder could fill in grey.
    public init(
        decoding bytes: UnsafeRawBufferPointer, limits: PictureLimits = PictureLimits(), minimumSide: Int? = nil
    ) throws(PictureError) {
        let header = try PictureHeader(bytes, limits: limits)
        let stored =
            switch header.format {
            case .png: try Picture(png: bytes, header: header)
            case .jpeg: try Picture(jpeg: bytes, header: header, minimumSide: minimumSide)
            }
        self = stored.oriented(header.orientation)
    }

    /// As `init(decoding:limits:minimumSide:)`, of an array.
    public init(
        decoding bytes: [UInt8], limits: PictureLimits = PictureLimits(), minimumSide: Int? = nil
    ) throws(PictureError) {
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(PictureError) in
            try Picture(decoding: UnsafeRawBufferPointer(bytes), limits: limits, minimumSide: minimumSide)
        }
    }

    /// The picture turned and mirrored as EXIF's `orientation` (1...8) asks.
    func oriented(_ orientation: Int) -> Picture {
        guard orientation != 1 else { return self }
        let turned = orientation > 4
        return Picture(width: turned ? height : width, height: turned ? width : height) { out in
            pixels.withUnsafeBufferPointer { keel_orient($0.baseAddress, width, height, Int32(orientation), out) }
        }
    }

    private init(png bytes: UnsafeRawBufferPointer, header: PictureHeader) throws(PictureError) {
        try self.init(width: header.storedWidth, height: header.storedHeight) { (out) throws(PictureError) in
            try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(KEEL_DATA_MESSAGE)) {
                (message) throws(PictureError) in
                let failed = keel_png_decode(
                    bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, UInt32(header.storedWidth),
                    UInt32(header.storedHeight), out, message.baseAddress)
                guard failed == 0 else {
                    throw .corrupt(.png, reason: message.baseAddress.map { String(cString: $0) } ?? "")
                }
            }
        }
    }

    private init(jpeg bytes: UnsafeRawBufferPointer, header: PictureHeader, minimumSide: Int?) throws(PictureError) {
        guard let decoder = tjInitDecompress() else { throw .corrupt(.jpeg, reason: "not enough memory to decode it") }
        defer { tjDestroy(decoder) }
        let shorter = min(header.storedWidth, header.storedHeight)
        let reduction = minimumSide.flatMap { side in [8, 4, 2].first { shorter / $0 >= max(side, 1) } } ?? 1
        let width = (header.storedWidth + reduction - 1) / reduction
        let height = (header.storedHeight + reduction - 1) / reduction
        /// Decodes into `out`, whose pixels have `size` bytes.
        func decode(_ out: UnsafeMutablePointer<UInt8>, _ size: Int, _ format: TJPF) throws(PictureError) {
            let result = tjDecompress2(
                decoder, bytes.bindMemory(to: UInt8.self).baseAddress, UInt(bytes.count), out, Int32(width),
                Int32(width * size), Int32(height), Int32(format.rawValue), TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS)
            guard result != 0 else { return }
            let message = String(cString: tjGetErrorStr2(decoder))
            if tjGetErrorCode(decoder) == TJERR_WARNING.rawValue, isHarmless(message) { return }
            throw .corrupt(.jpeg, reason: message)
        }
        if header.components < 4 {
            try self.init(width: width, height: height) { (out) throws(PictureError) in try decode(out, 3, TJPF_RGB) }
            return
        }
        let inks = UnsafeMutablePointer<UInt8>.allocate(capacity: width * height * 4)
        defer { inks.deallocate() }
        try decode(inks, 4, TJPF_CMYK)
        self.init(width: width, height: height) { keel_cmyk_to_rgb(inks, width * height, header.isAdobe ? 1 : 0, $0) }
    }
}

extension PictureHeader {
    /// Reads the header and refuses a picture of more pixels than `limits` allow.
    public init(_ bytes: UnsafeRawBufferPointer, limits: PictureLimits) throws(PictureError) {
        try self.init(bytes)
        guard storedWidth <= limits.pixels / storedHeight else {
            throw .tooLarge(width: width, height: height, limit: limits.pixels)
        }
    }
}

/// Whether a warning of libjpeg's is about something that cameras get wrong without harm to the pixels. The others mean
/// that part of the picture was made up.
///
/// - Source: libjpeg's jerror.h.
private func isHarmless(_ warning: String) -> Bool {
    ["extraneous bytes before marker", "Invalid SOS parameters", "Unknown Adobe color transform", "unknown JFIF revision"]
        .contains { warning.contains($0) }
}

extension Picture {
    /// The picture as a JPEG file.
    ///
    /// - Parameter quality: 1...100.
    public func jpeg(quality: Int = 85) throws(PictureError) -> [UInt8] {
        precondition((1...100).contains(quality), "a JPEG's quality is 1...100")
        guard let encoder = tjInitCompress() else { throw .corrupt(.jpeg, reason: "not enough memory to encode it") }
        defer { tjDestroy(encoder) }
        var file: UnsafeMutablePointer<UInt8>?
        var count: UInt = 0
        defer { tjFree(file) }
        let result = tjCompress2(
            encoder, pixels, Int32(width), Int32(3 * width), Int32(height), Int32(TJPF_RGB.rawValue), &file, &count,
            Int32(TJSAMP_420.rawValue), Int32(quality), 0)
        guard result == 0, let file else { throw .corrupt(.jpeg, reason: String(cString: tjGetErrorStr2(encoder))) }
        return Array(UnsafeBufferPointer(start: file, count: Int(count)))
    }

    /// The picture as a PNG file, without loss.
    public func png() throws(PictureError) -> [UInt8] {
        let capacity = keel_png_capacity(UInt32(width), UInt32(height))
        let file = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = keel_png_encode(pixels, UInt32(width), UInt32(height), buffer.baseAddress, capacity)
        }
        guard !file.isEmpty else { throw .corrupt(.png, reason: "it is too large to encode") }
        return file
    }
}
