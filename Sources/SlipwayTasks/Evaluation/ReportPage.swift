internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// `report.html`: the report for people, in one file that needs no network. Every text from outside is escaped.
struct ReportPage {
    private let report: Report
    /// Of the pictures among the mistakes: where their bytes are.
    private let paths: [Int64: URL]
    /// Of the rows among the mistakes: their fields by column.
    private let rows: [Int64: [(name: String, field: String)]]
    private let deadline: ContinuousClock.Instant?

    /// - Parameter columns: of `items`, if they are rows; the target isn't shown.
    init(
        _ report: Report, items: [DataItem], columns: [ColumnProfile], target: String, directory: URL,
        deadline: ContinuousClock.Instant?
    ) {
        self.report = report
        self.deadline = deadline
        let shown = Set(report.mistakes.map(\.item))
        rows = Dictionary(
            items.filter { shown.contains($0.id) }.compactMap { item in
                item.row.map { row in
                    (item.id, zip(columns, row).compactMap { $0.name == target ? nil : ($0.name, $1 ?? "") })
                }
            }, uniquingKeysWith: { first, _ in first })
        paths = Dictionary(
            items.compactMap { item in item.path.map { (item.id, URL(fileURLWithPath: $0, relativeTo: directory)) } },
            uniquingKeysWith: { first, _ in first })
    }

