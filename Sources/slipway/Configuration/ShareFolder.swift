import Foundation

/// Where `Migrations`, `Templates` and `Examples` are: the setting, or beside the binary, or the checkout that it was built in.
struct ShareFolder: Sendable {
    enum Origin: String, Sendable {
        case setting = "the setting share"
        case installation = "share/slipway beside the binary"
        case checkout = "the checkout above the binary"
    }

    let path: String
    let origin: Origin

    init(_ configuration: Configuration) throws(ShareFolderError) {
        if let path = configuration[Settings.share] {
            guard Self.isComplete(path) else { throw .incomplete(path) }
            (self.path, origin) = (path, .setting)
            return
        }
        let binary = Self.binary
        let installed = URL(filePath: binary).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "share/slipway").path(percentEncoded: false)
        if Self.isComplete(installed) {
            (path, origin) = (installed, .installation)
            return
        }
        var folder = URL(filePath: binary).deletingLastPathComponent()
        while folder.pathComponents.count > 1 {
            folder.deleteLastPathComponent()
            var candidate = folder.path(percentEncoded: false)
            if candidate.count > 1, candidate.hasSuffix("/") { candidate.removeLast() }
            if Self.isComplete(candidate) {
                (path, origin) = (candidate, .checkout)
                return
            }
        }
        throw .missing(beside: installed)
    }

    var migrations: String { path + "/Migrations" }
    var templates: String { path + "/Templates" }
    var examples: String { path + "/Examples/data" }

    /// The running program, with symbolic links resolved.
    static var binary: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    private static func isComplete(_ path: String) -> Bool {
        ["Migrations", "Templates"].allSatisfy { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder) && isFolder.boolValue
        }
    }
}

enum ShareFolderError: Error, CustomStringConvertible {
    case incomplete(String)
    case missing(beside: String)

    var description: String {
        switch self {
        case .incomplete(let path): "\(path) has no Migrations and Templates: SLIPWAY_SHARE names the wrong folder"
        case .missing(let path): "Migrations and Templates are missing: they should be in \(path), or where SLIPWAY_SHARE says"
        }
    }
}
