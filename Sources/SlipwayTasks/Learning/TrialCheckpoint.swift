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
            return try JSONEncoder.ordered().encode(header) + Data("\n".utf8) + body
        }
    }
}
