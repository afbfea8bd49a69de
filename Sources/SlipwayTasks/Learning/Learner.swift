internal import Foundation
internal import KeelData
internal import KeelProgram
internal import SlipwayDomain

/// One way to learn. A learner holds the members of a trial (one, or one a fold) in lock step, so that at any moment
/// all have learned as long, and the trial has a model.
protocol Learner: AnyObject {
    /// Units done in all: boosting rounds or epochs.
    var resource: Double { get }
    /// No further training would help: the recipe's end, or early stopping.
    var isFinished: Bool { get }
    /// The training came to nothing in the end, and what it was at its best is the result.
    var hasDiverged: Bool { get }

    /// Learns for about a second or one unit, whichever is less, and says what it measured. The result must not depend
    /// on how the work is cut into calls, unless the rung has a limit in seconds.
    func advance(_ rung: RungSpan) throws -> [Measurement]

    /// What the members say of the items that judge them (`Folds.judged`), as they were at their best.
    func validation() throws -> Predictions

    /// All that is needed to go on as if never interrupted.
    func checkpoint() throws -> TrialCheckpoint
}

extension Learner {
    var hasDiverged: Bool { false }
}

/// A trained member: the same code predicts in evaluation and in serving.
protocol Scorer: Sendable {
    var link: Link { get }
    func predictions(_ inputs: ModelInputs) throws -> Predictions

    /// Whether the ONNX format has operators for its preparation.
    var isExportable: Bool { get }
    /// The operators of its preparation, which all members of a part share. Returns the name of what they make.
    func exportFeatures(to writer: inout ONNXModelWriter, _ ports: ExportPorts) throws -> String
    /// The operators from there to its raw sums, `[batch, link.outputs]`.
    func exportMargins(to writer: inout ONNXModelWriter, of features: String) throws -> String
}

/// What a call brings, read once for all parts of a model.
struct ModelInputs: Sendable {
    /// Fields in the order of the training version's columns.
    var rows: [[String?]] = []
    var pictures: [PicturePreparation: [Picture]] = [:]
}

struct Measurement: Sendable, Codable {
    var name: String
    var value: Double
    var step: Double
}

/// Where a rung begins and ends, in resource and in time.
struct RungSpan: Sendable {
    /// The resource at which the rung began, and at which it ends at the latest.
    var from: Double
    var to: Double
    /// When work must stop, less what the end of the rung itself needs; nil: no limit.
    var started: ContinuousClock.Instant
    var seconds: Double?

    var elapsed: Double { (ContinuousClock.now - started).seconds }

    /// Whether the time is used.
    var isOver: Bool { seconds.map { elapsed >= $0 } ?? false }

    /// How far the rung is, 0 to 1, for schedules: by resource, and by time where that is nearer to its end.
    func fraction(at resource: Double) -> Double {
        let byResource = to > from ? (resource - from) / (to - from) : 1
        let byTime = seconds.map { $0 > 0 ? elapsed / $0 : 1 } ?? 0
        return min(max(byResource, byTime, 0), 1)
    }
}

extension Duration {
    var seconds: Double { self / .seconds(1) }
}
