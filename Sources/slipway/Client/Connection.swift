import ArgumentParser
import Foundation
import SlipwayDomain

/// Where the platform is and who asks: `--url` and `--key`, SLIPWAY_URL and SLIPWAY_API_KEY, or what a platform on this
/// machine left in its data directory.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "Where the platform answers. [SLIPWAY_URL] (default: the platform on this machine)")
    var url: String?

    @Option(help: "The API key; rather set SLIPWAY_API_KEY, which other users of the machine can't see.")
    var key: String?

    @Option(help: "The data directory of a platform on this machine. [SLIPWAY_DATA_DIR]")
    var dataDir: String?

    @Flag(help: "Print results as JSON on standard output, and a problem as JSON on standard error.")
    var json = false

    var output: Output { Output(isJSON: json) }

    func api(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> API {
        let directory = try dataDir ?? Configuration(flags: [:], environment: environment)[Settings.dataDirectory]
        let named = [url, environment["SLIPWAY_URL"]].compactMap(\.self).first { !$0.isEmpty }
        let found = try named ?? Self.line(of: directory + "/url")
        let key = [key, environment["SLIPWAY_API_KEY"]].compactMap(\.self).first { !$0.isEmpty }
        guard let found else {
            throw Failure.unreachable(
                url: directory, reason: "no platform has run there: \(directory)/url doesn't exist or can't be read")
        }
        guard found.hasPrefix("http://") || found.hasPrefix("https://") else {
            throw Failure.usage("'\(found)' is no address: http://HOST:PORT is wanted")
        }
        // Another machine's platform never sees this machine's key.
        let isLocal = try named == nil || Self.line(of: directory + "/url") == found
        guard let key = try key ?? (isLocal ? Self.line(of: directory + "/admin.key") : nil) else {
            let reason = isLocal ? "\(directory)/admin.key isn't there, or not this user's to read" : "there is none for \(found)"
            throw Failure.denied(
                Problem(401, "key-missing", title: "An API key is needed", detail: "set SLIPWAY_API_KEY: \(reason)"))
        }
        return try API(url: found, key: key)
    }

    /// The first line; nil when there is no such file or it isn't ours to read.
    private static func line(of path: String) throws -> String? {
        guard FileManager.default.isReadableFile(atPath: path) else { return nil }
        return try String(contentsOfFile: path, encoding: .utf8).split(whereSeparator: \.isNewline).first.map(String.init)
    }
}
