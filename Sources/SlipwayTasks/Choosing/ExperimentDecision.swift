internal import Foundation
package import SlipwayDomain

/// What an experiment does next: a pure function of its state, called whenever a rung has ended.
///
/// The templates' first trials come first, in the chooser's order. Then generations of trials with sampled
/// hyperparameters follow; where one trial takes long, a generation is halved: all run a quarter of their length, the
/// better half goes on to one half, and the better half of those to the end.
///
/// - A budget in seconds is an upper limit over everything. What evaluation will take is put aside first, every rung
///   gets a limit from what is left, and lengths are planned by what earlier trials took.
/// - A budget in trials alone is the repeatable kind: rungs end by resource only, and nothing here depends on a
///   clock, on the order in which parallel trials ended, or on how many ran at once.
package enum ExperimentDecision {
    /// - Errors: `Problem` when the state's own template can't be read (it was checked when the experiment was made).
    package static func next(_ state: ExperimentState, _ library: TemplateLibrary) throws(Problem) -> [ExperimentStep] {
        try Planner(state, library).steps()
    }

    /// Seconds to put aside for the evaluation: reading, predicting and drawing what isn't trained on.
    package static func evaluationSeconds(_ task: LearningTask, _ profile: DatasetProfile, budget: Double) -> Double {
        let items = Double(profile.items - profile.unlabelled)
        let work: Double
        switch task.items {
        case .rows:
            work = items * 2e-5 * Double(max(profile.columns?.count ?? 0, 10)) / 10
        case .pictures:
            let megapixels = Double((profile.medianWidth ?? 64) * (profile.medianHeight ?? 64)) / 1e6
            work = items * 0.4 * (0.001 + 0.01 * megapixels)
        }
        return min(1.2 + 0.02 * budget + work, 0.4 * budget)
    }

    /// Of a model that was brought, which may take long for a picture: what predicting a fifth of the items takes, one way, with two models in the mix, as a
    /// share of an epoch, which goes there and back over two thirds of them.
    static let evaluationEpochs = 0.2

    /// No rung is worth starting for less.
    static let shortestRung = 1.0
    /// The share of the time left that stays for the templates which haven't run, however cheap they seem.
    static let otherTemplates = 0.3
    /// A trial that takes longer is halved when there are several.
    static let halvingSeconds = 8.0
    /// Trials of one generation: they are drawn without knowledge of each other.
    static let generation = 4
    /// The most trials that one evaluation may mix.
    static let mixture = 8
}

private struct Planner {
    let state: ExperimentState
    let templates: [Template]
    /// Without the time for evaluation; nil: no limit.
    let secondsLeft: Double?
    let running: [ExperimentState.Trial]
    let items: Double

    init(_ state: ExperimentState, _ library: TemplateLibrary) throws(Problem) {
        self.state = state
        if let own = state.ownTemplate {
            templates = [try Template(yaml: own)]
        } else {
            templates = state.ranking.compactMap { library.template(named: $0) }
        }
        let items = Double(max(state.profile.items - state.profile.unlabelled, 1))
        let epoch = state.trials.filter { $0.resource > 0 }.map { $0.seconds / $0.resource }.max()
        let ofBase = templates.first { $0.network.hasBase }.map { ExperimentDecision.evaluationEpochs * (epoch ?? $0.cost.item * items) } ?? 0
        secondsLeft = state.budgetSeconds.map {
            $0 - state.spentSeconds - ExperimentDecision.evaluationSeconds(state.task, state.profile, budget: $0) - min(ofBase, 0.3 * $0)
        }
        running = state.trials.filter { $0.status == .queued || $0.status == .running }
        self.items = items
    }

    func steps() -> [ExperimentStep] {
        if let secondsLeft, secondsLeft < ExperimentDecision.shortestRung {
            return running.isEmpty ? finish("the budget of \(Int(state.budgetSeconds ?? 0)) seconds is used") : []
        }
        let untried = templates.filter { template in !state.trials.contains { $0.recipe.template == template.name } }
        if !untried.isEmpty, trialsLeft > 0 { return firstTrials(untried) }
        guard running.isEmpty else { return [] }
        let paused = state.trials.filter { $0.status == .paused }
        if !paused.isEmpty { return halve(paused) }
        return nextGeneration()
    }

    // MARK: The first trial of each template

