internal import Foundation
internal import SlipwayDomain

/// A trial's state in one file: a line of JSON that says what it is, then the sections' bytes one after the other.
/// The line carries the bytes' SHA-256, so a cut or changed file is known as such.
struct TrialCheckpoint: Sendable {
    struct Header: Codable, Sendable {
        var format = 1
        var network: String
        /// The learner's own scalars.
        var state: [String: JSON]
        var sections: [Section] = []
        var sha256 = ""
    }
    struct Section: Codable, Sendable {
        var name: String
        var bytes: Int
    }

    var network: String
    var state: [String: JSON]
    var sections: [String: Data]

    init(network: NetworkKind, state: [String: JSON], sections: [String: Data]) {
        self.network = network.rawValue
        self.state = state
        self.sections = sections
    }

    /// nil when the file is none of ours, cut, or changed.
    init?(_ file: Data) {
        guard let end = file.firstIndex(of: UInt8(ascii: "\n")),
            let header = try? JSONDecoder().decode(Header.self, from: file[..<end]), header.format == 1
        else { return nil }
        let body = file[(end + 1)...]
        guard SHA256.digest(of: body).description == header.sha256 else { return nil }
        network = header.network
        state = header.state
        sections = [:]
        var at = body.startIndex
        for section in header.sections {
            guard section.bytes >= 0, section.bytes <= body.endIndex - at else { return nil }
            sections[section.name] = Data(body[at..<(at + section.bytes)])
            at += section.bytes
        }
    }

    /// The measurements of the whole trial so far.
    var history: [Measurement] {
        get { sections["history"].flatMap { try? JSONDecoder().decode([Measurement].self, from: $0) } ?? [] }
        set { sections["history"] = try? JSONEncoder().encode(newValue) }
    }

    /// What the trial says of the items that judge it.
    var validation: Predictions? {
        get {
            guard let width = state["outputs"]?.intValue, let bytes = sections["validation"], width > 0,
                bytes.count % (4 * width) == 0
            else { return nil }
            return Predictions(width: width, values: bytes.floats)
        }
        set {
            state["outputs"] = newValue.map { .integer($0.width) }
            sections["validation"] = newValue?.values.withUnsafeBytes { Data($0) }
        }
    }

    var file: Data {
        get throws {
            var body = Data()
            var header = Header(network: network, state: state)
            for (name, bytes) in sections.sorted(by: { $0.key < $1.key }) {
                header.sections.append(Section(name: name, bytes: bytes.count))
                body.append(bytes)
            }
            header.sha256 = SHA256.digest(of: body).description
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(header) + Data("\n".utf8) + body
        }
    }
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
func writeDurably(_ bytes: Data, to url: URL) throws {
    let temporary = url.appendingPathExtension("part")
    let descriptor = open(temporary.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileFault(temporary.path, errno) }
    var failure: Int32 = 0
    bytes.withUnsafeBytes { buffer in
        var at = 0
        while at < buffer.count {
            let written = write(descriptor, buffer.baseAddress?.advanced(by: at), buffer.count - at)
            if written > 0 { at += written } else if errno != EINTR { failure = errno; return }
        }
    }
    if failure == 0, fsync(descriptor) != 0 { failure = errno }
    if close(descriptor) != 0, failure == 0 { failure = errno }
    guard failure == 0 else { throw FileFault(temporary.path, failure) }
    guard rename(temporary.path, url.path) == 0 else { throw FileFault(url.path, errno) }
    let folder = open(url.deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw FileFault(url.deletingLastPathComponent().path, errno) }
    defer { close(folder) }
    guard fsync(folder) == 0 else { throw FileFault(url.deletingLastPathComponent().path, errno) }
}

/// A file that couldn't be written, with the system's reason.
struct FileFault: Error, CustomStringConvertible {
    var path: String
    var code: Int32

    init(_ path: String, _ code: Int32) {
        self.path = path
        self.code = code
    }

    var description: String { "\(path): \(String(cString: strerror(code)))" }
}
