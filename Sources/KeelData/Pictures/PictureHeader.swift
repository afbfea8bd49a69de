/// What a picture's header says, read without inflating anything.
public struct PictureHeader: Sendable, Equatable {
    public let format: PictureFormat
    /// Size of the picture as stored, before `orientation` is applied.
    public let storedWidth, storedHeight: Int
    /// EXIF's 1...8; 1 is upright.
    public let orientation: Int
    /// Colour planes of a JPEG (1, 3 or 4), 0 for a PNG.
    let components: Int
    /// Whether a JPEG has an Adobe marker; its four planes (CMYK, YCCK) are then stored inverted.
    let isAdobe: Bool

    /// Size of the upright picture.
    public var width: Int { orientation > 4 ? storedHeight : storedWidth }
    public var height: Int { orientation > 4 ? storedWidth : storedHeight }

    /// Reads the header of a PNG or JPEG file, told apart by its bytes.
    ///
    /// - Errors: `PictureError`. A JPEG without its end marker is corrupt: it was cut.
    public init(_ bytes: [UInt8]) throws(PictureError) {
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(PictureError) in
            try PictureHeader(UnsafeRawBufferPointer(bytes))
        }
    }

    /// As `init(_:)`, of memory that stays valid during the call.
    public init(_ bytes: UnsafeRawBufferPointer) throws(PictureError) {
        let reading = ByteReading(bytes: bytes)
        if reading.count == 0 { throw .corrupt(nil, reason: "it has no bytes") }
        if reading.starts(with: pngSignature) {
            try self.init(png: reading)
        } else if reading.starts(with: [0xFF, 0xD8]) {
            try self.init(jpeg: reading)
        } else if pngSignature.starts(with: bytes) || bytes.elementsEqual([0xFF]) {
            throw .corrupt(nil, reason: "the file ends within its signature")
        } else {
            throw .mismatch(found: contentName(reading))
        }
    }

    init(
        format: PictureFormat, width: Int, height: Int, orientation: Int, components: Int = 0, isAdobe: Bool = false
    ) {
        self.format = format
        (storedWidth, storedHeight) = (width, height)
        self.orientation = orientation
        self.components = components
        self.isAdobe = isAdobe
    }
}

private let pngSignature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

// MARK: - PNG

extension PictureHeader {
    /// - Source: PNG specification, third edition, sections 5 and 11.
    private init(png file: ByteReading) throws(PictureError) {
        guard file.long(8) == 13, file.part(12..<16)?.starts(with: Array("IHDR".utf8)) == true,
            let width = file.long(16), let height = file.long(20), file.count >= 33
        else { throw .corrupt(.png, reason: "it doesn't begin with a whole IHDR chunk") }
        let allowed = 1...Int(Int32.max)
        guard allowed.contains(width), allowed.contains(height) else {
            throw .corrupt(.png, reason: "its header says \(width) x \(height) pixels")
        }
        self.init(format: .png, width: width, height: height, orientation: Self.orientation(png: file))
    }

    /// The orientation in an eXIf chunk, wherever it stands; 1 when there is none.
    private static func orientation(png file: ByteReading) -> Int {
        var position = 33
        while let length = file.long(position), let type = file.part(position + 4..<position + 8) {
            let body = position + 8
            if type.starts(with: Array("eXIf".utf8)), let exif = file.part(body..<body + length) {
                return exifOrientation(exif)
            }
            if type.starts(with: Array("IEND".utf8)) { break }
            position = body + length + 4
        }
        return 1
    }
}

// MARK: - JPEG

extension PictureHeader {
    /// - Source: ITU-T T.81, annex B; EXIF 2.3, section 4; Adobe technical note 5116.
    private init(jpeg file: ByteReading) throws(PictureError) {
        var frame: (width: Int, height: Int, components: Int)?
        var orientation = 1
        var isAdobe = false
        var position = 2
        scan: while true {
            // A marker is 0xFF and a byte that isn't zero; more 0xFF may fill up before it, and libjpeg skips other bytes.
            guard var at = file.position(of: 0xFF, from: position) else { break }
            while file.byte(at + 1) == 0xFF { at += 1 }
            guard let marker = file.byte(at + 1) else { break }
            position = at + 2
            switch marker {
            case 0x00, 0x01, 0xD0...0xD7:  // a stuffed byte of entropy-coded data, or a marker without a body
                continue
            case 0xD8:
                throw .corrupt(.jpeg, reason: "a second start marker at byte \(at)")
            case 0xD9:
                guard let frame else { throw .corrupt(.jpeg, reason: "it has no frame header") }
                self.init(
                    format: .jpeg, width: frame.width, height: frame.height, orientation: orientation,
                    components: frame.components, isAdobe: isAdobe)
                return
            default:
                guard let length = file.word(position), length >= 2, let body = file.part(position + 2..<position + length)
                else { break scan }
                position += length
                switch marker {
                case 0xC0...0xC2:
                    guard frame == nil else { throw .corrupt(.jpeg, reason: "a second frame header at byte \(at)") }
                    frame = try Self.frame(body)
                case 0xC3, 0xC5...0xC7, 0xC9...0xCB, 0xCD...0xCF:
                    throw .unsupported(.jpeg, reason: "its coding (lossless, hierarchical or arithmetic) is unusual")
                case 0xE1 where body.starts(with: Array("Exif\0\0".utf8)) && orientation == 1:
                    orientation = body.part(6..<body.count).map(exifOrientation) ?? 1
                case 0xEE where body.starts(with: Array("Adobe".utf8)) && body.count >= 12:
                    isAdobe = true
                default: break
                }
            }
        }
        guard let frame else { throw .corrupt(.jpeg, reason: "it ends before its frame header") }
        throw .corrupt(.jpeg, reason: "it declares \(frame.width) x \(frame.height) pixels and ends before its end marker")
    }

    private static func frame(_ body: ByteReading) throws(PictureError) -> (width: Int, height: Int, components: Int) {
        guard let precision = body.byte(0), let height = body.word(1), let width = body.word(3), let planes = body.byte(5),
            width > 0, height > 0
        else { throw .corrupt(.jpeg, reason: "its frame header has no size") }
        guard precision == 8 else { throw .unsupported(.jpeg, reason: "it has \(precision) bits a sample instead of 8") }
        guard [1, 3, 4].contains(planes) else { throw .unsupported(.jpeg, reason: "it has \(planes) colour planes") }
        return (width, height, Int(planes))
    }
}

/// The orientation in a TIFF block as EXIF uses it; 1 when it has none or isn't whole.
private func exifOrientation(_ tiff: ByteReading) -> Int {
    let bigEndian: Bool
    switch (tiff.byte(0), tiff.byte(1)) {
    case (0x4D, 0x4D): bigEndian = true
    case (0x49, 0x49): bigEndian = false
    default: return 1
    }
    guard tiff.word(2, bigEndian: bigEndian) == 42, let directory = tiff.long(4, bigEndian: bigEndian),
        let entries = tiff.word(directory, bigEndian: bigEndian)
    else { return 1 }
    for entry in 0..<entries {
        let position = directory + 2 + 12 * entry
        guard let tag = tiff.word(position, bigEndian: bigEndian) else { return 1 }
        guard tag == 0x0112 else { continue }
        let value = tiff.word(position + 8, bigEndian: bigEndian) ?? 1
        return (1...8).contains(value) ? value : 1
    }
    return 1
}
