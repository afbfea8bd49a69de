import ArgumentParser
import Foundation
import Logging
import SlipwayBlobs
import SlipwayPostgres
import SlipwayServing

struct ServeRole: RoleCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Holds the deployed models; `slipway up` runs it.", shouldDisplay: false)

    @OptionGroup(title: "Settings") var settings: SettingFlags

    func run() async throws {
        let role = try RoleSetup("serve", settings)
        let configuration = role.configuration
        var serve = ServeConfiguration(socket: role.files.serveSocket)
        serve.threads = configuration[Settings.serveThreads]
        serve.pictureBytes = configuration[Settings.servePictureBytes].bytes
        serve.jsonBytes = configuration[Settings.serveJSONBytes].bytes
        serve.bodyBytes = max(serve.bodyBytes, 2 * max(serve.pictureBytes, serve.jsonBytes))
        serve.queue = configuration[Settings.serveQueue]
        serve.connections = role.connections(atMost: serve.connections, each: 1)
        serve.deadline = configuration[Settings.serveDeadline]
        serve.drainTime = configuration[Settings.drain]
        let process = ServeProcess(
            serve, database: try role.database(connections: 2), blobs: try role.blobs(), logger: role.logger,
            load: { try PredictorModel($0) })
        try await process.run()
    }
}
