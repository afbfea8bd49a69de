import Foundation
import KeelDecoders
import SlipwayDomain
import SlipwayTasks

/// The platform's own decoders, beside Keel's that it uses.
package let slipwayDecoders: [ByteDecoder] = [
    ByteDecoder("zip", seeds: { try zips.map { try Golden.bytes($0) } }, decode: archive)
]

/// By Python's zipfile: deflated and stored entries, a Chinese name and a folder; then sizes behind the data, and a comment.
private let zips = [
    "UEsDBBQAAAAIAABgP1hkSE85CgAAAGQAAAAJAAAAY2F0LzAudHh0y03NL1fIpS0BAFBLAwQUAAAIAAAAYD9YIXiT0gQAAAAEAAAACQAAAOeLly8wLnR4dHdvb2ZQSwMEFAAAAAAAAGA/WAAAAAAAAAAAAAAAAAQAAABjYXQvUEsBAhQDFAAAAAgAAGA/WGRITzkKAAAAZAAAAAkAAAAAAAAAAAAAAKSBAAAAAGNhdC8wLnR4dFBLAQIUAxQAAAgAAABgP1gheJPSBAAAAAQAAAAJAAAAAAAAAAAAAACkgTEAAADni5cvMC50eHRQSwECFAMUAAAAAAAAYD9YAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAApIFcAAAAY2F0L1BLBQYAAAAAAwADAKAAAAB+AAAAAAA=",
    "UEsDBBQACAAIAABgP1gAAAAAAAAAAAAAAAAHAAAAYS9iLmNzdqvQqeQy1DHiqqASDQBQSwcIB1IUIQ0AAABQAAAAUEsBAhQDFAAIAAgAAGA/WAdSFCENAAAAUAAAAAcAAAAAAAAAAAAAAKSBAAAAAGEvYi5jc3ZQSwUGAAAAAAEAAQA1AAAAQgAAAAQAbm90ZQ==",
]

@Sendable private func archive(_ bytes: [UInt8]) throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "slipway-\(UUID()).zip")
    try Data(bytes).write(to: file)
    defer { unlink(file.path) }
    var limits = ImportLimits()
    limits.archiveBytes = 1 << 20
    do {
        let archive = try ZipArchive(path: file.path, limits: limits)
        for entry in archive.entries {
            try require(!entry.name.hasPrefix("/") && !entry.name.split(separator: "/").contains(".."), entry.name)
            try require(try archive.contents(of: entry).count == entry.size, entry.name)
        }
    } catch is ArchiveError {
        return
    }
}
