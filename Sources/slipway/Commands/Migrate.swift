import ArgumentParser
import Logging
import SlipwayDomain
import SlipwayStore

struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Brings the database's schema up to date; `slipway up` does it at each start.")

    @OptionGroup(title: "Settings") var settings: SettingFlags
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let configuration = try settings.configuration()
        LogLines.bootstrap(configuration, isJSON: json)
        let migrations = try Migrations(directory: ShareFolder(configuration).migrations)
        let applied = try DatabaseAccess(configuration: configuration, logger: Logger(label: "migrate"))
            .making { try migrations.apply(on: $0) }
        let output = Output(isJSON: json)
        let names = applied.map(\.name)
        output.done(
            names.isEmpty ? "the schema is up to date" : "applied \(names.joined(separator: ", "))",
            ["applied": .array(names.map(JSON.string)), "schema": .integer(migrations.list.count)])
    }
}
