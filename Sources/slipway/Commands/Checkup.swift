import Foundation
import Keel
import SlipwayClient
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwayTasks

/// What must be in order for a platform to run here. Nothing is changed by looking.
struct Checkup {
    struct Check: Sendable {
        enum State: String { case good, doubtful, bad }

        let name: String
        let state: State
        let found: String
        /// What to do about it.
        var remedy: String?
    }

    let configuration: Configuration

    func all() async -> [Check] {
        [version, settings, share, postgres, numerics, folder, disk, port, await platform]
    }

    private var version: Check {
        Check(name: "slipway", state: .good, found: "\(slipwayVersion), \(ShareFolder.binary)")
    }

    private var settings: Check {
        let file = configuration.file.map { "from \($0) and the environment" } ?? "from the environment; no file"
        return Check(name: "settings", state: .good, found: "\(file); `slipway config` shows them")
    }

    private var share: Check {
        do {
            let share = try ShareFolder(configuration)
            let migrations = try Migrations(directory: share.migrations).list.count
            let templates = try TemplateLibrary(folder: URL(filePath: share.templates)).templates.count
            return Check(
                name: "share folder", state: .good,
                found: "\(share.path), \(share.origin.rawValue): \(migrations) migrations, \(templates) templates")
        } catch {
            return Check(name: "share folder", state: .bad, found: Failure(error).lines.joined(separator: " "))
        }
    }

    private var postgres: Check {
        if let text = configuration[Settings.databaseURL] {
            do {
                return Check(name: "postgres", state: .good, found: "your server: \(try PostgresAddress(text))")
            } catch {
                return Check(name: "postgres", state: .bad, found: "\(error)", remedy: "correct SLIPWAY_DATABASE_URL")
            }
        }
        do {
            let binaries = try ServerBinaries.find(major: clusterMajor)
            return Check(name: "postgres", state: .good, found: "PostgreSQL \(binaries.major), \(binaries.directory)")
        } catch {
            return Check(name: "postgres", state: .bad, found: "\(error)")
        }
    }

    /// Of the cluster that the data directory has, if it has one and lets us look.
    private var clusterMajor: Int? {
        let path = configuration[Settings.dataDirectory] + "/postgres/PG_VERSION"
        return (try? String(contentsOfFile: path, encoding: .utf8)).flatMap { Int($0.prefix { $0.isNumber }) }
    }

    private var numerics: Check {
        do {
            try NumericLibraries.check()
        } catch {
            return Check(name: "numerics", state: .bad, found: "\(error)")
        }
        return Check(
            name: "numerics", state: .good,
            found: NumericLibraries.description + ", \(configuration[Settings.threads]) threads")
    }

    private var folder: Check {
        let path = configuration[Settings.dataDirectory]
        let existing = nearestExisting(path)
        guard access(existing, R_OK | W_OK | X_OK) == 0 else {
            return Check(
                name: "data directory", state: .bad, found: "\(existing) can't be written by this user",
                remedy: "choose another with --data-dir, or run as its owner")
        }
        let isNew = existing != path
        return Check(name: "data directory", state: .good, found: path + (isNew ? ", made at the first start" : ""))
    }

    private var disk: Check {
        let path = nearestExisting(configuration[Settings.dataDirectory])
        var status = statvfs()
        guard statvfs(path, &status) == 0, status.f_blocks > 0 else {
            return Check(name: "disk", state: .bad, found: "\(path): \(String(cString: strerror(errno)))")
        }
        let free = Double(status.f_bavail) * Double(status.f_frsize), share = Double(status.f_bavail) / Double(status.f_blocks)
        let found = "\((free / 1e9 * 10).rounded() / 10) GB free, \(Int(share * 100)) %"
        // Below this, uploads are answered 507.
        return share < 0.05
            ? Check(name: "disk", state: .bad, found: found, remedy: "less than 5 %: uploads are refused; free some")
            : Check(name: "disk", state: .good, found: found)
    }

    private var address: String? {
        let path = configuration[Settings.dataDirectory] + "/url"
        return (try? String(contentsOfFile: path, encoding: .utf8))?.split(whereSeparator: \.isNewline).first.map(String.init)
    }

    private var port: Check {
        let (host, port) = (configuration[Settings.host], configuration[Settings.port])
        guard port != 0 else { return Check(name: "port", state: .good, found: "any free one") }
        guard let obstacle = ListenAddress(host: host, port: port).obstacle else {
            return Check(name: "port", state: .good, found: "\(host):\(port) is free")
        }
        let isOurs = address?.hasSuffix(":\(port)") ?? false
        return isOurs
            ? Check(name: "port", state: .good, found: "\(host):\(port), this platform")
            : Check(
                name: "port", state: .doubtful, found: "\(host):\(port): \(obstacle)", remedy: "choose another with --port")
    }

    private var platform: Check {
        get async {
            guard let address else { return Check(name: "platform", state: .good, found: "has not run in this data directory yet") }
            guard let client = try? HTTPClient(base: address),
                let answer = try? await client.send(.init("GET", "/readyz", timeout: .seconds(5)))
            else { return Check(name: "platform", state: .doubtful, found: "not running (it was at \(address))", remedy: "`slipway up` starts it") }
            let body = String(decoding: answer.body, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return answer.status == 200
                ? Check(name: "platform", state: .good, found: "ready at \(address)")
                : Check(name: "platform", state: .bad, found: "not ready at \(address): \(body)")
        }
    }

    private func nearestExisting(_ path: String) -> String {
        var url = URL(filePath: path).standardizedFileURL
        while !FileManager.default.fileExists(atPath: url.path(percentEncoded: false)), url.pathComponents.count > 1 {
            url.deleteLastPathComponent()
        }
        return url.path(percentEncoded: false)
    }
}
