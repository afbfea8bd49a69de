import Foundation
import Testing

/// What a script of the folder `Golden` computed without Keel, as JSON.
struct Golden {
    private let entries: [String: Any]

    static func url(_ file: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden/golden_\(file)")
    }

    init(_ name: String) throws {
        let data = try Data(contentsOf: Golden.url("\(name).json"))
        entries = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    func entry<T>(_ name: String, as type: T.Type = T.self) throws -> T {
        try #require(entries[name] as? T, "\(name) isn't in the file, or is something else")
    }

    func numbers(_ name: String) throws -> [Double] { try entry(name, as: [NSNumber].self).map(\.doubleValue) }
    func integers(_ name: String) throws -> [Int] { try entry(name, as: [NSNumber].self).map(\.intValue) }
    func lists(_ name: String) throws -> [[Int]] { try entry(name, as: [[NSNumber]].self).map { $0.map(\.intValue) } }
}
