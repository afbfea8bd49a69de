package import SlipwayDomain

/// Why an uploaded archive is refused. Nothing of it has been written when one of these is thrown by `ZipArchive.init`.
package enum ArchiveError: Error, Equatable {
    /// The file can't be opened or read: ours or the disk's fault, not the user's.
    case unreadable(reason: String)
    case notZip(found: String)
    case empty
    case corrupt(entry: String?, reason: String)
    case tooManyEntries(count: Int, limit: Int)
    case tooLarge(bytes: Int, limit: Int)
    /// An entry that grows more than `limit` times while it is inflated.
    case ratio(entry: String, limit: Int)
    case pathEscape(entry: String)
    case badName(entry: String, reason: String)
    case link(entry: String)
    case special(entry: String)
    case nested(entry: String)
    case duplicate(entry: String, other: String)
    case encrypted(entry: String)
    case unsupportedMethod(entry: String, method: Int)

    package var problem: Problem {
        let (status, code, detail) = facts
        return Problem(
            status, code, title: "The archive can't be used", detail: detail,
            errors: entry.map { [Problem.Place(entry: $0, code: code, detail: detail)] } ?? [])
    }

    /// The entry at fault, where it is one.
    private var entry: String? {
        switch self {
        case .unreadable, .notZip, .empty, .tooManyEntries, .tooLarge: nil
        case .corrupt(let entry, _): entry
        case .ratio(let entry, _), .pathEscape(let entry), .badName(let entry, _), .link(let entry), .special(let entry),
            .nested(let entry), .duplicate(let entry, _), .encrypted(let entry), .unsupportedMethod(let entry, _):
            entry
        }
    }

    private var facts: (Int, String, String) {
        switch self {
        case .unreadable(let reason): (500, "archive-unreadable", "The stored upload can't be read: \(reason).")
        case .notZip(let found): (415, "archive-unsupported", "The upload is \(found); a zip archive is expected.")
        case .empty: (422, "archive-empty", "The archive holds no files.")
        case .corrupt(let entry?, let reason): (422, "archive-corrupt", "The entry '\(entry)' is damaged: \(reason).")
        case .corrupt(nil, let reason): (422, "archive-corrupt", "The archive is damaged: \(reason).")
        case .tooManyEntries(let count, let limit):
            (413, "archive-too-many-entries", "The archive has \(count) entries; at most \(limit) are allowed.")
        case .tooLarge(let bytes, let limit):
            (413, "archive-too-large", "The archive's files are \(bytes) bytes unpacked; at most \(limit) are allowed.")
        case .ratio(let entry, let limit):
            (413, "archive-too-large", "The entry '\(entry)' unpacks to more than \(limit) times its size.")
        case .pathEscape(let entry):
            (
                422, "archive-path-escape",
                "The entry '\(entry)' names a place outside the archive: names are relative, with '/' between folders."
            )
        case .badName(let entry, let reason): (422, "archive-bad-name", "The entry name '\(entry)' can't be used: \(reason).")
        case .link(let entry): (422, "archive-link-entry", "The entry '\(entry)' is a link; only files are taken.")
        case .special(let entry): (422, "archive-special-entry", "The entry '\(entry)' is a device, pipe or socket.")
        case .nested(let entry):
            (422, "archive-nested", "The entry '\(entry)' is itself an archive; put the files in one archive.")
        case .duplicate(let entry, let other):
            (
                422, "archive-duplicate-entry",
                entry == other
                    ? "Two entries are called '\(entry)'."
                    : "The entries '\(entry)' and '\(other)' differ only in how letters are written."
            )
        case .encrypted(let entry): (422, "archive-encrypted", "The entry '\(entry)' is encrypted.")
        case .unsupportedMethod(let entry, let method):
            (422, "archive-unsupported-method", "The entry '\(entry)' is compressed by method \(method); use deflate.")
        }
    }
}