    private func firstTrials(_ untried: [Template]) -> [ExperimentStep] {
        guard var left = secondsLeft else {
            return untried.prefix(trialsLeft).enumerated().map { index, template in
                start(template, template.defaults(for: state.preset), number: state.trials.count + index)
            }
        }
        var steps: [ExperimentStep] = []
        var waiting = untried
        let places = min(max(state.parallelism, 1) - running.count, trialsLeft)
        while steps.count < places, let template = waiting.first {
            waiting.removeFirst()
            // The others get what they need, but together no more than half: and no less than a good part, since a hint of what
            // they need knows nothing of a machine that is busy. What no template can use is the next one's, so the last of
            // them always runs.
            let needed = waiting.map { min(seconds(of: $0), 0.5 * left / Double(waiting.count)) }.reduce(0, +)
            let others = waiting.isEmpty ? 0 : max(needed, ExperimentDecision.otherTemplates * left)
            let limit = left - others
            guard limit >= ExperimentDecision.shortestRung else { continue }
            if state.parallelism == 1 { left = others }
            steps.append(
                start(
                    template, template.defaults(for: state.preset), number: state.trials.count + steps.count,
                    seconds: limit))
        }
        return steps
    }

    // MARK: Halving

    /// All paused trials wait at the end of a rung, and nothing runs: the better half of the lowest rung goes on.
    private func halve(_ paused: [ExperimentState.Trial]) -> [ExperimentStep] {
        let rung = paused.map(\.rung).min() ?? 0
        let waiting = paused.filter { $0.rung == rung }.sorted(by: isBetter)
        let kept: ArraySlice<ExperimentState.Trial>
        if waiting.count > 1 {
            kept = waiting.prefix((waiting.count + 1) / 2)
        } else {
            // A lone one goes on when it is among the better half of all.
            let rank = state.trials.count { isBetter($0, waiting[0]) }
            kept = rank * 2 < state.trials.count ? waiting.prefix(1) : []
        }
        let stopped = waiting.dropFirst(kept.count).map { ExperimentStep.stopTrial($0.id) }
        if kept.isEmpty {
            // Nothing goes on here, so the next thing must be decided at once: no rung will end to ask again.
            var after = state
            for index in after.trials.indices where after.trials[index].id == waiting[0].id {
                after.trials[index].status = .stopped
            }
            return stopped + Planner(self, after).steps()
        }
        let limit = secondsLeft.map { $0 * Double(max(state.parallelism, 1)) / Double(kept.count) }
            .map { kept.count > 1 ? 0.7 * $0 : $0 }
        return stopped
            + kept.map { trial in
                .continueTrial(
                    trial.id, untilResource: nextLength(of: trial),
                    seconds: limit.map { min($0, secondsLeft ?? $0) })
            }
    }

    private init(_ planner: Planner, _ state: ExperimentState) {
        self.state = state
        templates = planner.templates
        secondsLeft = planner.secondsLeft
        running = planner.running
        items = planner.items
    }

    /// Where a rung ends, in units of the resource; nil: at the recipe's own end.
    private func length(of recipe: TrialRecipe, atRung rung: Int) -> Double? {
        guard rung < 2, let template = templates.first(where: { $0.name == recipe.template }),
            let whole = recipe.hyperparameters[template.network.resource]?.doubleValue
        else { return nil }
        return max((whole * (rung == 0 ? 0.25 : 0.5)).rounded(), 1)
    }

    /// Where the next rung ends: the first end that lies beyond what the trial has, since short recipes have rungs that fall
    /// together.
    private func nextLength(of trial: ExperimentState.Trial) -> Double? {
        var rung = trial.rung + 1
        while let length = length(of: trial.recipe, atRung: rung) {
            if length > trial.resource { return length }
            rung += 1
        }
        return nil
    }

    // MARK: Generations of sampled trials

