import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// A trial's length is drawn at random; everything else is what the worker would do.
private struct Simulation {
    var state: ExperimentState
    var clock = 0.0
    var generator: Draws
    var why: String?
    var evaluated: [TrialID] = []

    /// A small stream of random numbers, so that a failing seed can be run again.
    struct Draws: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    init(
        _ task: LearningTask, seconds: Double?, trials: Int?, seed: UInt64, items: Int, library: TemplateLibrary,
        preset: Preset = .balanced
    ) {
        generator = Draws(state: seed)
        let columns = task.items == .rows
            ? [
                ColumnProfile(name: "x", type: .number, missing: 0, distinct: 100),
                ColumnProfile(name: "y", type: .number, missing: 0, distinct: 100),
            ] : nil
        state = ExperimentState(
            task: task, objective: Objective.initial(for: task).rawValue, preset: preset, seed: seed,
            budgetSeconds: seconds, budgetTrials: trials, spentSeconds: 0, parallelism: 1,
            profile: DatasetProfile(items: items, unlabelled: 0, classes: [], columns: columns, target: "y"),
            ranking: library.templates(for: task).map(\.name), ownTemplate: nil, trials: [])
    }

    /// - Parameter speed: how much longer than the template's hint everything takes.
    mutating func run(_ library: TemplateLibrary, speed: Double) throws {
        for _ in 0..<500 {
            state.spentSeconds = clock
            for step in try ExperimentDecision.next(state, library) {
                switch step {
                case .startTrial(let recipe, let until, let seconds):
                    state.trials.append(
                        .init(
                            id: TrialID(UUID()), number: state.trials.count, recipe: recipe, status: .running, rung: 0,
                            resource: 0, finished: false, score: nil, seconds: 0))
                    runRung(state.trials.count - 1, until, seconds, library, speed)
                case .continueTrial(let id, let until, let seconds):
                    let index = try #require(state.trials.firstIndex { $0.id == id })
                    #expect(state.trials[index].status == .paused)
                    state.trials[index].rung += 1
                    runRung(index, until, seconds, library, speed)
                case .stopTrial(let id):
                    let index = try #require(state.trials.firstIndex { $0.id == id })
                    state.trials[index].status = .stopped
                case .evaluate(let ids, let seconds, let reason):
                    if let seconds { #expect(seconds > 0) }
                    (evaluated, why) = (ids, reason)
                    return
                case .fail(let problem): throw problem
                }
            }
        }
        Issue.record("the experiment never ended")
    }

    private mutating func runRung(_ index: Int, _ until: Double?, _ seconds: Double?, _ library: TemplateLibrary, _ speed: Double) {
        let trial = state.trials[index]
        guard let template = library.template(named: trial.recipe.template) else { return }
        let whole = trial.recipe.hyperparameters[template.network.resource]?.doubleValue ?? 1
        let factor = speed * Double.random(in: 0.5...2, using: &generator)
        let unit = template.cost.item * Double(state.profile.items) * factor
        let goal = min(until ?? whole, whole)
        let wanted = template.cost.start * factor + max(goal - trial.resource, 0) * unit
        let limit = seconds ?? .infinity
        let took = min(wanted, max(limit, 0.3))
        let done = min(goal, trial.resource + max((took - template.cost.start * factor) / max(unit, 1e-9), 0.01))
        clock += took
        state.trials[index].seconds += took
        state.trials[index].resource = done
        state.trials[index].score = Double.random(in: 0...1, using: &generator)
        state.trials[index].finished = done >= whole
        state.trials[index].status = done >= whole ? .succeeded : .paused
    }
}

@Suite struct DecisionTests {
    let library: TemplateLibrary

    init() throws { library = try TemplateLibrary(folder: templateFolder) }

    @Test(arguments: LearningTask.allCases, 0..<40)
    func aBudgetInSecondsIsKeptAndYieldsAModel(_ task: LearningTask, _ seed: Int) throws {
        let budgets = [10.0, 20, 60, 300, 1800]
        let budget = budgets[seed % budgets.count]
        let speed = [0.1, 1, 10, 100][seed / budgets.count % 4]
        var simulation = Simulation(
            task, seconds: budget, trials: nil, seed: UInt64(seed), items: [30, 2000, 40_000][seed % 3], library: library)
        try simulation.run(library, speed: speed)
        #expect(!simulation.evaluated.isEmpty)
        #expect(simulation.why?.isEmpty == false)
        let reserve = ExperimentDecision.evaluationSeconds(task, simulation.state.profile, budget: budget)
        #expect(simulation.clock + reserve <= budget + max(0.1 * budget, 3), "seed \(seed)")
    }

