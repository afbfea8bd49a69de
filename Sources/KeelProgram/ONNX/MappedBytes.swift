import Foundation
internal import Keel

/// The bytes of a model or of a tensor's external data, mapped or in memory, that messages hold ranges of.
///
/// Unchecked because the bytes are only read, and live as long as this does.
package final class MappedBytes: @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer
    private let file: MappedFile?

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

    package init(copying data: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: data.count, alignment: 16)
        copy.copyBytes(from: data)
        (bytes, file) = (UnsafeRawBufferPointer(copy), nil)
    }

    deinit {
        if file == nil { bytes.deallocate() }
    }
}

/// Where a model's external data lies: in the model's folder, or in files whose paths are told by their names.
package struct ExternalData: Sendable {
    /// Nil for a model that came as bytes: it has no folder.
    private let folder: String?
    private let files: [String: String]?

    package init(folder: String?) { (self.folder, files) = (folder, nil) }
    package init(files: [String: String]) { (folder, self.files) = (nil, files) }

    /// The bytes that `tensor` names: a plain relative path to a regular file inside the folder, without a symbolic link on the way.
    ///
    /// - Source: ONNX, *External Data*; `location`, `offset`, `length`.
    func bytes(of tensor: ONNX.TensorData) throws(ONNXError) -> (MappedBytes, Range<Int>) {
        let location = tensor.external["location"] ?? ""
        func wrong(_ what: String) -> ONNXError { .externalData(tensor: tensor.label, location: location, what) }
        let path: String
        if let files {
            guard let file = files[location] else { throw wrong("isn't among the files that came with the model") }
            path = file
        } else {
            path = try self.path(of: location, wrong)
        }
        func number(_ key: String) throws(ONNXError) -> Int? {
            guard let text = tensor.external[key] else { return nil }
            guard let value = Int(text), value >= 0 else { throw wrong("has the \(key) '\(text)'") }
            return value
        }
        let file: MappedBytes
        do { file = try MappedBytes(path: path) } catch { throw wrong("can't be read") }
        let offset = try number("offset") ?? 0
        guard offset <= file.bytes.count else { throw wrong("has \(file.bytes.count) bytes, the tensor begins at \(offset)") }
        let length = try number("length") ?? file.bytes.count - offset
        guard length <= file.bytes.count - offset else {
            throw wrong("has \(file.bytes.count) bytes, the tensor's are \(offset)..<\(offset.addingReportingOverflow(length).partialValue)")
        }
        return (file, offset..<(offset + length))
    }

    /// A plain relative path inside the folder.
    private func path(of location: String, _ wrong: (String) -> ONNXError) throws(ONNXError) -> String {
        guard let folder else { throw wrong("can't be read: the model came without a folder") }
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
