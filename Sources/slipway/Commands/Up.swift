import ArgumentParser
import Foundation
import Logging
import SlipwayJobs

struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the platform: its database, api, worker and serve processes.",
        discussion: """
            Stops at SIGTERM or Ctrl-C, letting what is in flight end. The address is in the file url of the data directory, \
            the first administrator's key in admin.key.
            """)

    @OptionGroup(title: "Settings") var settings: SettingFlags

    func run() throws {
        let configuration = try settings.configuration()
        LogLines.bootstrap(configuration)
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
        platform.drainTime = configuration[Settings.drain]
        try ListenAddress(host: configuration[Settings.host], port: configuration[Settings.port]).check()
        let supervisor = try Supervisor(platform, logger: logger) { key in
            let path = try AdminKey(in: directory).write(key)
            logger.notice("the administrator's key is in \(path)")
        }
        try supervisor.run()
    }
}
