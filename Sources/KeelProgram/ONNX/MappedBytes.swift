import Foundation
package import Keel

/// The bytes of a model or of a tensor's external data, mapped or in memory, that messages hold ranges of.
///
/// Unchecked because the bytes are only read, and live as long as this does.
package final class MappedBytes: @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer
    /// Nil for bytes in memory.
    let file: MappedFile?

    /// - Throws: `ONNXError.file`.
    package init(path: String) throws(ONNXError) {
        do {
            let file = try MappedFile(path)
            (bytes, self.file) = (file.bytes, file)
        } catch {
            guard case .file(_, let what) = error.reason else { throw .file(path: path, error.description) }
            throw .file(path: path, what)
        }
    }

    package init(_ file: MappedFile) { (bytes, self.file) = (file.bytes, file) }

    package init(copying data: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: data.count, alignment: 16)
        copy.copyBytes(from: data)
        (bytes, file) = (UnsafeRawBufferPointer(copy), nil)
    }

    deinit {
        if file == nil { bytes.deallocate() }
    }
}

/// Where a model's external data lies.
package enum ExternalData: Sendable {
    /// Nowhere: the model came as bytes.
    case none
    /// In the model's folder.
    case folder(String)
    /// In files whose paths are told by their names.
    case paths([String: String])
    /// In files that are mapped already, by their names.
    case files([String: MappedBytes])

    /// The bytes that `tensor` names: a plain relative path to a regular file inside the folder, without a symbolic link on the way.
    ///
    /// - Source: ONNX, *External Data*; `location`, `offset`, `length`.
    func bytes(of tensor: ONNX.TensorData) throws(ONNXError) -> (MappedBytes, Range<Int>) {
        let location = tensor.external["location"] ?? ""
        func wrong(_ what: String) -> ONNXError { .externalData(tensor: tensor.label, location: location, what) }
        let file = try file(at: location, wrong)
        func number(_ key: String) throws(ONNXError) -> Int? {
            guard let text = tensor.external[key] else { return nil }
            guard let value = Int(text), value >= 0 else { throw wrong("has the \(key) '\(text)'") }
            return value
        }
        let offset = try number("offset") ?? 0
        guard offset <= file.bytes.count else { throw wrong("has \(file.bytes.count) bytes, the tensor begins at \(offset)") }
        let length = try number("length") ?? file.bytes.count - offset
        guard length <= file.bytes.count - offset else {
            throw wrong("has \(file.bytes.count) bytes, the tensor's are \(offset)..<\(offset.addingReportingOverflow(length).partialValue)")
        }
        return (file, offset..<(offset + length))
    }

    private func file(at location: String, _ wrong: (String) -> ONNXError) throws(ONNXError) -> MappedBytes {
        let path: String
        switch self {
        case .none: throw wrong("can't be read: the model came without a folder")
        case .folder(let folder): path = try Self.path(of: location, in: folder, wrong)
        case .paths(let paths):
            guard let found = paths[location] else { throw wrong("isn't among the files that came with the model") }
            path = found
        case .files(let files):
            guard let found = files[location] else { throw wrong("isn't among the model's files") }
            return found
        }
        do { return try MappedBytes(path: path) } catch { throw wrong("can't be read") }
    }

    /// A plain relative path inside the folder.
    private static func path(of location: String, in folder: String, _ wrong: (String) -> ONNXError) throws(ONNXError) -> String {
        let parts = location.split(separator: "/", omittingEmptySubsequences: false)
        guard !location.isEmpty, !location.utf8.contains(0), !location.contains("\\"), parts.allSatisfy({ !["", ".", ".."].contains($0) }) else {
            throw wrong("isn't a plain path inside the model's folder")
        }
        var path = folder
        for (i, part) in parts.enumerated() {
            path += "/" + part
            var status = stat()
            guard lstat(path, &status) == 0 else { throw wrong("isn't there") }
            switch status.st_mode & S_IFMT {
            case S_IFREG where i == parts.count - 1: break
            case S_IFDIR where i < parts.count - 1: break
            case S_IFLNK: throw wrong("goes over a symbolic link")
            default: throw wrong("isn't a file")
            }
        }
        return path
    }
}
