package import Foundation
package import KeelModels
package import SlipwayDomain

/// The templates that a platform offers, read from `Templates/<task>/*.yaml` once. Whether the weights are there that some start from is asked anew each
/// time: `slipway models pull` may bring them while the platform runs.
package struct TemplateLibrary: Sendable {
    private let all: [Template]
    private let has: @Sendable (PretrainedModel) -> Bool

    /// In the order of tasks, then names.
    package var templates: [Template] {
        let missing = missing
        return all.filter { missing[$0.name] == nil }
    }
    /// Templates that start from weights which the store doesn't have, and the models that those are of.
    package var missing: [String: PretrainedModel] {
        var missing: [String: PretrainedModel] = [:]
        for template in all {
            if let model = template.network.pretrained, !has(model) { missing[template.name] = model }
        }
        return missing
    }

    /// Offers all of them.
    package init(templates: [Template]) {
        all = templates
        has = { _ in true }
    }

    /// - Parameter models: where pretrained weights are; templates that start from others aren't offered.
    /// - Errors: a `Problem` that names the file; a folder without any template is one too.
    package init(folder: URL, models: ModelStore? = nil) throws(Problem) {
        func fault(_ detail: String) -> Problem {
            Problem(500, "template-folder", title: "The template folder can't be used", detail: detail)
        }
        var found: [Template] = []
        for task in LearningTask.allCases {
            let subfolder = folder.appending(path: task.rawValue)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: subfolder.path)) ?? []
            for name in names.sorted() where name.hasSuffix(".yaml") {
                let file = subfolder.appending(path: name)
                let source: String
                do {
                    source = try String(contentsOf: file, encoding: .utf8)
                } catch {
                    throw fault("\(file.path): \(error)")
                }
                let template: Template
                do {
                    template = try Template(yaml: source)
                } catch {
                    throw fault("\(file.path): \(error.detail)")
                }
                guard template.task == task, template.name + ".yaml" == name else {
                    throw fault("\(file.path): its folder must be its task, and its name the template's")
                }
                guard !found.contains(where: { $0.name == template.name }) else {
                    throw fault("\(file.path): another task has a template of this name")
                }
                found.append(template)
            }
        }
        guard !found.isEmpty else { throw fault("\(folder.path) has no template") }
        all = found
        has = { models?.has($0) ?? false }
    }

    /// Those that go on from a model that is named, or those that don't.
    package func templates(for task: LearningTask, hasBase: Bool = false) -> [Template] { templates.filter { $0.task == task && $0.network.hasBase == hasBase } }
    package func template(named name: String) -> Template? { templates.first { $0.name == name } }

    /// The template that an experiment names or brings along (`template`: a name, a whole template as an object, or its
    /// YAML as a text).
    ///
    /// - Parameter hasBase: whether the experiment names a model that it goes on from.
    package func template(chosenBy choice: JSON, for task: LearningTask, hasBase: Bool = false) throws(Problem) -> Template {
        let chosen: Template
        switch choice {
        case .string(let text) where !text.contains("\n") && !text.contains(":"):
            guard let known = template(named: text) else {
                if let model = missing[text] {
                    throw .template("", "'\(text)' starts from weights that aren't here; 'slipway models pull \(model.name)' on this machine fetches them")
                }
                throw .template("", "'\(text.prefix(64))' is unknown; \(nearest(to: text, among: templates(for: task, hasBase: hasBase).map(\.name)))")
            }
            chosen = known
        case .string(let yaml):
            chosen = try Template(yaml: yaml)
        case .object:
            guard let text = try? JSONEncoder.ordered(isPretty: true).text(of: choice) else { throw .template("", "is no JSON object") }
            chosen = try Template(yaml: text)
        default:
            throw .template("", "must be a template's name, a template, or its YAML")
        }
        guard chosen.task == task else {
            throw .template("/task", "is \(chosen.task.rawValue), and the data set's is \(task.rawValue)")
        }
        guard chosen.network.hasBase == hasBase else {
            let kind = NetworkKind.allCases.first { $0.hasBase && $0.tasks.contains(task) }?.rawValue ?? ""
            throw .template("/network/type", hasBase ? "must be '\(kind)' to go on from the base" : "goes on from an imported model: name one as the experiment's 'base'")
        }
        return chosen
    }
}
