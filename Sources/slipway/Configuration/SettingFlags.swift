import ArgumentParser
import Foundation

/// The settings as flags.
struct SettingFlags: ParsableArguments {
    @Option(name: .customLong("config"), help: "A YAML file of settings. [SLIPWAY_CONFIG] (default: slipway.yaml in the data directory)")
    var file: String?

    @Option(help: help(Settings.dataDirectory)) var dataDir: String?
    @Option(help: help(Settings.host)) var host: String?
    @Option(help: help(Settings.port)) var port: String?
    @Option(help: help(Settings.hosts)) var hosts: String?
    @Option(help: help(Settings.metricsKey)) var metricsKey: String?
    @Option(help: help(Settings.keyRate)) var keyRate: String?
    @Option(help: help(Settings.addressRate)) var addressRate: String?
    @Option(help: help(Settings.databaseURL)) var databaseUrl: String?
    @Option(help: help(Settings.share)) var share: String?
    @Option(help: help(Settings.models)) var models: String?
    @Option(help: help(Settings.logLevel)) var logLevel: String?
    @Option(help: help(Settings.logFormat)) var logFormat: String?
    @Option(help: help(Settings.trainingSlots)) var trainingSlots: String?
    @Option(help: help(Settings.dataSlots)) var dataSlots: String?
    @Option(help: help(Settings.threads)) var threads: String?
    @Option(help: help(Settings.lease)) var lease: String?
    @Option(help: help(Settings.retention)) var retention: String?
    @Option(help: help(Settings.trainerMemory)) var trainerMemory: String?
    @Option(help: help(Settings.drain)) var drain: String?
    @Option(help: help(Settings.uploadBytes)) var uploadBytes: String?
    @Option(help: help(Settings.archiveEntries)) var archiveEntries: String?
    @Option(help: help(Settings.archiveBytes)) var archiveBytes: String?
    @Option(help: help(Settings.tableColumns)) var tableColumns: String?
    @Option(help: help(Settings.serveThreads)) var serveThreads: String?
    @Option(help: help(Settings.servePictureBytes)) var servePictureBytes: String?
    @Option(name: .customLong("serve-json-bytes"), help: help(Settings.serveJSONBytes)) var serveJSONBytes: String?
    @Option(help: help(Settings.serveQueue)) var serveQueue: String?
    @Option(help: help(Settings.serveDeadline)) var serveDeadline: String?

    /// The one list of all settings, each with the flag above.
    static let rows: [(setting: any SettingRow, flag: KeyPath<SettingFlags, String?> & Sendable)] = [
        (Settings.dataDirectory, \.dataDir), (Settings.host, \.host), (Settings.port, \.port),
        (Settings.hosts, \.hosts), (Settings.metricsKey, \.metricsKey), (Settings.keyRate, \.keyRate),
        (Settings.addressRate, \.addressRate), (Settings.databaseURL, \.databaseUrl), (Settings.share, \.share),
        (Settings.models, \.models),
        (Settings.logLevel, \.logLevel), (Settings.logFormat, \.logFormat), (Settings.trainingSlots, \.trainingSlots),
        (Settings.dataSlots, \.dataSlots), (Settings.threads, \.threads), (Settings.lease, \.lease),
        (Settings.retention, \.retention), (Settings.trainerMemory, \.trainerMemory), (Settings.drain, \.drain),
        (Settings.uploadBytes, \.uploadBytes), (Settings.archiveEntries, \.archiveEntries),
        (Settings.archiveBytes, \.archiveBytes), (Settings.tableColumns, \.tableColumns),
        (Settings.serveThreads, \.serveThreads), (Settings.servePictureBytes, \.servePictureBytes),
        (Settings.serveJSONBytes, \.serveJSONBytes), (Settings.serveQueue, \.serveQueue),
        (Settings.serveDeadline, \.serveDeadline),
    ]

    /// What was given, by the settings' names.
    var given: [String: String] {
        Self.rows.reduce(into: [:]) { given, row in given[row.setting.name] = self[keyPath: row.flag] }
    }

    func configuration() throws(ConfigurationError) -> Configuration {
        try Configuration(flags: given, file: file, environment: ProcessInfo.processInfo.environment)
    }

    static func help(_ setting: some SettingRow) -> ArgumentHelp {
        let fallback = setting.fallbackDoc ?? setting.fallbackText ?? "none"
        let unit = setting.unit.map { " \($0)" } ?? ""
        return ArgumentHelp(
            "\(setting.doc) [\(setting.environmentVariable)] (default: \(fallback)\(setting.fallbackDoc == nil ? unit : ""))",
            valueName: setting.unit ?? setting.name)
    }
}
