import CArchive
import Foundation
import Glibc

/// A folder of pictures as a zip: stored, not compressed (pictures are already), with UTF-8 names. A temporary file.
struct FolderArchive {
    let path: String

    init(of folder: String) throws {
        let root = URL(filePath: folder).standardizedFileURL.resolvingSymlinksInPath()
        let files = try Self.files(below: root)
        guard !files.isEmpty else { throw Failure.usage("\(folder): there are no files in it") }

        let path = FileManager.default.temporaryDirectory.appending(path: "slipway-\(UUID().uuidString).zip")
            .path(percentEncoded: false)
        let writer = archive_write_new()
        defer { archive_write_free(writer) }
        do {
            try Self.check(archive_write_set_format_zip(writer), writer)
            try Self.check(archive_write_zip_set_compression_store(writer), writer)
            try Self.check(archive_write_set_options(writer, "hdrcharset=UTF-8"), writer)
            try Self.check(archive_write_open_filename(writer, path), writer)
            for file in files {
                try Task.checkCancellation()
                try Self.add(file.url, as: file.name, to: writer)
            }
            try Self.check(archive_write_close(writer), writer)
        } catch {
            unlink(path)
            throw error
        }
        self.path = path
    }

    func remove() { unlink(path) }

    /// In the order of their names, so that the same folder gives the same archive. Hidden files and links are left out.
    private static func files(below root: URL) throws -> [(url: URL, name: String)] {
        let keys: [URLResourceKey] = [.isRegularFileKey]
        var obstacle: String?
        guard
            let walk = FileManager.default.enumerator(
                at: root, includingPropertiesForKeys: keys, options: [.skipsHiddenFiles],
                errorHandler: { url, error in
                    obstacle = obstacle ?? "\(url.path(percentEncoded: false)): \(reason(error))"
                    return true
                })
        else { throw Failure.usage("\(root.path(percentEncoded: false)): can't be read") }
        var files: [(url: URL, name: String)] = []
        let prefix = root.path(percentEncoded: false).split(separator: "/").count
        for case let url as URL in walk where try url.resourceValues(forKeys: Set(keys)).isRegularFile == true {
            let parts = url.path(percentEncoded: false).split(separator: "/").dropFirst(prefix)
            files.append((url, parts.joined(separator: "/")))
        }
        if let obstacle { throw Failure.usage(obstacle) }
        return files.sorted { $0.name < $1.name }
    }

    private static func add(_ file: URL, as name: String, to writer: OpaquePointer?) throws {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: file, options: .mappedIfSafe)
        } catch {
            throw Failure.message("\(file.path(percentEncoded: false)): \(reason(error))")
        }
        let entry = archive_entry_new()
        defer { archive_entry_free(entry) }
        archive_entry_update_pathname_utf8(entry, name)
        archive_entry_set_filetype(entry, UInt32(Glibc.S_IFREG))
        archive_entry_set_perm(entry, 0o644)
        archive_entry_set_size(entry, Int64(bytes.count))
        // 1980-01-01, the first day that a zip knows: an archive says what is in the files, not when they were copied.
        archive_entry_set_mtime(entry, 315_532_800, 0)
        try check(archive_write_header(writer, entry), writer)
        try bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = archive_write_data(writer, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                guard count > 0 else { throw Failure.message("packing \(name): \(Self.text(of: writer))") }
                rest = rest.dropFirst(count)
            }
        }
    }

    private static func check(_ code: Int32, _ writer: OpaquePointer?) throws {
        guard code >= ARCHIVE_WARN else { throw Failure.message("packing the folder: \(text(of: writer))") }
    }

    private static func text(of writer: OpaquePointer?) -> String {
        archive_error_string(writer).map { String(cString: $0) } ?? "libarchive gave no reason"
    }
}