    private func nextGeneration() -> [ExperimentStep] {
        guard trialsLeft > 0 else { return finish("all \(state.trials.count) trials of the plan were made") }
        // The better a template's best score, the likelier it is drawn.
        let open = templates.filter { template in
            let made = state.trials.count { $0.recipe.template == template.name }
            let isOpen = state.budgetTrials != nil || made < template.trials(for: state.preset)
            return isOpen && !SearchSpace(template: template, preset: state.preset).isEmpty && best(of: template) != nil
        }.sorted { (best(of: $0) ?? 0, $1.name) > (best(of: $1) ?? 0, $0.name) }
        guard let leader = open.first else {
            return finish("every template's trials for the preset '\(state.preset.rawValue)' were made")
        }
        let cost = seconds(of: leader)
        if let secondsLeft, secondsLeft < max(ExperimentDecision.shortestRung, 0.6 * cost) {
            return finish("the time left is too short for another trial")
        }
        let isHalved: Bool
        var count = min(ExperimentDecision.generation, trialsLeft)
        if let secondsLeft {
            // A halved generation of n takes about n / 2 whole trials.
            let affordable = Int(2 * secondsLeft * Double(max(state.parallelism, 1)) / (1.2 * cost))
            isHalved = cost > ExperimentDecision.halvingSeconds && affordable >= 4 && count == 4
            if !isHalved { count = min(max(state.parallelism, 1), trialsLeft) }
        } else {
            isHalved = cost > ExperimentDecision.halvingSeconds && count > 1
        }
        let first = state.trials.count
        let limit = secondsLeft.map { isHalved ? min($0, max(0.5 * cost, 0.3 * $0)) : $0 }
        return (0..<count).map { index in
            var generator = SeededGenerator(state.seed, UInt64(first + index + 1))
            let template = open[drawn(from: open.count, using: &generator)]
            let tried = state.trials.compactMap { trial in
                trial.recipe.template == template.name
                    ? trial.score.map { (hyperparameters: trial.recipe.hyperparameters, score: $0) } : nil
            }
            let values = SearchSpace(template: template, preset: state.preset).sample(after: tried, using: &generator)
            return start(template, values, number: first + index, isHalved: isHalved, seconds: limit)
        }
    }

    /// The first of `count` with probability 0.7, the second with 0.7 of the rest, and so on.
    private func drawn(from count: Int, using generator: inout SeededGenerator) -> Int {
        let chance = generator.uniform()
        var rest = 1.0
        for index in 0..<count {
            rest *= 0.3
            if chance < 1 - rest { return index }
        }
        return 0
    }

    // MARK: The end

    private func finish(_ why: String) -> [ExperimentStep] {
        let scored = state.trials.filter { $0.score != nil }.sorted(by: isBetter)
        guard !scored.isEmpty else {
            let detail = "no trial reached a result: \(why)"
            return [
                .fail(
                    Problem(
                        422, "train-no-result", title: "Training reached no result", detail: detail))
            ]
        }
        // The best of each template comes first: models that differ in kind err differently, so they mix best.
        let leaders = templates.compactMap { template in scored.first { $0.recipe.template == template.name } }
        let others = scored.filter { trial in !leaders.contains { $0.id == trial.id } }
        let chosen = (leaders + others).prefix(ExperimentDecision.mixture).sorted(by: isBetter).map(\.id)
        let left = state.trials.filter { $0.status == .paused && !chosen.contains($0.id) }
        let seconds = state.budgetSeconds.map { max($0 - state.spentSeconds, 1) }
        return left.map { .stopTrial($0.id) } + [.evaluate(chosen, seconds: seconds, why: why)]
    }

    // MARK: Words

    private var trialsLeft: Int {
        let most = state.budgetTrials ?? templates.map { $0.trials(for: state.preset) }.reduce(0, +)
        return max(most - state.trials.count, 0)
    }

    /// Larger scores first, then the older trial.
    private func isBetter(_ a: ExperimentState.Trial, _ b: ExperimentState.Trial) -> Bool {
        (a.score ?? -.infinity, b.number) > (b.score ?? -.infinity, a.number)
    }

    private func best(of template: Template) -> Double? {
        state.trials.lazy.filter { $0.recipe.template == template.name }.compactMap(\.score).max()
    }

    /// What a whole trial takes: as measured, when a budget in seconds allows looking at a clock; else by the hint.
    private func seconds(of template: Template) -> Double {
        let whole = template.defaults(for: state.preset)[template.network.resource]?.doubleValue ?? 1
        if state.budgetSeconds != nil {
            let made = state.trials.filter { $0.recipe.template == template.name && $0.seconds > 0 && $0.score != nil }
            let complete = made.filter(\.finished)
            if !complete.isEmpty { return complete.map(\.seconds).reduce(0, +) / Double(complete.count) }
            if let last = made.last, last.resource > 0 { return last.seconds * whole / last.resource }
        }
        return template.cost.start + template.cost.item * items * whole
    }

    private func start(
        _ template: Template, _ values: [String: JSON], number: Int, isHalved: Bool = false, seconds: Double? = nil
    ) -> ExperimentStep {
        let recipe = TrialRecipe(
            template: template.name, source: template.source, hyperparameters: values,
            // Within 53 bits: it travels through JSON and a signed column.
            seed: SeededGenerator.mixed(state.seed &+ UInt64(number)) >> 11)
        return .startTrial(recipe, untilResource: isHalved ? length(of: recipe, atRung: 0) : nil, seconds: seconds)
    }
}
