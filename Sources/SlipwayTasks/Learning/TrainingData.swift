internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// The labelled items of a version, split into those that are learned from and those that are held out for the test.
struct TrainingData: Sendable {
    let task: LearningTask
    let classes: [String]
    let columns: [ColumnProfile]
    let target: String
    let unlabelled: Int
    /// Equal content under different labels, which can neither be learned from nor judge: on no side.
    let contradicting: [DataItem]
    /// In the order of their ids.
    let train: [DataItem]
    let test: [DataItem]
    /// Of `train`: the class's number, or 0.
    let labels: [Int]
    /// Of `train`, for regression.
    let values: [Float]
    let folds: Folds

    /// - Errors: `Problem` when a label isn't what the task learns.
    init(_ plan: DataPlan, task: LearningTask, in directory: URL) throws {
        let file = URL(fileURLWithPath: plan.items, relativeTo: directory)
        let bytes = try Data(contentsOf: file, options: .mappedIfSafe)
        var items: [DataItem] = []
        let decoder = JSONDecoder()
        for line in bytes.split(separator: UInt8(ascii: "\n")) { items.append(try decoder.decode(DataItem.self, from: line)) }
        try self.init(plan, task: task, items: items)
    }

    init(_ plan: DataPlan, task: LearningTask, items all: [DataItem]) throws {
        self.task = task
        classes = plan.classes
        columns = plan.columns ?? []
        target = plan.target ?? ""
        // As import counts them: a target that is no number is a missing one.
        let items = task.isClassification ? all : all.filter { Field.number($0.label) != nil }
        unlabelled = plan.unlabelled + all.count - items.count
        let groups = Dictionary(grouping: items.indices) { task.isClassification ? items[$0].label : "" }
        var sides = [Split](repeating: .train, count: items.count)
        for (_, indices) in groups {
            for (index, side) in zip(indices, Split.sides(ofClassWith: indices.map { items[$0].splitHash })) {
                sides[index] = side
            }
        }
        let contradicts = task.isClassification ? Self.contradictions(items) : []
        contradicting = items.filter { contradicts.contains($0.splitHash) }
        func side(_ side: Split) -> [DataItem] {
            items.indices.filter { sides[$0] == side && !contradicts.contains(items[$0].splitHash) }.map { items[$0] }
        }
        train = side(.train)
        test = side(.test)
        labels = try Self.labels(train, task, plan.classes)
        values = Self.values(train, task)
        folds = Folds(hashes: train.map(\.splitHash), labels: labels, of: task.items)
        guard !train.isEmpty else {
            throw Problem(
                422, "train-too-few-samples", title: "There is nothing to train on",
                detail: contradicting.isEmpty
                    ? "the version has no labelled items" : "every item has a copy with another label")
        }
    }

    /// The contents that occur under more than one label.
    private static func contradictions(_ items: [DataItem]) -> Set<Int64> {
        var labels: [Int64: String] = [:]
        var result: Set<Int64> = []
        for item in items where labels.updateValue(item.label, forKey: item.splitHash) ?? item.label != item.label {
            result.insert(item.splitHash)
        }
        return result
    }

    static func labels(_ items: [DataItem], _ task: LearningTask, _ classes: [String]) throws -> [Int] {
        guard task.isClassification else { return [Int](repeating: 0, count: items.count) }
        let numbers = Dictionary(zip(classes, 0...), uniquingKeysWith: { first, _ in first })
        return try items.map { item in
            guard let number = numbers[item.label] else {
                throw Problem(
                    422, "train-unknown-label", title: "A label is unknown",
                    detail: "item '\(item.name)' is labelled '\(item.label)', which isn't among the version's classes")
            }
            return number
        }
    }

    static func values(_ items: [DataItem], _ task: LearningTask) -> [Float] {
        guard !task.isClassification else { return [] }
        return items.map { item in
            guard let value = Field.number(item.label) else { preconditionFailure("items without a number were left out") }
            return Float(value)
        }
    }

    /// The outputs of a model: a probability a class, or one value.
    var outputs: Int { task.isClassification ? classes.count : 1 }
}
