import ArgumentParser
import Foundation
import Logging
import SlipwayClient
import SlipwayDomain
import SlipwayJobs

struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the platform: its database, api, worker and serve processes.",
        discussion: """
            Stops at SIGTERM or Ctrl-C, letting what is in flight end. The address is in the file url of the data directory, \
            the first administrator's key in admin.key. With --json, standard output gets a line {"event": "starting", ...}, \
            one {"event": "ready", "url": ..., "admin_key": PATH, ...} once the platform takes requests, and at the end \
            {"event": "stopped"}; the log on standard error is JSON lines too.
            """)

    @OptionGroup(title: "Settings") var settings: SettingFlags
    @Flag(help: "Print a JSON line when the platform starts, is ready and has stopped.") var json = false

    func run() throws {
        let configuration = try settings.configuration()
        LogLines.bootstrap(configuration, isJSON: json)
        signal(SIGPIPE, SIG_IGN)
        let logger = Logger(label: "up")
        let directory = configuration[Settings.dataDirectory]
        let share = try ShareFolder(configuration)
        var platform = SupervisorConfiguration(
            dataDirectory: directory, migrationsFolder: share.migrations, executable: ShareFolder.binary,
            roles: ["serve", "worker", "api"].map { SupervisorConfiguration.Role($0, arguments: [$0]) })
        platform.databaseURL = configuration[Settings.databaseURL]
        platform.environment = configuration.environment
        platform.environment[Settings.share.environmentVariable] = share.path
        if json { platform.environment[Settings.logFormat.environmentVariable] = LogLines.Format.json.rawValue }
        platform.drainTime = configuration[Settings.drain]
        try ListenAddress(host: configuration[Settings.host], port: configuration[Settings.port]).check()
        tell("starting", ["version": .string(slipwayVersion), "data_dir": .string(directory), "pid": .integer(Int(getpid()))])
        let supervisor = try Supervisor(platform, logger: logger) { key in
            let path = try AdminKey(in: directory).write(key)
            logger.notice("the administrator's key is in \(path)")
        }
        // The supervisor's thread does nothing but wait for its children.
        let announcement = Task { try await announce(directory, logger) }
        try supervisor.run()
        announcement.cancel()
        tell("stopped", [:])
    }

    /// Once the platform takes requests; its address is known when the api listens.
    private func announce(_ directory: String, _ logger: Logger) async throws {
        let start = ContinuousClock.now
        while true {
            try await Task.sleep(for: .milliseconds(100))
            guard let text = try? String(contentsOfFile: directory + "/url", encoding: .utf8) else { continue }
            let url = text.trimmingCharacters(in: .whitespacesAndNewlines)
            guard let answer = try? await HTTPClient(base: url).send(.init("GET", "/readyz", timeout: .seconds(5))),
                answer.status == 200
            else { continue }
            let key = AdminKey(in: directory).path
            let hasKey = FileManager.default.fileExists(atPath: key)
            logger.notice("the platform is ready", metadata: ["url": "\(url)", "admin_key": "\(hasKey ? key : "none here")"])
            var facts: [String: JSON] = ["url": .string(url), "seconds": .number((ContinuousClock.now - start) / .seconds(1))]
            if hasKey { facts["admin_key"] = .string(key) }
            return tell("ready", facts)
        }
    }

    private func tell(_ event: String, _ facts: [String: JSON]) {
        guard json else { return }
        Terminal.standard.print(JSON.object(facts.merging(["event": .string(event)]) { $1 }).text(isPretty: false))
    }
}
