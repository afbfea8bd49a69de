import Foundation
import Keel
import KeelModels
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
        /// What to do about it; whatever isn't good has one.
        let remedy: String?

        static func good(_ name: String, _ found: String) -> Check { Check(name: name, state: .good, found: found, remedy: nil) }
        static func doubtful(_ name: String, _ found: String, remedy: String) -> Check {
            Check(name: name, state: .doubtful, found: found, remedy: remedy)
        }
        static func bad(_ name: String, _ found: String, remedy: String) -> Check {
            Check(name: name, state: .bad, found: found, remedy: remedy)
        }
    }

    let configuration: Configuration

    func all() async -> [Check] {
        [version, settings, share] + (await database) + [numerics, folder, disk, port, await platform]
    }

    private var version: Check {
        .good("slipway", "\(slipwayVersion), \(ShareFolder.binary)")
    }

    private var settings: Check {
        let file = configuration.file.map { "from \($0) and the environment" } ?? "from the environment; no file"
        return .good("settings", "\(file); `slipway config` shows them")
    }

    private var share: Check {
        do {
            let share = try ShareFolder(configuration)
            let migrations = try Migrations(directory: share.migrations).list.count
            let templates = try TemplateLibrary(folder: URL(filePath: share.templates), models: ModelStore(configuration)).templates.count
            return .good(
                "share folder", "\(share.path), \(share.origin.rawValue): \(migrations) migrations, \(templates) templates")
        } catch {
            return .bad(
                "share folder", Failure(error).lines.joined(separator: " "),
                remedy: "install Slipway anew, or name the folder with --share")
        }
    }

    private var database: [Check] {
        get async {
            guard let text = configuration[Settings.databaseURL] else { return [cluster] }
            do {
                let (address, share) = (try PostgresAddress(text), try ShareFolder(configuration))
                return await DatabaseCheckup(address: address, migrations: try Migrations(directory: share.migrations)).checks()
            } catch let error as PostgresError {
                return [.bad("postgres", "\(error)", remedy: "correct SLIPWAY_DATABASE_URL: postgres://user:password@host/database")]
            } catch {
                return [.doubtful("postgres", "your server, not looked at: \(error)", remedy: "mend the share folder first")]
            }
        }
    }

    private var cluster: Check {
        do {
            let binaries = try ServerBinaries.find(major: clusterMajor)
            return .good("postgres", "PostgreSQL \(binaries.major), \(binaries.directory)")
        } catch {
            return .bad(
                "postgres", "\(error)",
                remedy: clusterMajor.map { "apt-get install postgresql-\($0), or set SLIPWAY_DATABASE_URL" }
                    ?? "apt-get install postgresql, or set SLIPWAY_DATABASE_URL")
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
            return .bad("numerics", "\(error)", remedy: "apt-get install libopenblas0-openmp libdnnl2, or install Slipway anew")
        }
        return .good("numerics", NumericLibraries.description + ", \(configuration[Settings.threads]) threads")
    }

    private var folder: Check {
        let path = configuration[Settings.dataDirectory]
        let existing = nearestExisting(path)
        guard access(existing, R_OK | W_OK | X_OK) == 0 else {
            return .bad(
                "data directory", "\(existing) can't be written by this user",
                remedy: "choose another with --data-dir, or run as its owner")
        }
        let isNew = existing != path
        return .good("data directory", path + (isNew ? ", made at the first start" : ""))
    }

    private var disk: Check {
        let path = nearestExisting(configuration[Settings.dataDirectory])
        var status = statvfs()
        guard statvfs(path, &status) == 0, status.f_blocks > 0 else {
            return .bad(
                "disk", "\(path): \(String(cString: strerror(errno)))", remedy: "choose another data directory with --data-dir")
        }
        let free = Double(status.f_bavail) * Double(status.f_frsize), share = Double(status.f_bavail) / Double(status.f_blocks)
        let found = "\((free / 1e9 * 10).rounded() / 10) GB free, \(Int(share * 100)) %"
        // Below this, uploads are answered 507.
        return share < 0.05
            ? .bad("disk", found, remedy: "less than 5 %: uploads are refused; free some")
            : .good("disk", found)
    }

    private var address: String? {
        let path = configuration[Settings.dataDirectory] + "/url"
        return (try? String(contentsOfFile: path, encoding: .utf8))?.split(whereSeparator: \.isNewline).first.map(String.init)
    }

    private var port: Check {
        let (host, port) = (configuration[Settings.host], configuration[Settings.port])
        guard port != 0 else { return .good("port", "any free one") }
        guard let obstacle = ListenAddress(host: host, port: port).obstacle else {
            return .good("port", "\(host):\(port) is free")
        }
        let isOurs = address?.hasSuffix(":\(port)") ?? false
        return isOurs
            ? .good("port", "\(host):\(port), this platform")
            : .doubtful("port", "\(host):\(port): \(obstacle)", remedy: "choose another with --port")
    }

    private var platform: Check {
        get async {
            guard let address else { return .good("platform", "has not run in this data directory yet") }
            guard let client = try? HTTPClient(base: address),
                let answer = try? await client.send(.init("GET", "/readyz", timeout: .seconds(5)))
            else { return .doubtful("platform", "not running (it was at \(address))", remedy: "`slipway up` starts it") }
            let body = String(decoding: answer.body, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return answer.status == 200
                ? .good("platform", "ready at \(address)")
                : .bad(
                    "platform", "not ready at \(address): \(body)",
                    remedy: "wait if it has just started; else the logs in \(configuration[Settings.dataDirectory])/logs say why")
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
