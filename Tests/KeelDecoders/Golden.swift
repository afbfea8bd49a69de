import Foundation

/// What a script of the folder `KeelDataTests/Golden` computed without Keel, as JSON.
package struct Golden {
    private let name: String
    private let entries: [String: Any]

    package init(_ name: String) throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "KeelDataTests/Golden/golden_\(name).json")
        self.name = name
        entries = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
    }

    package func entry<T>(_ key: String, as type: T.Type = T.self) throws -> T {
        guard let entry = entries[key] as? T else { throw Missing(entry: key, file: name) }
        return entry
    }

    package func numbers(_ key: String) throws -> [Double] { try entry(key, as: [NSNumber].self).map(\.doubleValue) }
    package func integers(_ key: String) throws -> [Int] { try entry(key, as: [NSNumber].self).map(\.intValue) }
    package func lists(_ key: String) throws -> [[Int]] { try entry(key, as: [[NSNumber]].self).map { $0.map(\.intValue) } }

    /// The bytes of a file that the script wrote as base64.
    package static func bytes(_ base64: Any?) throws -> [UInt8] {
        guard let text = base64 as? String, let data = Data(base64Encoded: text) else { throw CocoaError(.coderReadCorrupt) }
        return Array(data)
    }

    /// An entry that isn't in the file, or is something else.
    struct Missing: Error { let entry, file: String }
}
