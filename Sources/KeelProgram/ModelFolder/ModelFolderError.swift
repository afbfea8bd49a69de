/// Why a folder isn't read as a model.
public enum ModelFolderError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file that isn't there, or is no plain file: a link, a folder, a device.
    case file(name: String, String)
    /// `model.json` can't be understood.
    case manifest(String)
    /// It was written by a newer program.
    case format(Int, newest: Int)
    /// The folder lacks a file that a model has.
    case files(given: [String], expected: [String])
    /// A file isn't what was written.
    case changed(name: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .file(let name, let what): "\(name): \(what)".withoutControls
        case .manifest(let what): "\(ModelManifest.name) can't be read: \(what)".withoutControls
        case .format(let format, let newest): "\(ModelManifest.name) has format \(format); this program reads 1 to \(newest)"
        case .files(let given, let expected): "the model consists of \(given.joined(separator: ", ")); expected \(expected.joined(separator: ", "))".withoutControls
        case .changed(let name, let expected, let found): "\(name) isn't what was written: \(found), expected \(expected)".withoutControls
        }
    }
}
