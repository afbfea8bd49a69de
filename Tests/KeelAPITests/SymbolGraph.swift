import Foundation

/// What the compiler's `swift-symbolgraph-extract` says of a module that was built: its public declarations.
struct SymbolGraph {
    private var symbols: [Symbol] = []
    private var relationships: [Relationship] = []

    /// - Parameters:
    ///   - module: one that was built.
    ///   - products: the build's folder, named for the triple and the configuration.
    init(of module: String, builtIn products: URL) throws {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appending(path: "keel-symbols-\(UUID())")
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: folder) }
        let extract = Process()
        extract.executableURL = URL(filePath: "/usr/bin/env")
        var arguments = [
            "swift-symbolgraph-extract", "-module-name", module, "-I", products.appending(path: "Modules").path,
            "-target", products.deletingLastPathComponent().lastPathComponent, "-minimum-access-level", "public",
            "-skip-synthesized-members", "-skip-inherited-docs", "-output-dir", folder.path,
        ]
        // The C modules that it imports: the system's, and our own.
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Sources")
        for parent in [sources, products] {
            for name in try files.contentsOfDirectory(atPath: parent.path) {
                let map = parent.appending(path: "\(name)/module.modulemap").path
                if files.fileExists(atPath: map) { arguments += ["-Xcc", "-fmodule-map-file=\(map)"] }
            }
        }
        extract.arguments = arguments
        try extract.run()
        extract.waitUntilExit()
        guard extract.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
        // One file for the module, and one for each other module that it extends.
        for file in try files.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).sorted(by: { $0.path < $1.path }) {
            let graph = try JSONDecoder().decode(File.self, from: Data(contentsOf: file))
            symbols += graph.symbols
            relationships += graph.relationships
        }
    }

    /// Types and free functions in alphabetical order, each type with its members: a declaration a line.
    var listing: String {
        var conformances: [String: Set<String>] = [:]
        for relation in relationships where ["conformsTo", "inheritsFrom"].contains(relation.kind) {
            guard let name = names[relation.target] ?? relation.targetFallback else { continue }
            conformances[relation.source, default: []].insert(String(name.split(separator: ".").last ?? ""))
        }
        var groups: [String: Set<String>] = [:]
        for symbol in symbols where symbol.kind.identifier != "swift.extension" {
            let owner = symbol.pathComponents.dropLast().joined(separator: ".")
            if symbol.isType {
                // A protocol's declaration says what it refines.
                let kept = symbol.isProtocol ? [] : conformances[symbol.identifier.precise, default: []].subtracting(Self.implied).sorted()
                let type = symbol.pathComponents.joined(separator: ".")
                groups[type, default: []].insert(symbol.declaration(named: type, conformingTo: kept))
            } else if !Self.witnesses.contains(symbol.pathComponents.last ?? "") {
                groups[owner.isEmpty ? symbol.pathComponents[0] : owner, default: []].insert((owner.isEmpty ? "" : "    ") + symbol.declaration)
            }
        }
        return groups.sorted { $0.key < $1.key }.map { name, lines in
            // The type itself comes first; what extends another module's type has that type's name as its head.
            var lines = lines.sorted { ($0.hasPrefix(" ") ? 1 : 0, $0) < ($1.hasPrefix(" ") ? 1 : 0, $1) }
            if lines[0].hasPrefix(" ") { lines.insert("extension \(name)", at: 0) }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n\n") + "\n"
    }

    private var names: [String: String] {
        Dictionary(symbols.map { ($0.identifier.precise, $0.pathComponents.joined(separator: ".")) }) { first, _ in first }
    }

    /// What every type has without saying so.
    private static let implied: Set<String> = ["Copyable", "Escapable", "BitwiseCopyable", "SendableMetatype"]

    /// What a type has by conforming to `Hashable`, `Codable` or `RawRepresentable`, which its first line says.
    private static let witnesses: Set<String> = ["==(_:_:)", "hash(into:)", "init(from:)", "encode(to:)", "init(rawValue:)"]
}

private struct File: Decodable {
    let symbols: [Symbol]
    let relationships: [Relationship]
}

private struct Relationship: Decodable {
    let kind, source, target: String
    let targetFallback: String?
}

private struct Symbol: Decodable {
    struct Kind: Decodable { let identifier: String }
    struct Identifier: Decodable { let precise: String }
    struct Fragment: Decodable { let kind, spelling: String }

    let kind: Kind
    let identifier: Identifier
    let pathComponents: [String]
    let declarationFragments: [Fragment]

    var isType: Bool {
        ["swift.struct", "swift.class", "swift.enum", "swift.protocol", "swift.actor"].contains(kind.identifier)
    }

    var isProtocol: Bool { kind.identifier == "swift.protocol" }

    /// The declaration as it is written, on one line.
    var declaration: String {
        declarationFragments.map(\.spelling).joined().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    /// A type's declaration with its whole name, and its conformances before what limits its parameters.
    func declaration(named name: String, conformingTo protocols: [String]) -> String {
        let declaration = declarationFragments.map { $0.kind == "identifier" ? name : $0.spelling }.joined()
            .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let head = declaration.prefix(upTo: declaration.firstRange(of: " where ")?.lowerBound ?? declaration.endIndex)
        return head + (protocols.isEmpty ? "" : ": " + protocols.joined(separator: ", ")) + declaration.dropFirst(head.count)
    }
}
