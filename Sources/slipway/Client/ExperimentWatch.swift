import Foundation
import SlipwayClient
import SlipwayDomain

/// Follows an experiment to its end by its event stream. A stream that breaks is opened again after the last event that came,
/// with growing pauses; before each, the experiment itself is asked, so that an end that no event told is found too.
struct ExperimentWatch {
    let api: API
    let id: String
    /// How long the platform may be away: several times as long as a restart takes.
    var patience = Duration.seconds(30)

    private var path: String { "/v1/experiments/\(id)" }

    /// An experiment that didn't succeed is thrown as its problem.
    func untilItEnds(_ progress: Steps.Progress) async throws -> JSON {
        var lastEvent: String?
        var pause = Pause()
        var awaySince: ContinuousClock.Instant?
        while true {
            var hasEnded = false
            do {
                let experiment = try await api.get(path)
                awaySince = nil
                if let ended = try Self.ended(experiment) { return ended }
                var seen = ExperimentProgress(experiment)
                progress.update(seen.text, fraction: seen.fraction)
                try await api.follow(path + "/events", after: lastEvent) { event in
                    lastEvent = event.id ?? lastEvent
                    pause = Pause()
                    seen.take(event)
                    hasEnded = seen.status.isFinal
                    progress.update(seen.text, fraction: seen.fraction)
                }
            } catch Failure.unreachable(let url, let reason) {
                let since = awaySince ?? .now
                guard since.duration(to: .now) < patience else { throw Failure.unreachable(url: url, reason: reason) }
                awaySince = since
                progress.update("the platform is away, trying again")
            }
            if !hasEnded { try await Task.sleep(for: pause.next()) }
        }
    }

    /// As a step of a command. Whoever interrupts it learns that the experiment goes on.
    func shown(by steps: Steps) async throws -> JSON {
        do {
            return try await steps.run("Training") { progress in
                let ended = try await untilItEnds(progress)
                return (Self.summary(of: ended), ended)
            }
        } catch is CancellationError {
            throw Failure.interrupted(
                hint: "the training goes on: `slipway experiment watch \(id)` follows it, `slipway experiment cancel \(id)` ends it")
        }
    }

    /// Nil while it goes on.
    private static func ended(_ experiment: JSON) throws -> JSON? {
        switch experiment["status"]?.stringValue.flatMap(ExperimentStatus.init) {
        case .succeeded: return experiment
        case .failed: throw Failure.work(try Problem(in: experiment))
        case .cancelled:
            throw Failure.work(
                Problem(409, "experiment-cancelled", title: "Cancelled", detail: "The experiment was cancelled."))
        case .queued, .running, nil: return nil
        }
    }

    /// `Trained boosted-trees, the best of 4 trials`.
    static func summary(of experiment: JSON) -> String {
        let template = experiment["chosen"]?["template"]?.stringValue
        let count = experiment["trials"]?.arrayValue.count ?? 1
        return "Trained" + (template.map { " " + $0 } ?? "") + (count > 1 ? ", the best of \(count) trials" : "")
    }

    /// From 0.2 s, doubled up to 5 s.
    private struct Pause {
        private var seconds = 0.2

        mutating func next() -> Duration {
            defer { seconds = min(seconds * 2, 5) }
            return .seconds(seconds)
        }
    }
}

/// What a watcher sees of an experiment, kept up to date by its events.
struct ExperimentProgress {
    private struct Trial {
        var template: String?
        var isRunning = false
        var score: Double?
    }

    private(set) var status: ExperimentStatus
    private var done: Double
    private let objective: String
    private var trials: [String: Trial] = [:]

    init(_ experiment: JSON) {
        status = experiment["status"]?.stringValue.flatMap(ExperimentStatus.init) ?? .running
        done = experiment["progress"]?.doubleValue ?? 0
        objective = experiment["objective"]?.stringValue ?? "score"
        for trial in experiment["trials"]?.arrayValue ?? [] {
            guard let id = trial["id"]?.stringValue else { continue }
            update(id, by: trial)
        }
    }

    mutating func take(_ event: ServerSentEvent) {
        // What a later version sends is no reason to stop watching.
        guard let data = try? JSON(parsing: event.data.utf8) else { return }
        switch event.event {
        case "progress": done = data["progress"]?.doubleValue ?? done
        case "status":
            if let trial = data["trial"]?.stringValue {
                update(trial, by: data)
            } else {
                status = data["status"]?.stringValue.flatMap(ExperimentStatus.init) ?? status
            }
        default: break
        }
    }

    var fraction: Double? { status == .queued ? nil : done }

    /// What goes on: the running trials and the best score so far.
    var text: String {
        guard status != .queued else { return "waiting for a worker" }
        let running = Set(trials.values.filter(\.isRunning).compactMap(\.template)).sorted()
        let parts = [
            running.isEmpty ? nil : running.joined(separator: ", "),
            trials.count > 1 ? "\(trials.count) trials" : nil,
            // Errors are negated so that larger is better; nobody wants to read them so.
            trials.values.compactMap(\.score).max().map { "best \(objective) \(abs($0).shortText)" },
        ]
        return parts.compactMap(\.self).joined(separator: ", ")
    }

    private mutating func update(_ id: String, by facts: JSON) {
        var trial = trials[id] ?? Trial()
        trial.template = facts["template"]?.stringValue ?? trial.template
        trial.isRunning = facts["status"]?.stringValue == TrialStatus.running.rawValue
        trial.score = facts["score"]?.doubleValue ?? trial.score
        trials[id] = trial
    }
}
