/// What bytes that aren't what was wanted look like, for an error message.
func contentName(_ file: ByteReading) -> String {
    let starts: [(String, [UInt8])] = [
        ("a GIF picture", Array("GIF8".utf8)), ("a BMP picture", Array("BM".utf8)),
        ("a TIFF picture", [0x49, 0x49, 0x2A, 0x00]), ("a TIFF picture", [0x4D, 0x4D, 0x00, 0x2A]),
        ("a PDF document", Array("%PDF".utf8)), ("a zip archive", [0x50, 0x4B, 0x03, 0x04]),
        ("a gzip file", [0x1F, 0x8B]), ("JSON", Array("{".utf8)), ("a PNG picture", [0x89, 0x50, 0x4E, 0x47]),
        ("a JPEG picture", [0xFF, 0xD8, 0xFF]), ("a FLAC recording", Array("fLaC".utf8)),
        ("an Ogg recording", Array("OggS".utf8)), ("an MP3 recording", Array("ID3".utf8)),
    ]
    if let known = starts.first(where: { file.starts(with: $0.1) }) { return known.0 }
    if file.starts(with: Array("RIFF".utf8)), let form = file.part(8..<12) {
        if form.starts(with: Array("WEBP".utf8)) { return "a WebP picture" }
        if form.starts(with: Array("WAVE".utf8)) { return "a WAV recording" }
    }
    if let box = file.part(4..<12), box.starts(with: Array("ftyp".utf8)) {
        let brand = String(decoding: box.bytes.suffix(4), as: UTF8.self)
        if ["heic", "heix", "mif1", "hevc"].contains(brand) { return "an HEIC picture" }
        return brand == "avif" ? "an AVIF picture" : "an MP4 file"
    }
    let head = String(decoding: file.bytes.prefix(1024), as: UTF8.self).lowercased()
    if head.contains("<svg") { return "an SVG picture" }
    if head.contains("<html") || head.contains("<!doctype") { return "an HTML page" }
    return "of an unknown format"
}
