import Foundation
import SlipwayDomain
import SlipwaySystem

/// Events of one kind in a file, in the order they came: an import's items, which are too many for memory.
final class SpoolWriter {
    private let path: String
    private let file: UnsafeMutablePointer<FILE>

    init(_ path: String) throws(SystemError) {
        self.path = path
        guard let file = fopen(path, "we") else { throw SystemError("opening \(path)") }
        self.file = file
    }

    deinit { fclose(file) }

    func append(_ line: UnsafeRawBufferPointer) throws(SystemError) {
        guard fwrite(line.baseAddress, 1, line.count, file) == line.count, putc(10, file) == 10 else {
            throw SystemError("writing \(path)")
        }
    }

    func append(_ value: some Encodable, _ encoder: JSONEncoder) throws {
        try encoder.encode(value).withUnsafeBytes { try append($0) }
    }

    func flush() throws(SystemError) {
        guard fflush(file) == 0 else { throw SystemError("writing \(path)") }
    }
}

enum Spool {
    /// Hands over each line of a file.
    static func forEachLine(in path: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let file = fopen(path, "re") else { throw SystemError("opening \(path)") }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        while true {
            let count = getline(&line, &capacity, file)
            guard count > 0, let line else { break }
            let length = line[count - 1] == 10 ? count - 1 : count
            try body(UnsafeRawBufferPointer(start: line, count: length))
        }
        guard ferror(file) == 0 else { throw SystemError("reading \(path)") }
    }

    static func forEachEvent(in path: String, _ body: (TrainerEvent) throws -> Void) throws {
        let decoder = JSONDecoder()
        try forEachLine(in: path) { try body(try decoder.decode(TrainerEvent.self, from: Data($0))) }
    }
}
