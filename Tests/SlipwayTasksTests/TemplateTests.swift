import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

let templateFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Templates")

@Suite struct TemplateTests {
    let library: TemplateLibrary

    init() throws { library = try TemplateLibrary(folder: templateFolder) }

    @Test func everyTaskHasTwoTemplatesThatDifferInKind() {
        for task in LearningTask.allCases {
            #expect(Set(library.templates(for: task).map(\.network)).count >= 2)
        }
    }

    @Test func presetsStayInsideTheRanges() {
        for template in library.templates {
            for preset in Preset.allCases {
                for (name, value) in template.defaults(for: preset) {
                    let range = template.hyperparameter(name)?.range
                    #expect(value.doubleValue.map { range?.contains($0) == true } == true, "\(template.name) \(name)")
                }
            }
        }
    }

    private func sample(_ change: (String) -> String = { $0 }) -> String {
        change(library.template(named: "linear-classifier")?.source ?? "")
    }

    @Test func anUnknownKeyNamesTheNearestKnownOne() {
        #expect {
            try Template(yaml: sample { $0.replacingOccurrences(of: "weight_decay:", with: "wieght_decay:") })
        } throws: { error in
            guard let problem = error as? Problem else { return false }
            return problem.status == 422 && problem.detail.contains("'weight_decay'")
                && problem.errors.first?.pointer == "/template/hyperparameters/wieght_decay"
        }
    }

    @Test(arguments: [
        ("default: 30", "default: 0"), ("maximum: 500", "maximum: 500000"), ("default: 30", "default: many"),
        ("task: tabular-classification", "task: image-classification"), ("type: table-linear", "type: perceptron"),
        ("name: linear-classifier", "name: ../linear"), ("minimum: 0.0001", "minimum: 0"),
        ("cost: {", "cost: { speed: 1, "),
    ])
    func aFaultIsNamed(_ text: String, _ fault: String) {
        #expect(throws: Problem.self) { try Template(yaml: sample { $0.replacingOccurrences(of: text, with: fault) }) }
    }

    @Test func hostileTextsAreRefusedBeforeTheyAreParsed() {
        let bombs = [
            String(repeating: "[", count: 50_000), String(repeating: "- ", count: 30_000),
            String(repeating: "a: &a [1]\n", count: 10_000), "a: &a [x, x]\nb: [*a, *a]", "",
        ]
        for bomb in bombs { #expect(throws: Problem.self) { try Template(yaml: bomb) } }
    }

    @Test func aTemplateMayBeSentAsANameAnObjectOrYAML() throws {
        let yaml = sample()
        #expect(try library.template(chosenBy: .string("linear-classifier"), for: .tabularClassification).name == "linear-classifier")
        #expect(try library.template(chosenBy: .string(yaml), for: .tabularClassification).source == yaml)
        #expect {
            try library.template(chosenBy: "linear-clasifier", for: .tabularClassification)
        } throws: { ($0 as? Problem)?.detail.contains("'linear-classifier'") == true }
        #expect(throws: Problem.self) { try library.template(chosenBy: .string(yaml), for: .tabularRegression) }
    }
}

@Suite struct PreflightTests {
    private func profile(
        _ classes: [Int], items: Int? = nil, columns: [ColumnProfile]? = nil, target: String? = nil
    ) -> DatasetProfile {
        DatasetProfile(
            items: items ?? classes.reduce(0, +), unlabelled: 0,
            classes: classes.enumerated().map { ClassCount(name: "c\($0)", count: $1) }, columns: columns, target: target)
    }

    private func code(_ task: LearningTask, _ profile: DatasetProfile) -> String? {
        do {
            try Preflight.check(task, profile)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func whatCanNotBeTrainedIsSaidBefore() {
        let columns = [
            ColumnProfile(name: "a", type: .number, missing: 0, distinct: 50),
            ColumnProfile(name: "y", type: .category, missing: 0, distinct: 2),
        ]
        #expect(code(.imageClassification, profile([20, 20])) == nil)
        #expect(code(.imageClassification, profile([40])) == "train-single-class")
        #expect(code(.imageClassification, profile([2, 1])) == "train-too-few-samples")
        #expect(code(.imageClassification, profile([Int](repeating: 1, count: 10_000))) == "train-too-many-classes")
        #expect(code(.tabularClassification, profile([20, 20], columns: columns, target: "z")) == "train-no-label-column")
        #expect(code(.tabularRegression, profile([], items: 40, columns: columns, target: "y")) == "train-target-not-numeric")
        #expect(code(.tabularRegression, profile([], items: 40, columns: columns, target: "a")) == nil)
    }
}
