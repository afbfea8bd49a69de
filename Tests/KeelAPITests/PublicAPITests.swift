import Foundation
import Testing

/// `Golden/MODULE.txt` lists what each product's module makes public, so that a change to it is a line in the diff.
/// `SLIPWAY_WRITE_GOLDEN=api` (`make api`) writes the lists anew.
@Test(arguments: ["Keel", "KeelNN", "KeelData", "KeelProgram", "KeelModels"])
func thePublicAPIIsAsListed(_ module: String) throws {
    let golden = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(module).txt")
    // The modules lie beside the test bundle that runs.
    let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let found = try SymbolGraph(of: module, builtIn: products).listing
    if ProcessInfo.processInfo.environment["SLIPWAY_WRITE_GOLDEN"] == "api" { try Data(found.utf8).write(to: golden) }
    let listed = try String(contentsOf: golden, encoding: .utf8)
    let difference = lines(found).difference(from: lines(listed)).map {
        switch $0 {
        case .insert(_, let line, _): "+ " + line
        case .remove(_, let line, _): "- " + line
        }
    }
    #expect(difference == [], "`make api` writes the list anew")
}

/// Each line with the type that it belongs to.
private func lines(_ listing: String) -> [String] {
    var type = Substring()
    return listing.split(separator: "\n").map { line in
        if !line.hasPrefix(" ") { type = line }
        return line.hasPrefix(" ") ? "\(type):\(line)" : String(line)
    }
}
