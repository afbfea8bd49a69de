import Foundation
import SlipwayDomain

/// Follows an experiment to its end.
struct ExperimentWatch {
    let api: API
    let id: String

    /// An experiment that didn't succeed is thrown as its problem.
    func untilItEnds(_ progress: Steps.Progress) async throws -> JSON {
        while true {
            let experiment = try await api.get("/v1/experiments/\(id)")
            let status = experiment["status"]?.stringValue.flatMap(ExperimentStatus.init)
            switch status {
            case .succeeded: return experiment
            case .failed: throw Failure.work(try Problem(in: experiment))
            case .cancelled:
                throw Failure.work(
                    Problem(409, "experiment-cancelled", title: "Cancelled", detail: "The experiment was cancelled."))
            case .queued: progress.update("waiting for a worker")
            case .running, nil:
                progress.update(Self.text(of: experiment), fraction: experiment["progress"]?.doubleValue)
            }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    /// What goes on: the running trials and the best score so far.
    private static func text(of experiment: JSON) -> String {
        let trials = experiment["trials"]?.arrayValue ?? []
        let running = trials.filter { $0["status"]?.stringValue == "running" }
            .compactMap { $0["template"]?.stringValue }
        let best = trials.compactMap { $0["score"]?.doubleValue }.max()
        let parts = [
            running.isEmpty ? nil : running.joined(separator: ", "),
            trials.count > 1 ? "\(trials.count) trials" : nil,
            // Errors are negated so that larger is better; nobody wants to read them so.
            best.map { "best \(experiment["objective"]?.stringValue ?? "score") \(abs($0).shortText)" },
        ]
        return parts.compactMap(\.self).joined(separator: ", ")
    }

    /// `Trained boosted-trees, the best of 4 trials`.
    static func summary(of experiment: JSON) -> String {
        let template = experiment["chosen"]?["template"]?.stringValue
        let count = experiment["trials"]?.arrayValue.count ?? 1
        return "Trained" + (template.map { " " + $0 } ?? "") + (count > 1 ? ", the best of \(count) trials" : "")
    }
}
