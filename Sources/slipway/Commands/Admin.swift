import ArgumentParser
import Foundation
import Logging
import SlipwayDomain
import SlipwayStore
import SlipwaySystem

struct Admin: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What only the machine's administrator may do, past the api.",
        subcommands: [NewKey.self, Organisations.self])

    struct NewKey: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new administrator's key and writes it to admin.key in the data directory.",
            discussion: "Older keys stay valid; DELETE /v1/api-keys/ID takes them away.")

        @OptionGroup(title: "Settings") var settings: SettingFlags
        @Flag(help: "Print the path as JSON.") var json = false

        func run() throws {
            let configuration = try settings.configuration()
            LogLines.bootstrap(configuration, isJSON: json)
            let directory = configuration[Settings.dataDirectory]
            let access = DatabaseAccess(configuration: configuration, logger: Logger(label: "admin"))
            try access.checkPlatform(has: directory)
            // A key that can't be kept isn't made: the transaction goes with it.
            let path = try access.ofPlatform { connection in
                try connection.transaction(as: .system) { try AdminKey(in: directory).write($0.createAdministratorKey().text) }
            }
            Output(isJSON: json).done("the new key is in \(path)", ["path": .string(path)])
        }
    }

    struct Organisations: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the organisations.")

        @OptionGroup(title: "Settings") var settings: SettingFlags
        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            let configuration = try settings.configuration()
            LogLines.bootstrap(configuration, isJSON: json)
            let organisations = try DatabaseAccess(configuration: configuration, logger: Logger(label: "admin"))
                .ofPlatform { try $0.transaction(as: .system) { try $0.organisations(after: nil, limit: 10_000) } }
            Output(isJSON: json).show(
                organisations.map { organisation in
                    [
                        "id": .string(organisation.id.description), "name": .string(organisation.name),
                        "created_at": .string(organisation.createdAt.formatted(.iso8601)),
                    ]
                }, ["id", "name", "created_at"])
        }
    }
}

/// The file with the administrator's key: readable by the platform's user alone, complete or absent.
struct AdminKey {
    let path: String

    init(in dataDirectory: String) { path = dataDirectory + "/admin.key" }

    @discardableResult
    func write(_ key: String) throws -> String {
        try File.writeDurably((key + "\n").utf8, to: path)
        return path
    }
}
