internal import Foundation
package import SlipwayDomain
package import SlipwayPostgres

/// What those who follow an experiment see, as server-sent events of the same names.
package enum ExperimentEvent: Sendable {
    case progress(Double, message: String?)
    case metric(trial: TrialID, name: String, value: Double, step: Double)
    case log(level: String, message: String, trial: TrialID?)
    case status(ExperimentStatus, problem: Problem? = nil, modelVersion: ModelVersionID? = nil)
    case trial(TrialID, number: Int, template: String, TrialStatus, score: Double? = nil, problem: Problem? = nil)

    var kind: String {
        switch self {
        case .progress: "progress"
        case .metric: "metric"
        case .log: "log"
        case .status, .trial: "status"
        }
    }

    /// One shape for all kinds: members that don't apply are left out.
    struct Body: Encodable {
        var progress: Double?
        var level: String?
        var message: String?
        var trial: TrialID?
        var number: Int?
        var template: String?
        var name: String?
        var value: Double?
        var step: Double?
        var status: String?
        var score: Double?
        var problem: Problem?
        var modelVersion: ModelVersionID?

        enum CodingKeys: String, CodingKey {
            case progress, level, message, trial, number, template, name, value, step, status, score, problem
            case modelVersion = "model_version"
        }
    }

    var body: Body {
        switch self {
        case .progress(let fraction, let message): Body(progress: fraction, message: message)
        case .metric(let trial, let name, let value, let step):
            // JSON has no infinities: a metric that diverged is told without its value.
            Body(trial: trial, name: name, value: value.isFinite ? value : nil, step: step)
        case .log(let level, let message, let trial): Body(level: level, message: message, trial: trial)
        case .status(let status, let problem, let modelVersion):
            Body(status: status.rawValue, problem: problem, modelVersion: modelVersion)
        case .trial(let trial, let number, let template, let status, let score, let problem):
            Body(trial: trial, number: number, template: template, status: status.rawValue, score: score, problem: problem)
        }
    }
}

extension Transaction {
    /// The last step of each metric that was told of a trial: an attempt that goes on from a checkpoint learns some steps again.
    package func toldSteps(of trial: TrialID, in experiment: ExperimentID) throws -> [String: Double] {
        let told: [(String, Double)] = try query(
            """
            SELECT data ->> 'name' AS name, max((data ->> 'step')::double precision) AS step
            FROM experiment_event WHERE experiment_id = \(experiment) AND kind = 'metric' AND data ->> 'trial' = \(trial.description)
            GROUP BY 1
            """,
            decode: { (try $0["name"], try $0["step"]) })
        return Dictionary(uniqueKeysWithValues: told)
    }

    /// Appends events, and wakes those who follow when the transaction commits. Their numbers are taken under the experiment's
    /// row lock, so that they have no gaps and nobody sees a later one first.
    package func record(_ events: [ExperimentEvent], in experiment: ExperimentID) throws {
        guard !events.isEmpty else { return }
        let encoder = JSONEncoder.ordered()
        let bodies = try events.map { try encoder.text(of: $0.body) }
        try execute(
            """
            WITH counted AS (
                UPDATE experiment SET event_count = event_count + \(events.count) WHERE id = \(experiment)
                RETURNING organisation_id, event_count
            )
            INSERT INTO experiment_event (experiment_id, sequence, organisation_id, kind, data)
            SELECT \(experiment), event_count - \(events.count) + place, organisation_id, kind, data::jsonb
            FROM counted, unnest(\(events.map(\.kind))::text[], \(bodies)::text[]) WITH ORDINALITY AS event(kind, data, place)
            """)
        try notify("slipway_event", experiment.description)
    }
}
