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

    struct Outcome {
        let project, dataset, version, experiment, modelVersion: JSON
        let deployment: JSON?
    }

    /// Starts the training and returns the queued experiment.
    func start() async throws -> JSON { try await prepared().experiment }

    func run() async throws -> Outcome {
        let (project, dataset, version, started) = try await prepared()
        let experiment = try await steps.run("Training") { progress in
            let ended = try await ExperimentWatch(api: api, id: started.id).untilItEnds(progress)
            return (ExperimentWatch.summary(of: ended), ended)
        }
        guard let modelVersion = experiment["model_version"]?.stringValue else {
            throw Failure.message("the experiment succeeded, but names no model version")
        }
        var deployment: JSON?
        if isDeployed {
            deployment = try await steps.run("Deploying") { progress in
                // One endpoint a data set, however many a project has.
                let rollout = try Rollout(api: api, name: dataset["name"]?.stringValue ?? Self.stem(of: file), project: project.id)
                let deployment = try await rollout.run(modelVersion: modelVersion, progress)
                return (Rollout.summary(of: deployment), deployment)
            }
        }
        return Outcome(
            project: project, dataset: dataset, version: version, experiment: experiment,
            modelVersion: try await api.get("/v1/model-versions/\(modelVersion)"), deployment: deployment)
    }

    private func prepared() async throws -> (project: JSON, dataset: JSON, version: JSON, experiment: JSON) {
        let stem = Self.stem(of: file)
        let task = try task ?? TaskGuess.task(of: file, target: options.target, encoding: encoding)
        let project = try await projectToUse(named: project ?? stem)
        let dataset = try await datasetToUse(named: stem, task: task, in: project)

        let version = try await steps.run("Uploading \(stem)") { progress in
            let upload = DatasetUpload(file: file, target: self.options.target, encoding: encoding)
            let version = try await upload.run(with: api, to: dataset.id, progress)
            return (DatasetUpload.summary(of: version), version)
        }
        for warning in version["warnings"]?.arrayValue ?? [] where !steps.isQuiet {
            steps.terminal.note(steps.terminal.styled("  note: \(warning.cell)", .yellow))
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

    private func projectToUse(named name: String) async throws -> JSON {
        if UUID(uuidString: name) != nil { return try await api.get("/v1/projects/\(name)") }
        let projects = try await api.list("/v1/projects")
        if let project = projects.first(where: { $0["name"]?.stringValue == name }) { return project }
        return try await api.post("/v1/projects", ["name": .string(name)])
    }

    /// A second training from the same file makes the data set's next version; another task needs another data set.
    private func datasetToUse(named name: String, task: LearningTask, in project: JSON) async throws -> JSON {
        let datasets = try await api.list("/v1/projects/\(project.id)/datasets")
        for number in 1... {
            let candidate = number == 1 ? name : "\(name)-\(number)"
            guard let dataset = datasets.first(where: { $0["name"]?.stringValue == candidate }) else {
                return try await api.post(
                    "/v1/projects/\(project.id)/datasets", ["name": .string(candidate), "task": .string(task.rawValue)])
            }
            if dataset["task"]?.stringValue == task.rawValue { return dataset }
        }
        preconditionFailure("the loop ends by return")
    }
}
