internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// `report.html`: the report for people, in one file that needs no network. Every text from outside is escaped.
struct ReportPage {
    private let report: Report
    /// Of the pictures among the mistakes: where their bytes are.
    private let paths: [Int64: URL]
    private let deadline: ContinuousClock.Instant?

    init(_ report: Report, items: [DataItem], directory: URL, deadline: ContinuousClock.Instant?) {
        self.report = report
        self.deadline = deadline
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
            <h1>\(title.escaped)</h1>
            <p class="lead">\(report.summary.escaped)</p>
            \(warnings)
            \(comparison)
            \(metrics)
            \(confusion)
            \(classes)
            \(calibration)
            \(scatter)
            \(mistakes)
            \(curves)
            \(making)
            </main>
            </body>
            </html>

            """
    }

    // MARK: Sections

    private var warnings: String {
        guard !report.warnings.isEmpty else { return "" }
        return "<aside role=\"note\"><ul>" + report.warnings.map { "<li>\($0.escaped)</li>" }.joined() + "</ul></aside>"
    }

    /// The model against the simplest guess, as two bars.
    private var comparison: String {
        let name = report.task.isClassification ? "accuracy" : "rmse"
        guard let metric = report.metric(name), let guess = metric.baseline else { return "" }
        let scale = report.task.isClassification ? 1 : max(metric.value, guess, 1e-12)
        func bar(_ label: String, _ value: Double, _ kind: String) -> String {
            let shown = report.task.isClassification ? value.percent : value.rounded(digits: 4)
            let width = max(min(value / scale, 1), 0) * 100
            return "<div class=\"bar\"><span class=\"name\">\(label)</span><span class=\"track\">"
                + "<span class=\"fill \(kind)\" style=\"width:\(width.rounded(digits: 4))%\"></span></span>"
                + "<span class=\"value\">\(shown)</span></div>"
        }
        let words = report.task.isClassification ? "Share named rightly (longer is better)" : "Root mean square error (shorter is better)"
        return section("Against the simplest guess", "<p>\(words)</p>" + bar("This model", metric.value, "model") + bar("Simplest guess", guess, "guess"))
    }

    private var metrics: String {
        let rows = report.metrics.map { metric -> String in
            let interval = metric.low.flatMap { low in metric.high.map { "\(low.rounded(digits: 4)) to \($0.rounded(digits: 4))" } }
            return "<tr><th scope=\"row\">\((Self.names[metric.name] ?? metric.name).escaped)</th><td>\(metric.value.rounded(digits: 4))</td>"
                + "<td>\(interval ?? "")</td><td>\(metric.baseline.map { $0.rounded(digits: 4) } ?? "")</td></tr>"
        }
        return section(
            "Figures",
            table(["Metric", "Value", "95 % interval", "Simplest guess"], rows)
                + "<p>Measured on \(report.counts.test) held-out items. One prediction took \(report.predictionMilliseconds.rounded(digits: 3)) ms.</p>")
    }

    private var confusion: String {
        let names = report.classes.map(\.name)
        guard names.count > 1, names.count <= 30 else { return "" }
        let cell = max(min(560 / names.count, 56), 22)
        let margin = 120
        let size = margin + cell * names.count
        let totals = Dictionary(report.classes.map { ($0.name, $0.items) }, uniquingKeysWith: { first, _ in first })
        var marks = ""
        for found in report.confusion {
            guard let row = names.firstIndex(of: found.label), let column = names.firstIndex(of: found.predicted) else { continue }
            let share = Double(found.count) / Double(max(totals[found.label] ?? 1, 1))
            let kind = row == column ? "right" : "wrong"
            let (x, y) = (margin + column * cell, margin / 4 + row * cell)
            marks += "<g><title>\(found.label.escaped) taken for \(found.predicted.escaped): \(found.count)</title>"
                + "<rect class=\"\(kind)\" x=\"\(x)\" y=\"\(y)\" width=\"\(cell - 1)\" height=\"\(cell - 1)\" fill-opacity=\"\((0.15 + 0.85 * share).rounded(digits: 3))\"/>"
                + "<text class=\"\(share > 0.55 ? "on" : "")\" x=\"\(x + cell / 2)\" y=\"\(y + cell / 2 + 4)\" text-anchor=\"middle\">\(found.count)</text></g>"
        }
        for (index, name) in names.enumerated() {
            let middle = index * cell + cell / 2
            marks += "<text x=\"\(margin - 8)\" y=\"\(margin / 4 + middle + 4)\" text-anchor=\"end\">\(name.shortened(16).escaped)</text>"
            let (x, y) = (margin + middle, margin / 4 + cell * names.count + 14)
            marks += "<text transform=\"translate(\(x),\(y)) rotate(40)\">\(name.shortened(16).escaped)</text>"
        }
        let svg = "<svg role=\"img\" aria-label=\"Confusion matrix\" viewBox=\"0 0 \(size + 40) \(size + 10)\" style=\"max-width:\(size + 40)px\">\(marks)</svg>"
        return section(
            "What is taken for what",
            "<p>Rows are the true classes, columns what the model said; the diagonal is right. Hover for names.</p>" + svg)
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

    private var calibration: String {
        guard report.calibration.count > 1 else { return "" }
        let points = report.calibration.map { bin in
            "<g><title>\(bin.items) items said with \(bin.confidence.percent): \(bin.accuracy.percent) right</title>"
                + "<circle class=\"dot\" cx=\"\((40 + 260 * bin.confidence).rounded(digits: 4))\" cy=\"\((270 - 260 * bin.accuracy).rounded(digits: 4))\" r=\"\((3 + 1.5 * log2(Double(bin.items + 1))).rounded(digits: 3))\"/></g>"
        }.joined()
        let svg = "<svg role=\"img\" aria-label=\"Calibration\" viewBox=\"0 0 320 310\" style=\"max-width:320px\"><line class=\"rule\" x1=\"40\" y1=\"270\" x2=\"300\" y2=\"10\"/>"
            + Self.axes + points + "<text x=\"170\" y=\"300\" text-anchor=\"middle\">score</text><text transform=\"translate(14,140) rotate(-90)\" text-anchor=\"middle\">share right</text></svg>"
        return section("Can the scores be trusted?", "<p>On the line, a score of 80 % is right 80 % of the time. Below it, the model is too sure of itself.</p>" + svg)
    }

    private static let axes = "<line class=\"axis\" x1=\"40\" y1=\"270\" x2=\"300\" y2=\"270\"/><line class=\"axis\" x1=\"40\" y1=\"10\" x2=\"40\" y2=\"270\"/>"

    private var scatter: String {
        let values = report.points.flatMap { [$0.value, $0.predicted] }.filter(\.isFinite)
        guard report.points.count > 1, let low = values.min(), let high = values.max(), high > low else { return "" }
        func place(_ value: Double) -> Double { (value - low) / (high - low) * 260 }
        let points = report.points.filter { $0.value.isFinite && $0.predicted.isFinite }.map {
            "<circle class=\"dot small\" cx=\"\((40 + place($0.value)).rounded(digits: 4))\" cy=\"\((270 - place($0.predicted)).rounded(digits: 4))\" r=\"2\"/>"
        }.joined()
        let svg = "<svg role=\"img\" aria-label=\"True and estimated values\" viewBox=\"0 0 320 310\" style=\"max-width:420px\"><line class=\"rule\" x1=\"40\" y1=\"270\" x2=\"300\" y2=\"10\"/>"
            + Self.axes + points
            + "<text x=\"40\" y=\"286\">\(low.rounded(digits: 3))</text><text x=\"300\" y=\"286\" text-anchor=\"end\">\(high.rounded(digits: 3))</text>"
            + "<text x=\"170\" y=\"302\" text-anchor=\"middle\">true value</text><text transform=\"translate(14,140) rotate(-90)\" text-anchor=\"middle\">estimate</text></svg>"
        return section("True and estimated", "<p>Each dot is a held-out row; on the line the estimate is exact.</p>" + svg)
    }

    private var mistakes: String {
        guard !report.mistakes.isEmpty else { return "" }
        if report.task == .imageClassification {
            let figures = report.mistakes.map { mistake in
                "<figure>\(thumbnail(mistake))<figcaption><b>\(mistake.label.escaped)</b> taken for <b>\(mistake.predicted.escaped)</b> (\(mistake.score.percent))<br><small>\(mistake.name.escaped)</small></figcaption></figure>"
            }
            return section("Its hardest mistakes", "<p>The held-out pictures that the model got wrong while being surest. Look for wrong labels, too.</p><div class=\"gallery\">\(figures.joined())</div>")
        }
        let head = report.task.isClassification ? ["Item", "True", "Said", "Score"] : ["Item", "True", "Estimate", "Error"]
        let rows = report.mistakes.map { mistake in
            "<tr><th scope=\"row\">\(mistake.name.escaped) <small>(id \(mistake.item))</small></th><td>\(mistake.label.escaped)</td><td>\(mistake.predicted.escaped)</td>"
                + "<td>\(report.task.isClassification ? mistake.score.percent : mistake.score.rounded(digits: 4))</td></tr>"
        }
        return section("Its hardest mistakes", table(head, rows))
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
                + "<line class=\"axis\" x1=\"50\" y1=\"135\" x2=\"300\" y2=\"135\"/><polyline class=\"line\" points=\"\(line)\"/>"
                + "<text x=\"46\" y=\"20\" text-anchor=\"end\">\(high.rounded(digits: 3))</text><text x=\"46\" y=\"132\" text-anchor=\"end\">\(low.rounded(digits: 3))</text>"
                + "<text x=\"300\" y=\"152\" text-anchor=\"end\">\(right.rounded(digits: 4)) \(curve.unit.escaped)</text></svg>"
                + "<figcaption>\(curve.template.escaped): \(curve.name.replacing("_", with: " ").escaped)</figcaption></figure>"
        }
        return section("How it learned", "<div class=\"gallery wide\">\(charts.joined())</div>")
    }

    private var making: String {
        let parts = report.mixture.map {
            "<li>\($0.template.escaped), \($0.weight.percent) of the answer</li>"
        }.joined()
        let counts = report.counts
        var lines = ["<li>\(counts.trained) items were learned from"]
        lines[0] += counts.validation > 0
            ? ", \(counts.validation) chose between the trials, and \(counts.test) were held out for this report.</li>"
            : "; \(counts.folds) members each left out one part of them, which judged it. \(counts.test) were held out for this report.</li>"
        if counts.unlabelled > 0 { lines.append("<li>\(counts.unlabelled) items had no label and were left out.</li>") }
        let facts = report.facts.sorted { $0.key < $1.key }.compactMap { name, value -> String? in
            switch value {
            case .string(let text): "<tr><th scope=\"row\">\(name.escaped)</th><td>\(text.escaped)</td></tr>"
            case .integer(let number): "<tr><th scope=\"row\">\(name.escaped)</th><td>\(number)</td></tr>"
            default: nil
            }
        }
        return section(
            "How it was made",
            "<p>The model is:</p><ul>\(parts)</ul><ul>\(lines.joined())</ul>" + considered + (facts.isEmpty ? "" : table(["Fact", ""], facts)))
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
        .axis{stroke:var(--soft)}.rule{stroke:var(--guess);stroke-dasharray:4 4}.dot{fill:var(--model);fill-opacity:.75}.dot.small{fill-opacity:.45}.line{fill:none;stroke:var(--model);stroke-width:2}
        .gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:14px}.gallery.wide{grid-template-columns:repeat(auto-fill,minmax(280px,1fr))}
        figure{margin:0}figure img{width:96px;height:96px;object-fit:contain;image-rendering:auto;background:var(--edge);border-radius:6px}figcaption{font-size:.85rem;overflow-wrap:anywhere}
        small{color:var(--soft)}meter{width:6em;vertical-align:middle}
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