    /// By the template's hint at first, by the trials that were made then; never the better part of the budget.
    @Test func predictingWithAModelThatWasBroughtIsPutAside() throws {
        var simulation = Simulation(.imageClassification, seconds: 300, trials: nil, seed: 1, items: 1000, library: library)
        let reserve = ExperimentDecision.evaluationSeconds(.imageClassification, simulation.state.profile, budget: 300)
        simulation.state.ranking = library.templates(for: .imageClassification, hasBase: true).map(\.name)
        guard case .startTrial(let recipe, _, let first?)? = try ExperimentDecision.next(simulation.state, library).first else { return #expect(Bool(false)) }
        #expect(abs(first - (300 - reserve - 0.2 * 20)) < 0.01)
        func evaluates(epochSeconds: Double, spent: Double) throws -> Bool {
            simulation.state.trials = [
                .init(id: TrialID(UUID()), number: 1, recipe: recipe, status: .succeeded, rung: 0, resource: 2, finished: true, score: 0.5, seconds: 2 * epochSeconds)
            ]
            simulation.state.spentSeconds = spent
            guard case .evaluate? = try ExperimentDecision.next(simulation.state, library).first else { return false }
            return true
        }
        #expect(try evaluates(epochSeconds: 50, spent: 300 - reserve - 10.5))
        #expect(try !evaluates(epochSeconds: 5, spent: 300 - reserve - 30))
    }

    @Test(arguments: LearningTask.allCases)
    func aRestOfABudgetThatSufficesForOneTrialStartsOne(_ task: LearningTask) throws {
        var simulation = Simulation(task, seconds: 60, trials: nil, seed: 1, items: 2000, library: library)
        let reserve = ExperimentDecision.evaluationSeconds(task, simulation.state.profile, budget: 60)
        #expect(simulation.state.ranking.count > 1)
        for left in [1.05, 1.3, 1.9, 2.5] {
            simulation.state.spentSeconds = 60 - reserve - left
            let steps = try ExperimentDecision.next(simulation.state, library)
            guard case .startTrial(_, _, let seconds?)? = steps.first, steps.count == 1 else {
                Issue.record("\(left) seconds are left, and the steps are \(steps)")
                continue
            }
            #expect(seconds >= 0.99 && seconds <= left + 0.01)
        }
    }

    @Test(arguments: LearningTask.allCases)
    func everyTemplateGetsAShareOfTheTimeOnABusyMachine(_ task: LearningTask) throws {
        var simulation = Simulation(task, seconds: 60, trials: nil, seed: 1, items: 1800, library: library)
        try simulation.run(library, speed: 15)
        for name in simulation.state.ranking {
            let share = simulation.state.trials.filter { $0.recipe.template == name }.map(\.seconds).reduce(0, +)
            #expect(share >= 5, "\(name) got \(share) seconds")
        }
    }

    @Test func aBudgetInTrialsGivesTheSameTrialsWhateverTheyTook() throws {
        for task in LearningTask.allCases {
            func recipes(_ speed: Double) throws -> [TrialRecipe] {
                var simulation = Simulation(task, seconds: nil, trials: 2, seed: 7, items: 500, library: library)
                try simulation.run(library, speed: speed)
                #expect(simulation.state.trials.count == 2)
                return simulation.state.trials.map(\.recipe)
            }
            #expect(try recipes(0.01) == recipes(50))
        }
    }

    @Test func aBetterHalfGoesOn() throws {
        var simulation = Simulation(.tabularRegression, seconds: nil, trials: 8, seed: 3, items: 20_000, library: library)
        let template = try #require(library.template(named: "boosted-trees-regressor"))
        simulation.state.ranking = [template.name]
        for (number, score) in [0.1, 0.4, 0.3, 0.2].enumerated() {
            simulation.state.trials.append(
                .init(
                    id: TrialID(UUID()), number: number,
                    recipe: TrialRecipe(
                        template: template.name, source: template.source, hyperparameters: template.defaults(for: .balanced),
                        seed: 1),
                    status: .paused, rung: 0, resource: 375, finished: false, score: score, seconds: 10))
        }
        let steps = try ExperimentDecision.next(simulation.state, library)
        let ids = simulation.state.trials.map(\.id)
        #expect(
            Set(steps) == [
                .stopTrial(ids[0]), .stopTrial(ids[3]),
                .continueTrial(ids[1], untilResource: 750, seconds: nil),
                .continueTrial(ids[2], untilResource: 750, seconds: nil),
            ])
    }

    @Test func aRungAlwaysGoesBeyondWhatTheTrialHas() throws {
        var simulation = Simulation(.tabularRegression, seconds: nil, trials: 8, seed: 3, items: 20_000, library: library)
        let template = try #require(library.template(named: "boosted-trees-regressor"))
        simulation.state.ranking = [template.name]
        // A quarter and a half of two rounds are one round both.
        let values = template.defaults(for: .balanced).merging([template.network.resource: .integer(2)]) { $1 }
        for (number, score) in [0.1, 0.4].enumerated() {
            simulation.state.trials.append(
                .init(
                    id: TrialID(UUID()), number: number,
                    recipe: TrialRecipe(template: template.name, source: template.source, hyperparameters: values, seed: 1),
                    status: .paused, rung: 0, resource: 1, finished: false, score: score, seconds: 10))
        }
        let ids = simulation.state.trials.map(\.id)
        #expect(
            try ExperimentDecision.next(simulation.state, library)
                == [.stopTrial(ids[0]), .continueTrial(ids[1], untilResource: nil, seconds: nil)])
    }

    @Test func withoutAnyResultTheExperimentFails() throws {
        var simulation = Simulation(.tabularRegression, seconds: nil, trials: 1, seed: 3, items: 100, library: library)
        let template = try #require(library.template(named: "linear-regressor"))
        simulation.state.ranking = [template.name]
        simulation.state.trials = [
            .init(
                id: TrialID(UUID()), number: 0,
                recipe: TrialRecipe(template: template.name, source: template.source, hyperparameters: [:], seed: 1),
                status: .failed, rung: 0, resource: 0, finished: false, score: nil, seconds: 1)
        ]
        guard case .fail(let problem)? = try ExperimentDecision.next(simulation.state, library).first else {
            Issue.record("it must fail")
            return
        }
        #expect(problem.code == "train-no-result")
    }
}
