import ArgumentParser
import Foundation
import KeelModels
import Logging
import SlipwayHTTP
import SlipwayTasks

struct APIRole: RoleCommand {
    static let configuration = CommandConfiguration(
        commandName: "api", abstract: "Answers clients; `slipway up` runs it.", shouldDisplay: false)

    @OptionGroup(title: "Settings") var settings: SettingFlags

    func run() async throws {
        let role = try RoleSetup("api", settings)
        let configuration = role.configuration
        var api = APIConfiguration(servePath: role.files.serveSocket)
        api.host = configuration[Settings.host]
        // A free port, once taken, is kept for as long as the platform runs.
        api.port = configuration[Settings.port] == 0 ? role.files.lastPort : configuration[Settings.port]
        api.hosts = configuration[Settings.hosts].names
        api.metricsKey = configuration[Settings.metricsKey]
        api.endsWithStandardInput = true
        api.limits.uploadBytes = configuration[Settings.uploadBytes].bytes
        api.importLimits = role.importLimits
        api.limits.keyRate = configuration[Settings.keyRate]
        api.limits.addressRate = configuration[Settings.addressRate]
        api.limits.drainTime = configuration[Settings.drain]
        // A predict call has one to the serve process, a download a file.
        api.limits.connections = role.connections(atMost: api.limits.connections, each: 2)
        api.limits.predictJSONBytes = configuration[Settings.serveJSONBytes].bytes
        api.limits.predictPictureBytes = configuration[Settings.servePictureBytes].bytes
        api.limits.predictTime = configuration[Settings.serveDeadline] + .seconds(15)
        let library = try TemplateLibrary(
            folder: URL(filePath: ShareFolder(configuration).templates), models: ModelStore(configuration))
        let server = APIServer(
            configuration: api, database: try role.database(connections: 8), blobs: try role.blobs(), library: library,
            logger: role.logger)
        let (files, host) = (role.files, api.host)
        try await server.run { port in
            let shown = host.contains(":") ? "[\(host)]" : host == "0.0.0.0" ? "127.0.0.1" : host
            do {
                try files.writeURL("http://\(shown):\(port)")
            } catch {
                role.logger.error("the url file can't be written", metadata: ["error": "\(error)"])
            }
        }
    }
}
