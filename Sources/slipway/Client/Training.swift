import Foundation
import SlipwayDomain
import SlipwayTasks

/// From a file to a trained model, and to an endpoint when that is wanted: what `slipway train` and `slipway quickstart` do.
struct Training {
    let api: API
    let steps: Steps
    let file: String
    /// Names follow from the file's when they aren't given.
    var project: String?
    var task: LearningTask?
    var encoding: String?
    var options: TrainingOptions
    var isDeployed: Bool
    var endpoint: String?

    struct Outcome {
        let project, dataset, version, experiment, modelVersion: JSON
        let deployment: JSON?
    }

    /// Starts the training and returns the queued experiment.
    func start() async throws -> JSON { try await prepared().experiment }

    func run() async throws -> Outcome {
        let (project, dataset, version, started) = try await prepared()
        let experiment = try await ExperimentWatch(api: api, id: started.id).shown(by: steps)
        guard let modelVersion = experiment["model_version"]?.stringValue else {
            throw Failure.message("the experiment succeeded, but names no model version")
        }
        var deployment: JSON?
        if isDeployed { deployment = try await deploy(modelVersion, of: dataset, in: project.id) }
        return Outcome(
            project: project, dataset: dataset, version: version, experiment: experiment,
            modelVersion: try await api.get("/v1/model-versions/\(modelVersion)"), deployment: deployment)
    }

    /// One endpoint a data set, however many a project has.
    private func deploy(_ modelVersion: String, of dataset: JSON, in project: String) async throws -> JSON {
        let name = endpoint ?? dataset["name"]?.stringValue ?? Self.stem(of: file)
        do {
            return try await steps.run("Deploying") { progress in
                let rollout = Rollout(api: api, name: name, project: project)
                let deployment = try await rollout.run(modelVersion: modelVersion, progress)
                return (Rollout.summary(of: deployment), deployment)
            }
        } catch {
            steps.note("  the model is kept; to deploy it: slipway deployment create NAME \(modelVersion)")
            throw error
        }
    }

    private func prepared() async throws -> (project: JSON, dataset: JSON, version: JSON, experiment: JSON) {
        let task = try task ?? TaskGuess.task(of: file, target: options.target, encoding: encoding)
        let place = try await place(for: task)
        if isDeployed { try await EndpointName(api: api, name: endpoint ?? place.datasetName).check(in: place.project?.id) }

        let upload = DatasetUpload(file: file, target: options.target, encoding: encoding)
        try upload.check()
        let (project, dataset) = try await place.made(with: api, for: task)
        let version: JSON
        do {
            version = try await steps.run("Uploading \(Self.stem(of: file))") { progress in
                let version = try await upload.run(with: api, to: dataset.id, progress)
                return (DatasetUpload.summary(of: version), version)
            }
        } catch let failure as Failure where failure.leavesNothing {
            try await place.removeWhatWasMade(with: api, dataset: dataset.id, project: project.id)
            throw failure
        }
        for warning in version["warnings"]?.arrayValue ?? [] {
            steps.note(steps.terminal.styled("  note: \(warning.cell)", .yellow))
        }
        var options = options
        options.datasetVersion = version["version"]?.intValue
        let experiment = try await api.post(
            "/v1/projects/\(project.id)/experiments", options.body(dataset: dataset.id))
        return (project, dataset, version, experiment)
    }

    /// The file's name without folder and extension.
    static func stem(of file: String) -> String {
        let name = URL(filePath: file).standardizedFileURL.deletingPathExtension().lastPathComponent
        return name.isEmpty || name == "/" ? "data" : name
    }

    private func place(for task: LearningTask) async throws -> TrainingPlace {
        let name = project ?? Self.stem(of: file)
        let found =
            if UUID(uuidString: name) != nil {
                try await api.get("/v1/projects/\(name)")
            } else {
                try await api.list("/v1/projects").first { $0["name"]?.stringValue == name }
            }
        guard let found else { return TrainingPlace(projectName: name, datasetName: Self.stem(of: file)) }
        let datasets = try await api.list("/v1/projects/\(found.id)/datasets")
        return TrainingPlace(projectName: name, project: found, stem: Self.stem(of: file), task: task, among: datasets)
    }
}

extension Failure {
    /// Of an upload: no version was made of it, so nothing stays of what was only made for it. A version that failed does: its
    /// list of rejected items can be read.
    fileprivate var leavesNothing: Bool {
        switch self {
        case .refused, .denied, .usage, .message: true
        case .work, .unreachable, .interrupted: false
        }
    }
}

/// The project and the data set of a training: those that are there already, and the names of those that aren't.
private struct TrainingPlace {
    let projectName: String
    var project: JSON?
    let datasetName: String
    var dataset: JSON?

    init(projectName: String, datasetName: String) { (self.projectName, self.datasetName) = (projectName, datasetName) }

    /// A second training from the same file makes the data set's next version; another task needs another data set.
    init(projectName: String, project: JSON, stem: String, task: LearningTask, among datasets: [JSON]) {
        var (name, number) = (stem, 1)
        while true {
            dataset = datasets.first { $0["name"]?.stringValue == name }
            if dataset.map({ $0["task"]?.stringValue == task.rawValue }) ?? true { break }
            number += 1
            name = "\(stem)-\(number)"
        }
        (self.projectName, self.project, datasetName) = (projectName, project, name)
    }

    func made(with api: API, for task: LearningTask) async throws -> (project: JSON, dataset: JSON) {
        let project = if let project { project } else { try await api.post("/v1/projects", ["name": .string(projectName)]) }
        if let dataset { return (project, dataset) }
        let dataset = try await api.post(
            "/v1/projects/\(project.id)/datasets", ["name": .string(datasetName), "task": .string(task.rawValue)])
        return (project, dataset)
    }

    func removeWhatWasMade(with api: API, dataset id: String, project projectID: String) async throws {
        if dataset == nil { try await api.delete("/v1/datasets/\(id)") }
        if project == nil { try await api.delete("/v1/projects/\(projectID)") }
    }
}
