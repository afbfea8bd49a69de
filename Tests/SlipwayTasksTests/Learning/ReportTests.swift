import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

@Suite struct ReportTests {
    private static let facts: [String: JSON] = [
        "experiment": "Boxes <best>", "project": "仓库", "dataset": "boxes & crates", "version": 3, "trials": 2,
        "seconds_searched": 12.6, "budget_seconds": 30, "ended_because": "all 2 trials of the plan were made",
        "considered": [["template": "linear-classifier", "fits": false, "why": "it's \"simple\""]],
    ]

    private func report(
        _ task: LearningTask, _ upload: [UInt8], _ template: String, _ changes: [String: JSON] = [:], _ more: [String] = []
    ) throws -> (json: JSON, page: String) {
        try Learning.with(task, upload) { learning in
            let recipes = try [learning.recipe(template, changes)] + more.map { try learning.recipe($0) }
            let folder = try learning.evaluate(recipes.map { ($0, try learning.rung($0).checkpoint) }, facts: Self.facts)
            return (
                try JSONDecoder().decode(JSON.self, from: Data(contentsOf: folder.appending(path: "report.json"))),
                try String(contentsOf: folder.appending(path: "report.html"), encoding: .utf8)
            )
        }
    }

    /// What must hold for every page: one file, no network, nothing of the user's that isn't escaped.
    private func checkPage(_ page: String, has texts: [String]) {
        for text in texts { #expect(page.contains(text), "\(text)") }
        #expect(page.contains("Boxes &lt;best&gt;") && !page.contains("<best>") && page.contains("boxes &amp; crates"))
        #expect(page.contains("仓库") && page.contains("Content-Security-Policy"))
        for text in ["http://", "https://", "<script", "@import", "url(", "nan", "inf\""] { #expect(!page.contains(text), "\(text)") }
        for name in ["svg", "section", "table", "figure", "ul", "dl", "details"] {
            #expect(page.components(separatedBy: "<\(name)").count == page.components(separatedBy: "</\(name)>").count, "\(name)")
        }
    }

    @Test func rowsByClassAreReported() throws {
        // 80 rows without a label.
        var upload = sampleTable(rows: 400, task: .tabularClassification)
        upload += Array((0..<80).map { _ in "1,2,红,yes,2024-03-01,none,\n" }.joined().utf8)
        let (json, page) = try report(
            .tabularClassification, upload, "boosted-trees-classifier", ["rounds": 40], ["linear-classifier"])
        checkPage(
            page,
            has: [
                "好", "Against the simplest guess", "What is taken for what", "Class by class", "aria-label=\"ROC\"",
                "Calibration", "its row", "80 items had no label", "2 trials were made in 13 seconds", "budget of 30 seconds",
                "then all 2 trials of the plan were made", "linear-classifier</b> (not used)", "95 % interval",
            ])
        #expect(json["counts"]?["unlabelled"] == 80 && json["counts"]?["test"] == 80)
        let metrics = try #require(json["metrics"]).elements
        let names = Set(metrics.compactMap { $0["name"]?.stringValue })
        #expect(names.isSuperset(of: ["accuracy", "macro_f1", "auc"]))
        for metric in metrics {
            guard let value = metric["value"]?.doubleValue, let low = metric["low"]?.doubleValue, let high = metric["high"]?.doubleValue
            else { Issue.record("\(metric) has no interval"); continue }
            // A resample's calibration is always worse, so that interval may lie above.
            let isWithin = low <= value + 1e-9 && value <= high + 1e-9
            #expect(isWithin || metric["name"] == "calibration_error", "\(metric)")
        }
        // The rarer class's curve rises from corner to corner.
        let curves = try #require(json["roc"]).elements
        let points = curves.first?["points"]?.elements ?? []
        #expect(curves.count == 1 && points.first == [0, 0] && points.last == [1, 1])
        let heights = points.compactMap { $0[1]?.doubleValue }
        #expect(heights == heights.sorted())
        let area = try #require(curves.first?["area"]?.doubleValue)
        let auc = try #require(metrics.first { $0["name"] == "auc" }?["value"]?.doubleValue)
        #expect(abs(area - auc) < 1e-6)
    }

    @Test func rowsToANumberAreReported() throws {
        let (json, page) = try report(
            .tabularRegression, sampleTable(rows: 400, task: .tabularRegression), "boosted-trees-regressor", ["rounds": 60])
        checkPage(page, has: ["How far off the estimates are", "True and estimated", "Errors", "Mean absolute error", "its row"])
        let reach = try #require(json["reach"]).elements.compactMap { $0["error"]?.doubleValue }
        #expect(reach.count == 4 && reach == reach.sorted())
        let names = try Set(#require(json["metrics"]).elements.compactMap { $0["name"]?.stringValue })
        #expect(names.isSuperset(of: ["rmse", "mae", "r2"]))
        let summary = json["summary"]?.stringValue ?? ""
        #expect(summary.contains("It explains"))
    }

    /// The same bytes in two classes: neither label is right or wrong, so such pictures say nothing.
    @Test func copiesThatContradictEachOtherAreLeftOutAndNamed() throws {
        var zip = SampleZip()
        for index in 0..<40 {
            let lies = index % 2 == 0
            zip.add("\(lies ? "横" : "stands")/\(index).jpg", try samplePicture(lies: lies, seed: UInt64(index)))
        }
        for index in 0..<6 {
            let picture = try samplePicture(lies: true, seed: UInt64(1000 + index))
            for name in ["横", "stands"] { zip.add("\(name)/twin\(index).jpg", picture) }
        }
        // A copy under the same label contradicts nothing.
        zip.add("横/copy.jpg", try samplePicture(lies: true, seed: 0))
        let (json, page) = try report(.imageClassification, zip.bytes, "picture-features", ["epochs": 5])
        let counts = try #require(json["counts"])
        #expect(counts["contradicting"] == 12)
        let used = ["trained", "validation", "test"].compactMap { counts[$0]?.intValue }.reduce(0, +)
        #expect(used == 41)
        #expect(page.contains("12 items are copies that have different labels"))
        // Some of them are named with their labels.
        #expect(page.contains(/twin[0-5]\.jpg \(横\)/) && page.contains(/twin[0-5]\.jpg \(stands\)/))
    }

    @Test func picturesAreReportedWithTheirMistakes() throws {
        // A third of the labels is wrong, so there are mistakes to show.
        var zip = SampleZip()
        for index in 0..<90 {
            let lies = index % 2 == 0
            let name = (index % 3 == 0) == lies ? "横" : "stands"
            zip.add("\(name)/\(index).jpg", try samplePicture(lies: lies, seed: UInt64(index)))
        }
        let (json, page) = try report(.imageClassification, zip.bytes, "picture-features", ["epochs": 5])
        checkPage(page, has: ["横", "Its hardest mistakes", "data:image/jpeg;base64,", "Look for wrong labels"])
        let mistakes = try #require(json["mistakes"]).elements
        let thumbnails = page.components(separatedBy: "<img ").count - 1
        #expect(!mistakes.isEmpty && thumbnails == mistakes.count)
        let scores = mistakes.compactMap { $0["score"]?.doubleValue }
        #expect(scores == scores.sorted(by: >))
    }
}
