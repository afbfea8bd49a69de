import ArgumentParser
import Foundation
import KeelModels
import SlipwayDomain
import SlipwayJobs
import SlipwayTasks

struct WorkerRole: RoleCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Imports, trains and evaluates; `slipway up` runs it.", shouldDisplay: false)

    @OptionGroup(title: "Settings") var settings: SettingFlags

    func run() async throws {
        let role = try RoleSetup("worker", settings)
        let configuration = role.configuration
        var worker = WorkerConfiguration(
            executable: ShareFolder.binary, jobsFolder: role.files.jobs, build: "slipway \(slipwayVersion)")
        worker.slots = [.training: configuration[Settings.trainingSlots], .data: configuration[Settings.dataSlots]]
        worker.threads = configuration[Settings.threads]
        worker.retentionSeconds = configuration[Settings.retention] / .seconds(1)
        worker.leaseSeconds = configuration[Settings.lease] / .seconds(1)
        worker.trainerMemoryBytes = configuration[Settings.trainerMemory].bytes
        worker.importLimits = role.importLimits
        worker.drainSeconds = configuration[Settings.drain] / .seconds(1)
        let models = ModelStore(configuration)
        worker.modelsFolder = models.folder
        let library = try TemplateLibrary(folder: URL(filePath: ShareFolder(configuration).templates), models: models)
        // A connection for each slot's writes, two for reading, and the rest for housekeeping.
        let connections = worker.slots.values.reduce(0, +) * 2 + 2
        let process = try Worker(
            worker, database: try role.database(connections: connections), blobs: try role.blobs(),
            decide: { try ExperimentDecision.next($0, library) }, logger: role.logger)
        try await process.runProcess()
    }
}