    var html: String {
        let title = report.facts["experiment"]?.stringValue ?? report.task.rawValue
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
            <title>Report: \(title.escaped)</title>
            <style>\(Self.style)</style>
            </head>
            <body>
            <main>
            <header><h1>\(title.escaped)</h1>\(origin)</header>
            <p class="lead">\(report.summary.escaped)</p>
            \(warnings)
            \(comparison)
            \(metrics)
            \(confusion)
            \(classes)
            \(trust)
            \(estimates)
            \(mistakes)
            \(curves)
            \(making)
            </main>
            </body>
            </html>

            """
    }

    // MARK: Sections

    /// Where the model comes from, in one line.
    private var origin: String {
        var parts = [Self.tasks[report.task] ?? report.task.rawValue]
        if let dataset = report.facts["dataset"]?.stringValue {
            parts.append("data set \(dataset)" + (report.facts["version"]?.intValue.map { ", version \($0)" } ?? ""))
        }
        if let project = report.facts["project"]?.stringValue { parts.append("project \(project)") }
        return "<p class=\"origin\">\(parts.joined(separator: " · ").escaped)</p>"
    }

    private static let tasks: [LearningTask: String] = [
        .imageClassification: "Pictures by class", .tabularClassification: "Rows by class", .tabularRegression: "Rows to a number",
    ]

    private var warnings: String {
        guard !report.warnings.isEmpty else { return "" }
        return "<aside role=\"note\"><ul>" + report.warnings.map { "<li>\($0.escaped)</li>" }.joined() + "</ul></aside>"
    }

    /// The model against the simplest guess, as bars.
    private var comparison: String {
        var names = [report.task.isClassification ? "accuracy" : "rmse"]
        // What the search was for, when it is a share as well.
        if report.task.isClassification, report.objective.hasPrefix("macro") { names.append(report.objective) }
        let charts = names.compactMap { name -> String? in
            guard let metric = report.metric(name), let guess = metric.baseline else { return nil }
            let scale = report.task.isClassification ? 1 : max(metric.value, guess, 1e-12)
            func bar(_ label: String, _ value: Double, _ kind: String) -> String {
                let shown = name == "accuracy" ? value.percent : value.shown(digits: report.task.isClassification ? 3 : 4)
                let width = max(min(value / scale, 1), 0) * 100
                return "<div class=\"bar\"><span class=\"name\">\(label)</span><span class=\"track\">"
                    + "<span class=\"fill \(kind)\" style=\"width:\(width.rounded(digits: 4))%\"></span></span>"
                    + "<span class=\"value\">\(shown)</span></div>"
            }
            let words = switch name {
            case "accuracy": "Share named rightly (longer is better)"
            case "rmse": "Root mean square error (shorter is better)"
            default: "\(Self.names[name] ?? name): each class counts the same, however rare (longer is better)"
            }
            return "<p>\(words)</p>" + bar("This model", metric.value, "model") + bar("Simplest guess", guess, "guess")
        }
        return charts.isEmpty ? "" : section("Against the simplest guess", charts.joined())
    }

    private var metrics: String {
        let rows = report.metrics.map { metric -> String in
            let interval = metric.low.flatMap { low in metric.high.map { "\(low.shown(digits: 4)) to \($0.shown(digits: 4))" } }
            return "<tr><th scope=\"row\">\((Self.names[metric.name] ?? metric.name).escaped)</th><td>\(metric.value.shown(digits: 4))</td>"
                + "<td>\(interval ?? "")</td><td>\(metric.baseline.map { abs($0) < 0.001 ? "0" : $0.shown(digits: 4) } ?? "")</td></tr>"
        }
        return section(
            "Figures",
            table(["Metric", "Value", "95 % interval", "Simplest guess"], rows)
                + "<p>Measured on \(report.counts.test) held-out items. Other items of the same kind would give figures within the intervals, 19 times of 20. One prediction took \(report.predictionMilliseconds.rounded(digits: 2)) ms.</p>")
    }

    private var confusion: String {
        let names = report.classes.map(\.name)
        guard names.count > 1, names.count <= 30 else { return "" }
        let cell = max(min(560 / names.count, 56), 22)
        let longest = names.map { min($0.count, 16) }.max() ?? 1
        // Wide characters take about twice the room of narrow ones.
        let isWide = names.contains { $0.unicodeScalars.contains { $0.value >= 0x2E80 } }
        let margin = min(24 + longest * (isWide ? 13 : 8), 150)
        let isTurned = longest * (isWide ? 13 : 8) > cell
        let size = margin + cell * names.count
        let totals = Dictionary(report.classes.map { ($0.name, $0.items) }, uniquingKeysWith: { first, _ in first })
        var marks = ""
        for row in names.indices {
            for column in names.indices {
                marks += "<rect class=\"cell\" x=\"\(margin + column * cell)\" y=\"\(4 + row * cell)\" width=\"\(cell - 1)\" height=\"\(cell - 1)\"/>"
            }
        }
        for found in report.confusion {
            guard let row = names.firstIndex(of: found.label), let column = names.firstIndex(of: found.predicted) else { continue }
            let share = Double(found.count) / Double(max(totals[found.label] ?? 1, 1))
            let kind = row == column ? "right" : "wrong"
            let (x, y) = (margin + column * cell, 4 + row * cell)
            marks += "<g><title>\(found.label.escaped) taken for \(found.predicted.escaped): \(found.count)</title>"
                + "<rect class=\"\(kind)\" x=\"\(x)\" y=\"\(y)\" width=\"\(cell - 1)\" height=\"\(cell - 1)\" fill-opacity=\"\((0.15 + 0.85 * share).rounded(digits: 3))\"/>"
                + "<text class=\"\(share > 0.55 ? "on" : "")\" x=\"\(x + cell / 2)\" y=\"\(y + cell / 2 + 4)\" text-anchor=\"middle\">\(found.count)</text></g>"
        }
        for (index, name) in names.enumerated() {
            let middle = index * cell + cell / 2
            marks += "<text x=\"\(margin - 8)\" y=\"\(middle + 8)\" text-anchor=\"end\">\(name.shortened(16).escaped)</text>"
            let (x, y) = (margin + middle, cell * names.count + 20)
            marks += isTurned
                ? "<text transform=\"translate(\(x),\(y)) rotate(40)\">\(name.shortened(16).escaped)</text>"
                : "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"middle\">\(name.shortened(16).escaped)</text>"
        }
        let (width, height) = (size + (isTurned ? margin * 3 / 4 : 8), cell * names.count + (isTurned ? margin * 3 / 4 : 0) + 30)
        let svg = "<svg role=\"img\" aria-label=\"Confusion matrix\" viewBox=\"0 0 \(width) \(height)\" style=\"max-width:\(width)px\">\(marks)</svg>"
        return section(
            "What is taken for what",
            "<p>Rows are the true classes, columns what the model said; the diagonal is right.\(confused)</p>" + svg)
    }

    /// The commonest mistakes, in words.
    private var confused: String {
        let worst = report.confusion.filter { $0.label != $0.predicted && $0.count > 1 }
            .sorted { ($1.count, $0.label) < ($0.count, $1.label) }.prefix(3)
        guard !worst.isEmpty else { return "" }
        let words = worst.map { "<b>\($0.label.escaped)</b> taken for <b>\($0.predicted.escaped)</b> (\($0.count) times)" }
        return " Most often wrong: \(words.joined(separator: ", "))."
    }

    private var classes: String {
        guard !report.classes.isEmpty else { return "" }
        let rows = report.classes.map { line in
            "<tr><th scope=\"row\">\(line.name.escaped)</th><td>\(line.items)</td><td>\(line.predicted)</td><td>\(line.correct)</td>"
                + "<td>\(line.precision.percent)</td><td>\(line.recall.percent)</td>"
                + "<td><meter min=\"0\" max=\"1\" value=\"\(line.f1.rounded(digits: 4))\">\(line.f1.rounded(digits: 3))</meter> \(line.f1.rounded(digits: 3))</td></tr>"
        }
        return section(
            "Class by class",
            table(["Class", "Held-out items", "Times said", "Right", "Precision", "Recall", "F1"], rows)
                + "<p>Precision: how often the model is right when it says this class. Recall: how many of the class's items it finds.</p>")
    }

    // MARK: Charts

    /// A square chart of shares from 0 to 100 %.
    private func shares(_ title: String, x: String, y: String, _ marks: String) -> String {
        let ticks = [0.0, 0.25, 0.5, 0.75, 1].map { share in
            let (x, y) = (44 + 256 * share, 266 - 256 * share)
            return "<line class=\"grid\" x1=\"44\" y1=\"\(y)\" x2=\"300\" y2=\"\(y)\"/>"
                + "<text class=\"tick\" x=\"\(x)\" y=\"282\" text-anchor=\"middle\">\(Int(share * 100))</text>"
                + "<text class=\"tick\" x=\"38\" y=\"\(y + 4)\" text-anchor=\"end\">\(Int(share * 100))</text>"
        }.joined()
        return "<svg role=\"img\" aria-label=\"\(title)\" viewBox=\"0 0 320 306\" style=\"max-width:340px\">\(ticks)"
            + "<line class=\"axis\" x1=\"44\" y1=\"266\" x2=\"300\" y2=\"266\"/><line class=\"axis\" x1=\"44\" y1=\"10\" x2=\"44\" y2=\"266\"/>"
            + "\(marks)<text x=\"172\" y=\"301\" text-anchor=\"middle\">\(x)</text>"
            + "<text transform=\"translate(11,138) rotate(-90)\" text-anchor=\"middle\">\(y)</text></svg>"
    }

    private static func place(_ share: Double, _ height: Double) -> (x: String, y: String) {
        ((44 + 256 * share).rounded(digits: 4), (266 - 256 * height).rounded(digits: 4))
    }

    private static let diagonal = "<line class=\"rule\" x1=\"44\" y1=\"266\" x2=\"300\" y2=\"10\"/>"

    /// Calibration and ROC side by side.
    private var trust: String {
        var figures: [String] = []
        if report.calibration.count > 1 {
            let points = report.calibration.map { bin in
                let at = Self.place(bin.confidence, bin.accuracy)
                return "<g><title>\(bin.items) items said with \(bin.confidence.percent): \(bin.accuracy.percent) right</title>"
                    + "<circle class=\"dot\" cx=\"\(at.x)\" cy=\"\(at.y)\" r=\"\((3 + 1.2 * log2(Double(bin.items + 1))).rounded(digits: 3))\"/></g>"
            }.joined()
            figures.append(
                "<figure>" + shares("Calibration", x: "score, %", y: "share right, %", Self.diagonal + points)
                    + "<figcaption>Scores. On the line, a score of 80 % is right 80 % of the time; below it, the model is too sure of itself. Larger dots are more items.</figcaption></figure>")
        }
        if !report.roc.isEmpty {
            let lines = report.roc.enumerated().map { index, curve in
                let points = curve.points.filter { $0.count == 2 }.map { point in
                    let at = Self.place(point[0], point[1])
                    return "\(at.x),\(at.y)"
                }.joined(separator: " ")
                return "<polyline class=\"line tint\(index)\" points=\"\(points)\"><title>\(curve.name.escaped)</title></polyline>"
            }.joined()
            let legend = report.roc.enumerated().map { index, curve in
                "<span class=\"key tint\(index)\">\(curve.name.escaped) (area \(curve.area.rounded(digits: 3)))</span>"
            }.joined(separator: " ")
            figures.append(
                "<figure>" + shares("ROC", x: "others taken for the class, %", y: "of the class found, %", Self.diagonal + lines)
                    + "<figcaption>Finding a class. The nearer to the upper left, the better its scores tell it from the others; the dashed line is a coin. \(legend)</figcaption></figure>")
        }
        return figures.isEmpty ? "" : section("Can the scores be trusted?", "<div class=\"gallery wide\">\(figures.joined())</div>")
    }

    /// Of regression: true against estimated, and how far off.
    private var estimates: String {
        let points = report.points.filter { $0.value.isFinite && $0.predicted.isFinite }
        let values = points.flatMap { [$0.value, $0.predicted] }
        guard points.count > 1, let low = values.min(), let high = values.max(), high > low else { return "" }
        func share(_ value: Double) -> Double { (value - low) / (high - low) }
        let dots = points.map {
            let at = Self.place(share($0.value), share($0.predicted))
            return "<circle class=\"dot small\" cx=\"\(at.x)\" cy=\"\(at.y)\" r=\"2.5\"><title>\($0.value.shown(digits: 5)) estimated as \($0.predicted.shown(digits: 5))</title></circle>"
        }.joined()
        let scatter = "<svg role=\"img\" aria-label=\"True and estimated values\" viewBox=\"0 0 320 306\" style=\"max-width:340px\">"
            + "<line class=\"axis\" x1=\"44\" y1=\"266\" x2=\"300\" y2=\"266\"/><line class=\"axis\" x1=\"44\" y1=\"10\" x2=\"44\" y2=\"266\"/>"
            + Self.diagonal + dots
            + "<text class=\"tick\" x=\"44\" y=\"282\">\(low.shown(digits: 3))</text><text class=\"tick\" x=\"300\" y=\"282\" text-anchor=\"end\">\(high.shown(digits: 3))</text>"
            + "<text x=\"172\" y=\"301\" text-anchor=\"middle\">true value</text><text transform=\"translate(28,138) rotate(-90)\" text-anchor=\"middle\">estimate</text></svg>"
        let figures = [
            "<figure>\(scatter)<figcaption>Each dot is a held-out row; on the line the estimate is exact.</figcaption></figure>",
            errors(points),
        ]
        let reach = report.reach.map { "\(Int(($0.share * 100).rounded())) % within \($0.error.shown(digits: 3))" }
        let words = reach.isEmpty ? "" : "<p>Of the estimates, \(reach.joined(separator: ", ")) of the true value.</p>"
        return section("How far off the estimates are", words + "<div class=\"gallery wide\">\(figures.joined())</div>")
    }

    /// A histogram of estimate minus true value; the outermost bars hold what lies beyond.
    private func errors(_ points: [Report.Point]) -> String {
        let errors = points.map { $0.predicted - $0.value }
        guard let limit = report.reach.first(where: { $0.share >= 0.95 })?.error, limit > 0 else { return "" }
        let bars = 21
        var counts = [Int](repeating: 0, count: bars)
        for error in errors {
            counts[min(max(Int((error / limit + 1) / 2 * Double(bars)), 0), bars - 1)] += 1
        }
        let most = Double(max(counts.max() ?? 1, 1))
        let width = 256 / Double(bars)
        let marks = counts.enumerated().map { index, count in
            let height = 240 * Double(count) / most
            return "<rect class=\"column\" x=\"\((44 + width * Double(index)).rounded(digits: 4))\" y=\"\((266 - height).rounded(digits: 4))\" width=\"\((width - 1).rounded(digits: 4))\" height=\"\(height.rounded(digits: 4))\"><title>\(count) rows</title></rect>"
        }.joined()
        return "<figure><svg role=\"img\" aria-label=\"Errors\" viewBox=\"0 0 320 306\" style=\"max-width:340px\">\(marks)"
            + "<line class=\"axis\" x1=\"44\" y1=\"266\" x2=\"300\" y2=\"266\"/><line class=\"rule\" x1=\"172\" y1=\"10\" x2=\"172\" y2=\"266\"/>"
            + "<text class=\"tick\" x=\"44\" y=\"282\">−\(limit.shown(digits: 3))</text><text class=\"tick\" x=\"172\" y=\"282\" text-anchor=\"middle\">0</text><text class=\"tick\" x=\"300\" y=\"282\" text-anchor=\"end\">\(limit.shown(digits: 3))</text>"
            + "<text x=\"172\" y=\"301\" text-anchor=\"middle\">estimate less true value</text></svg>"
            + "<figcaption>Left of the middle the estimate is too low, right of it too high. The bars at the ends hold all that lies beyond.</figcaption></figure>"
    }

    // MARK: Mistakes and making

    private var mistakes: String {
        guard !report.mistakes.isEmpty else { return "" }
        if report.task.items == .pictures {
            let figures = report.mistakes.map { mistake in
                "<figure>\(thumbnail(mistake))<figcaption><b>\(mistake.label.escaped)</b> taken for <b>\(mistake.predicted.escaped)</b> (\(mistake.score.percent))<br><small>\(mistake.name.escaped)</small></figcaption></figure>"
            }
            return section("Its hardest mistakes", "<p>The held-out pictures that the model got wrong while being surest. Look for wrong labels, too.</p><div class=\"gallery\">\(figures.joined())</div>")
        }
        let head = report.task.isClassification ? ["Item", "True", "Said", "Score"] : ["Item", "True", "Estimate", "Error"]
        let rows = report.mistakes.map { mistake in
            func number(_ text: String) -> String { Double(text)?.shown(digits: 6) ?? text }
            let (label, said, score) = report.task.isClassification
                ? (mistake.label, mistake.predicted, mistake.score.percent)
                : (number(mistake.label), number(mistake.predicted), mistake.score.shown(digits: 4))
            return "<tr><th scope=\"row\">\(mistake.name.escaped) <small>(id \(mistake.item))</small>\(fields(mistake))</th>"
                + "<td>\(label.escaped)</td><td>\(said.escaped)</td><td>\(score)</td></tr>"
        }
        let words = report.task.isClassification
            ? "The held-out rows that the model got wrong while being surest. Look for wrong labels, too."
            : "The held-out rows with the largest errors. Look for wrong values, too."
        return section("Its hardest mistakes", "<p>\(words)</p>" + table(head, rows))
    }

    /// What stood in the row, folded away.
    private func fields(_ mistake: Report.Mistake) -> String {
        guard let row = rows[mistake.item] else { return "" }
        let pairs = row.prefix(60).map { "<dt>\($0.name.escaped)</dt><dd>\($0.field.shortened(80).escaped)</dd>" }
        return "<details><summary>its row</summary><dl>\(pairs.joined())</dl></details>"
    }

    private func thumbnail(_ mistake: Report.Mistake) -> String {
        if let deadline, ContinuousClock.now > deadline { return "" }
        guard let path = paths[mistake.item], let bytes = try? Data(contentsOf: path),
            let picture = try? Picture(decoding: [UInt8](bytes), minimumSide: 96)
        else { return "" }
        let scale = 96 / Double(max(picture.width, picture.height))
        let small = picture.resized(
            width: max(Int(Double(picture.width) * scale), 1), height: max(Int(Double(picture.height) * scale), 1))
        guard let file = try? small.jpeg(quality: 80) else { return "" }
        return "<img alt=\"\(mistake.name.escaped)\" src=\"data:image/jpeg;base64,\(Data(file).base64EncodedString())\">"
    }

    private var curves: String {
        let drawn = report.curves.filter { $0.points.count > 1 && $0.name.hasPrefix("validation") }
        guard !drawn.isEmpty else { return "" }
        let charts = drawn.prefix(4).map { curve -> String in
            let points = curve.points.filter { $0.count == 2 && $0.allSatisfy(\.isFinite) }
            let (xs, ys) = (points.map { $0[0] }, points.map { $0[1] })
            guard let left = xs.min(), let right = xs.max(), let low = ys.min(), let high = ys.max(), right > left else { return "" }
            let line = points.map { point in
                let x = 50 + (point[0] - left) / (right - left) * 250
                let y = 130 - (high > low ? (point[1] - low) / (high - low) : 0.5) * 115
                return "\(x.rounded(digits: 4)),\(y.rounded(digits: 4))"
            }.joined(separator: " ")
            return "<figure><svg role=\"img\" aria-label=\"Learning curve\" viewBox=\"0 0 320 165\" style=\"max-width:360px\">"
                + "<line class=\"axis\" x1=\"50\" y1=\"135\" x2=\"300\" y2=\"135\"/><polyline class=\"line tint0\" points=\"\(line)\"/>"
                + "<text x=\"46\" y=\"20\" text-anchor=\"end\">\(high.rounded(digits: 3))</text><text x=\"46\" y=\"132\" text-anchor=\"end\">\(low.rounded(digits: 3))</text>"
                + "<text x=\"300\" y=\"152\" text-anchor=\"end\">\(right.rounded(digits: 4)) \(curve.unit.escaped)</text></svg>"
                + "<figcaption>\(curve.template.escaped): \(curve.name.replacing("_", with: " ").escaped)</figcaption></figure>"
        }
        return section("How it learned", "<div class=\"gallery wide\">\(charts.joined())</div>")
    }

    private var making: String {
        let counts = report.counts
        let parts = report.mixture.map { share in
            "<li><b>\(share.template.escaped)</b>, \(share.weight.percent) of the answer"
                + (share.made.isEmpty ? "" : "; it also looks at \(share.made.prefix(6).map(\.escaped).joined(separator: ", "))\(share.made.count > 6 ? " and \(share.made.count - 6) more sums" : "")")
                + "</li>"
        }.joined()
        var lines = [
            "\(counts.test) items (of each class, or of all rows, the fifth with the smallest content hashes) were held out for this report. Nothing was learned from them or chosen by them.",
            counts.validation > 0
                ? "\(counts.trained) items were learned from, and \(counts.validation) chose between the trials."
                : "\(counts.trained) items were learned from: \(counts.folds) members each left out one part of them, which judged it; the model is the mean of the members.",
        ]
        if counts.contradicting > 0 {
            lines.append("\(counts.contradicting) items were left out, since copies of them have another label.")
        }
        if counts.unlabelled > 0 { lines.append("\(counts.unlabelled) items had no label and were left out.") }
        if let search { lines.append(search) }
        lines.append("The search was for the best \((Self.names[report.objective] ?? report.objective).escaped).")
        return section(
            "How it was made",
            (chosen.map { "<p>\($0)</p>" } ?? "") + "<p>The model is:</p><ul>\(parts)</ul><ul>"
                + lines.map { "<li>\($0)</li>" }.joined() + "</ul>" + considered)
    }

    /// Trials, time and end of the search, as far as the platform told.
    private var search: String? {
        guard let trials = report.facts["trials"]?.intValue else { return nil }
        var text = "\(trials) \(trials == 1 ? "trial was" : "trials were") made"
        if let seconds = report.facts["seconds_searched"]?.doubleValue {
            text += " in \(seconds.rounded(digits: seconds < 100 ? 2 : 3)) seconds"
        }
        if let seconds = report.facts["budget_seconds"]?.doubleValue {
            text += ", of a budget of \(seconds.rounded(digits: 4)) seconds that this report is part of"
        } else if let budget = report.facts["budget_trials"]?.intValue {
            text += ", of a budget of \(budget)"
        }
        if let why = report.facts["ended_because"]?.stringValue { text += "; then \(why.escaped)" }
        return text + "."
    }

    private var chosen: String? {
        guard let template = report.mixture.first?.template else { return nil }
        let mixed = report.mixture.count > 1
        return "Of what was tried, " + (mixed ? "a mix led by " : "")
            + "the template <b>\(template.escaped)</b> did best on the items that judged"
            + (report.mixture.first?.score.map {
                " (\((Self.names[report.objective] ?? report.objective).escaped) \(abs($0).shown(digits: 4)))"
            } ?? "") + "."
    }

    private var considered: String {
        guard case .array(let list)? = report.facts["considered"] else { return "" }
        let lines = list.compactMap { entry -> String? in
            guard let template = entry["template"]?.stringValue, let why = entry["why"]?.stringValue else { return nil }
            let fits = entry["fits"] == .bool(true) ? "" : " (not used)"
            return "<li><b>\(template.escaped)</b>\(fits): \(why.escaped)</li>"
        }
        return lines.isEmpty ? "" : "<p>Templates that were considered:</p><ul>\(lines.joined())</ul>"
    }

    // MARK: Pieces

    private func section(_ title: String, _ body: String) -> String { "<section><h2>\(title)</h2>\(body)</section>" }

    private func table(_ head: [String], _ rows: [String]) -> String {
        "<div class=\"scroll\"><table><thead><tr>" + head.map { "<th scope=\"col\">\($0)</th>" }.joined()
            + "</tr></thead><tbody>" + rows.joined() + "</tbody></table></div>"
    }

    private static let names = [
        "accuracy": "Accuracy", "macro_f1": "Macro F1", "macro_precision": "Macro precision", "macro_recall": "Macro recall",
        "auc": "Area under the ROC curve", "log_loss": "Log loss (smaller is better)",
        "calibration_error": "Calibration error (smaller is better)", "rmse": "Root mean square error",
        "mae": "Mean absolute error", "r2": "R², the share explained", "mape": "Mean relative error",
    ]

    private static let style = """
        :root{color-scheme:light dark;--ink:#1b2430;--soft:#5b6675;--paper:#fbfbf9;--card:#fff;--edge:#e2e4e8;--model:#1769aa;--guess:#a6adb8;--wrong:#c2452d}
        @media (prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#a3adba;--paper:#14181e;--card:#1c222b;--edge:#313946;--model:#5aa9e6;--guess:#677080;--wrong:#ec7f66}}
        *{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
        main{max-width:860px;margin:0 auto;padding:32px 20px 64px}h1{font-size:1.7rem;margin:0 0 8px}h2{font-size:1.15rem;margin:0 0 12px}
        .lead{font-size:1.15rem;max-width:42em}section{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:20px;margin:20px 0}
        aside{border-left:4px solid var(--wrong);padding:2px 12px;background:var(--card);margin:16px 0}aside ul{margin:8px 0;padding-left:18px}
        .scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--edge);font-variant-numeric:tabular-nums}
        th:first-child,td:first-child{text-align:left}thead th{color:var(--soft);font-weight:600;font-size:.85rem}tbody th{font-weight:500}
        .bar{display:flex;align-items:center;gap:12px;margin:8px 0}.bar .name{flex:0 0 8em}.bar .track{flex:1;background:var(--edge);border-radius:5px;height:18px;overflow:hidden}
        .bar .fill{display:block;height:100%}.fill.model{background:var(--model)}.fill.guess{background:var(--guess)}.bar .value{flex:0 0 5.5em;text-align:right;font-variant-numeric:tabular-nums}
        svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--ink)}svg text.on{fill:#fff}.right{fill:var(--model)}.wrong{fill:var(--wrong)}
        header{margin-bottom:16px}.origin{color:var(--soft);margin:0}svg text.tick{fill:var(--soft);font-size:11px}.grid{stroke:var(--edge)}.cell{fill:var(--edge);fill-opacity:.35}.column{fill:var(--model)}
        details{font-weight:400}summary{color:var(--soft);font-size:.85rem;cursor:pointer}dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:6px 0;font-size:.85rem;text-align:left}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
        .key{white-space:nowrap;margin-right:8px}.key::before{content:"";display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle;background:currentColor}
        .tint0{stroke:var(--model);color:var(--model)}.tint1{stroke:#d9822b;color:#d9822b}.tint2{stroke:#2f9e63;color:#2f9e63}.tint3{stroke:#b5489a;color:#b5489a}.tint4{stroke:#8a6fd1;color:#8a6fd1}.tint5{stroke:#c2452d;color:#c2452d}
        .axis{stroke:var(--soft)}.rule{stroke:var(--guess);stroke-dasharray:4 4}.dot{fill:var(--model);fill-opacity:.75}.dot.small{fill-opacity:.45}.line{fill:none;stroke-width:2}
        .gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:14px}.gallery.wide{grid-template-columns:repeat(auto-fill,minmax(280px,1fr))}
        figure{margin:0}figure img{width:96px;height:96px;object-fit:contain;image-rendering:auto;background:var(--edge);border-radius:6px}figcaption{font-size:.85rem;overflow-wrap:anywhere}
        small{color:var(--soft)}meter{width:6em;vertical-align:middle}
        @media (max-width:560px){main{padding:20px 12px 40px}section{padding:14px}.bar{flex-wrap:wrap;gap:4px 10px}.bar .name{flex:1 0 100%}th,td{padding:6px 6px}h1{font-size:1.4rem}.lead{font-size:1.05rem}}
        """
}

extension String {
    /// Safe between tags and inside a quoted attribute.
    fileprivate var escaped: String {
        var result = ""
        for character in self {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
        return result
    }

    fileprivate func shortened(_ count: Int) -> String { self.count > count ? prefix(count - 1) + "…" : self }
}
