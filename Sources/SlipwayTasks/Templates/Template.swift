package import SlipwayDomain

/// A declarative training recipe for one task: what is trained, on which data it fits, and what may be varied.
///
/// A template is data. It is read from `Templates/<task>/<name>.yaml`, or sent with an experiment, by the one decoder.
package struct Template: Sendable, Hashable {
    package var name: String
    package var task: LearningTask
    package var summary: String
    package var requires: [Requirement]
    package var network: NetworkKind
    /// Sorted by name.
    package var hyperparameters: [Hyperparameter]
    package var presets: [Preset: PresetChoice]
    package var cost: TemplateCost
    package var input: PictureInput?
    /// The YAML that it was read from.
    package var source: String

    package func hyperparameter(_ name: String) -> Hyperparameter? { hyperparameters.first { $0.name == name } }

    /// The hyperparameters that a preset starts with.
    package func defaults(for preset: Preset) -> [String: JSON] {
        var values = Dictionary(uniqueKeysWithValues: hyperparameters.map { ($0.name, $0.initial) })
        values.merge(presets[preset]?.hyperparameters ?? [:]) { _, chosen in chosen }
        return values
    }

    /// At most this many trials of this template in one experiment.
    package func trials(for preset: Preset) -> Int { presets[preset]?.trials ?? preset.defaultTrials }
}

extension Preset {
    var defaultTrials: Int {
        switch self {
        case .fast: 1
        case .balanced: 12
        case .best: 60
        }
    }
}

/// How a template's model is made. The raw values are the words of `network: { type: ... }`.
package enum NetworkKind: String, Sendable, CaseIterable {
    /// Gradient boosted decision trees (XGBoost).
    case boostedTrees = "boosted-trees"
    /// A residual perceptron over normalised numbers and categories as indicators (Keel).
    case tableNetwork = "table-network"
    /// Regularised linear model over normalised numbers and one-hot categories (Keel).
    case tableLinear = "table-linear"
    /// A residual convolution network (Keel).
    case resnet
    /// A linear classifier over histograms of oriented gradients and colours (Keel).
    case pictureFeatures = "picture-features"
    /// A linear classifier over what a network sees that was trained on a million photographs (Keel).
    case pretrainedFeatures = "pretrained-features"
    /// A model of pictures from elsewhere, trained further (Keel): the experiment names it as its base.
    case imported
    /// The same, of the numbers of tables.
    case importedTable = "imported-table"

    package var tasks: [LearningTask] {
        switch self {
        case .boostedTrees, .tableNetwork, .tableLinear, .importedTable: [.tabularClassification, .tabularRegression]
        case .resnet, .pictureFeatures, .pretrainedFeatures, .imported: [.imageClassification]
        }
    }

    /// Whether a model must be named that training goes on from.
    package var hasBase: Bool { self == .imported || self == .importedTable }

    /// The hyperparameter that says how long a whole training is, in the unit in which rungs are measured.
    package var resource: String { self == .boostedTrees ? "rounds" : "epochs" }

    /// Every hyperparameter that the network reads, with the range that the code can bear. A template declares each of
    /// them, with a range inside of this one.
    var hyperparameters: [String: ClosedRange<Double>] {
        switch self {
        case .boostedTrees:
            [
                "learning_rate": 0.001...1, "depth": 1...16, "rounds": 1...10_000, "patience": 1...1000,
                "row_share": 0.1...1, "column_share": 0.1...1, "leaf_weight": 0...1000, "l2": 0...1000, "gamma": 0...1000,
                "sums": 0...64,
            ]
        case .tableNetwork:
            [
                "learning_rate": 1e-6...1, "weight_decay": 0...10, "epochs": 1...1000, "patience": 1...1000,
                "batch_size": 1...4096, "width": 4...1024, "blocks": 1...8, "dropout": 0...0.9, "frequencies": 0...64,
            ]
        case .tableLinear:
            [
                "learning_rate": 1e-6...10, "weight_decay": 0...100, "epochs": 1...1000, "patience": 1...1000,
                "batch_size": 1...4096,
            ]
        case .resnet:
            [
                "learning_rate": 1e-6...10, "weight_decay": 0...10, "epochs": 1...1000, "batch_size": 2...512,
                "width": 4...256, "depth": 1...4, "dropout": 0...0.9, "label_smoothing": 0...0.5, "flip": 0...1,
                "shift": 0...0.5, "rotation": 0...180, "zoom": 0...0.5, "contrast": 0...1,
            ]
        case .imported:
            [
                "learning_rate": 1e-6...10, "backbone_rate": 0...1, "weight_decay": 0...10, "epochs": 1...1000, "batch_size": 2...512,
                "label_smoothing": 0...0.5, "flip": 0...1, "shift": 0...0.5, "rotation": 0...180, "zoom": 0...0.5, "contrast": 0...1,
            ]
        case .importedTable:
            [
                "learning_rate": 1e-6...10, "backbone_rate": 0...1, "weight_decay": 0...10, "epochs": 1...1000, "patience": 1...1000,
                "batch_size": 2...4096,
            ]
        case .pictureFeatures, .pretrainedFeatures:
            ["learning_rate": 1e-6...10, "weight_decay": 0...100, "epochs": 1...1000, "batch_size": 1...4096]
        }
    }
}

/// A parameter that stands above the learning: declared once, with all that forms, checks and search need.
package struct Hyperparameter: Sendable, Hashable {
    package enum Kind: String, Sendable, Codable { case number, integer }
    package enum Scale: String, Sendable, Codable { case linear, log }

    package var name: String
    package var kind: Kind
    package var initial: JSON
    package var range: ClosedRange<Double>
    package var scale: Scale
    package var unit: String?
    /// Where a search looks; nil: it always keeps its first value.
    package var search: ClosedRange<Double>?

    /// The nearest value that this hyperparameter may have.
    func value(near number: Double) -> JSON {
        let bounded = min(max(number, range.lowerBound), range.upperBound)
        return kind == .integer ? .integer(Int(bounded.rounded())) : .number(bounded)
    }
}

/// What a template asks of a data set, as a range of one of its figures.
package struct Requirement: Sendable, Hashable {
    package enum Figure: String, Sendable, CaseIterable {
        case items, classes, columns
        case itemsPerClass = "items_per_class"

        var words: String {
            switch self {
            case .items: "labelled items"
            case .classes: "classes"
            case .columns: "feature columns"
            case .itemsPerClass: "items in the smallest class"
            }
        }
    }

    package var figure: Figure
    package var minimum: Int?
    package var maximum: Int?
}

/// What a preset changes.
package struct PresetChoice: Sendable, Hashable {
    package var trials: Int?
    package var hyperparameters: [String: JSON]
}

/// A hint for planning before anything was measured: one core of 2020, in seconds.
package struct TemplateCost: Sendable, Hashable {
    package var start = 0.5
    /// Of one item in one unit of the resource (an epoch, a boosting round).
    package var item = 1e-5
}

/// How pictures become tensors: the largest and smallest side that they are scaled to.
package struct PictureInput: Sendable, Hashable, Codable {
    package var minimumSide: Int
    package var maximumSide: Int
}
