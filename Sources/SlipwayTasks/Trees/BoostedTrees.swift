internal import Foundation
internal import SlipwayDomain

/// Gradient boosted trees: XGBoost's histogram method, a booster a member, stopped by the members' joint loss on the
/// rows that they didn't see.
///
/// Trees grow in clumps of a few rounds, each by a booster of its own that starts from the margins of the clumps before:
/// a booster keeps random numbers that no file of it holds, so only between two clumps can a training be broken off and
/// go on as if it hadn't been.
final class BoostedTrees: Learner {
    private let data: TrainingData
    private let encoder: TableEncoder
    private let link: Link
    private let rounds: Int
    private let patience: Int
    private var members: [Member] = []
    /// XGBoost keeps a booster's sums and random numbers by thread, so each member stays on its lane for life.
    private let lanes: [Lane]
    private let judgedLabels: [Float]

    /// Used on its own lane only.
    private final class Member: @unchecked Sendable {
        let parameters: [String: String]
        let train: BoosterMatrix
        let judge: BoosterMatrix
        /// XGBoost's JSON of each clump.
        var clumps: [Data] = []

        init(_ parameters: [String: String], train: BoosterMatrix, judge: BoosterMatrix) {
            self.parameters = parameters
            self.train = train
            self.judge = judge
        }

        /// One more clump. Returns the sums on the rows that judge, after each of its rounds.
        func grow(_ rounds: Range<Int>) throws -> [[Float]] {
            let booster = try Booster(parameters, matrices: [train, judge])
            let judged = try rounds.map { round in
                try booster.train(round: round, on: train)
                return try booster.margins(judge)
            }
            try train.setBase(booster.margins(train))
            if let last = judged.last { try judge.setBase(last) }
            clumps.append(try booster.json())
            return judged
        }
    }

    /// Rounds of a clump, after which the members are judged together.
    private static let stride = 8

    private var round = 0
    private var best = (round: 0, loss: Double.infinity, margins: [Float]())

    var resource: Double { Double(round) }
    var isFinished: Bool { round >= rounds || round - best.round >= patience }

    init(_ data: TrainingData, _ recipe: Recipe, threads: Int, checkpoint: TrialCheckpoint?) throws {
        self.data = data
        let rows = data.train.map { $0.row ?? [] }
        let link = Link(data)
        self.link = link
        rounds = recipe.integer("rounds")
        patience = recipe.integer("patience")
        // Several members keep the cores busy side by side; a lone one uses all of them for itself.
        lanes = Self.lanes(threads: threads, members: data.folds.members)
        let labels = data.task.isClassification ? data.labels.map { Float($0) } : data.values.map(link.scaled)
        if let checkpoint {
            encoder = try Self.encoder(of: checkpoint)
        } else {
            var encoder = TableEncoder(profiles: data.columns, target: data.target, rows: rows)
            guard encoder.treeWidth > 0 else { throw Problem.nothingToLearnFrom }
            try encoder.addSums(
                ColumnSums(rows: rows, labels: labels, link: link, seed: recipe.seed, lanes: lanes)
                    .best(recipe.integer("sums"), of: encoder))
            self.encoder = encoder
        }
        let width = encoder.treeWidth
        let matrix = encoder.treeMatrix(rows)
        let categories = encoder.treeCategories
        @Sendable func part(_ indices: [Int]) throws -> BoosterMatrix {
            var values: [Float] = []
            values.reserveCapacity(indices.count * width)
            for index in indices { values += matrix[index * width..<(index + 1) * width] }
            return try BoosterMatrix(values, width: width, labels: indices.map { labels[$0] }, categories: categories)
        }
        judgedLabels = data.folds.judged.map { labels[$0] }
        var parameters = [
            "booster": "gbtree", "tree_method": "hist", "verbosity": "0", "nthread": "\(max(threads / lanes.count, 1))",
            "learning_rate": "\(recipe.number("learning_rate"))", "max_depth": "\(recipe.integer("depth"))",
            "min_child_weight": "\(recipe.number("leaf_weight"))", "subsample": "\(recipe.number("row_share"))",
            "colsample_bytree": "\(recipe.number("column_share"))", "lambda": "\(recipe.number("l2"))",
            "gamma": "\(recipe.number("gamma"))",
            // Each round draws from its own seed, so that a resumed run draws the same.
            "seed_per_iteration": "1",
        ]
        parameters.merge(link.parameters) { _, new in new }
        members = try onLanes(data.folds.members) { [parameters, link, folds = data.folds] member in
            let (train, judge) = (try part(folds.trained(by: member)), try part(folds.judged(by: member)))
            var parameters = parameters
            parameters["seed"] = "\((recipe.seed &+ UInt64(member)) & 0x7FFF_FFFF)"
            let grown = Member(parameters, train: train, judge: judge)
            let sums = checkpoint.map { ($0.sections["train\(member)"]?.floats, $0.sections["judge\(member)"]?.floats) }
            let none = { (matrix: BoosterMatrix) in [Float](repeating: 0, count: matrix.rows * link.outputs) }
            guard let trained = sums.map(\.0) ?? none(train), let judged = sums.map(\.1) ?? none(judge),
                trained.count == train.rows * link.outputs, judged.count == judge.rows * link.outputs
            else { throw CheckpointMismatch() }
            try train.setBase(trained)
            try judge.setBase(judged)
            grown.clumps = try checkpoint.map { try Self.clumps(of: member, $0) } ?? []
            return grown
        }
        if let checkpoint { try restore(checkpoint) }
    }

    private static func lanes(threads: Int, members: Int) -> [Lane] {
        (0..<min(threads, members)).map { Lane(name: "trees-\($0)") }
    }

    /// The results of `body` for each member, on the member's lane.
    private func onLanes<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (_ member: Int) throws -> Result
    ) throws -> [Result] {
        try Lane.run((0..<count).map { member in (lanes[member % lanes.count], { try body(member) }) })
    }

    func advance(_ rung: RungSpan) throws -> [Measurement] {
        let started = ContinuousClock.now
        var measured: [Measurement] = []
        repeat {
            let count = min(Self.stride, rounds - round, max(Int(rung.to) - round, 1))
            let judged = try trainMembers(rounds: data.folds.members == 1 ? 1 : count)
            for margins in judged {
                round += 1
                let loss = link.loss(margins, judgedLabels)
                if loss < best.loss || best.round == 0 { best = (round, loss, margins) }
                if round % 10 == 0 || isFinished {
                    measured.append(Measurement(name: link.lossName, value: loss, step: resource))
                }
            }
        } while !isFinished && resource < rung.to && !rung.isOver && (ContinuousClock.now - started).seconds < 0.5
        return measured
    }

    /// The members' sums on the rows that judge them, joined, after each of the rounds.
    private func trainMembers(rounds count: Int) throws -> [[Float]] {
        let results = try onLanes(members.count) { [members, round] in try members[$0].grow(round..<(round + count)) }
        return (0..<count).map { offset in results.flatMap { $0[offset] } }
    }

    func validation() -> Predictions { Predictions(width: data.outputs, values: link.answers(best.margins)) }

    func checkpoint() throws -> TrialCheckpoint {
        var sections = ["margins": best.margins.withUnsafeBytes { Data($0) }, "encoder": try JSONEncoder().encode(encoder)]
        for (index, member) in members.enumerated() {
            sections["member\(index)"] = Data(member.clumps.joined(separator: Data("\n".utf8)))
            sections["train\(index)"] = member.train.base.withUnsafeBytes { Data($0) }
            sections["judge\(index)"] = member.judge.base.withUnsafeBytes { Data($0) }
        }
        return TrialCheckpoint(
            network: .boostedTrees,
            state: ["round": .integer(round), "best": .integer(best.round), "loss": .number(best.loss)],
            sections: sections)
    }

    /// With the sums that were found when the trial began.
    private static func encoder(of checkpoint: TrialCheckpoint) throws -> TableEncoder {
        guard let bytes = checkpoint.sections["encoder"] else { throw CheckpointMismatch() }
        return try JSONDecoder().decode(TableEncoder.self, from: bytes)
    }

    private static func clumps(of member: Int, _ checkpoint: TrialCheckpoint) throws -> [Data] {
        guard let section = checkpoint.sections["member\(member)"] else { throw CheckpointMismatch() }
        return section.withUnsafeBytes { bytes in bytes.split(separator: UInt8(ascii: "\n")).map { Data($0) } }
    }

    private func restore(_ checkpoint: TrialCheckpoint) throws {
        guard let round = checkpoint.state["round"]?.intValue, let bestRound = checkpoint.state["best"]?.intValue,
            let loss = checkpoint.state["loss"]?.doubleValue, let margins = checkpoint.sections["margins"]
        else { throw CheckpointMismatch() }
        self.round = round
        best = (bestRound, loss, margins.floats)
        guard best.margins.count == judgedLabels.count * link.outputs else { throw CheckpointMismatch() }
    }

    /// The members as a checkpoint holds them, at their best round, without anything of XGBoost's.
    static func scorers(_ data: TrainingData, _ checkpoint: TrialCheckpoint, threads: Int) throws -> [ForestScorer] {
        let encoder = try encoder(of: checkpoint)
        let link = Link(data)
        guard let best = checkpoint.state["best"]?.intValue else { throw CheckpointMismatch() }
        let lanes = lanes(threads: threads, members: data.folds.members)
        return try Lane.run(
            (0..<data.folds.members).map { member in
                (lanes[member % lanes.count], {
                    ForestScorer(
                        forest: try Forest(xgboost: clumps(of: member, checkpoint), trees: best * link.treesInRound),
                        encoder: encoder, link: link)
                })
            })
    }
}

/// A checkpoint that belongs to another recipe or other data: training starts afresh.
struct CheckpointMismatch: Error {}

extension Problem {
    static let nothingToLearnFrom = Problem(
        422, "train-no-features", title: "There is nothing to learn from",
        detail: "beside the target, no column says anything of its row: each is empty, constant or an identifier")
}

extension Data {
    /// The bytes as floats, in this machine's order.
    var floats: [Float] {
        [Float](unsafeUninitializedCapacity: count / 4) { buffer, initialized in
            initialized = count / 4
            copyBytes(to: UnsafeMutableRawBufferPointer(buffer), count: initialized * 4)
        }
    }
}

/// A member of boosted trees, ready to predict.
struct ForestScorer: Scorer {
    var forest: Forest
    var encoder: TableEncoder
    var link: Link

    func predictions(_ inputs: ModelInputs) -> Predictions {
        let margins = forest.margins(
            encoder.treeMatrix(inputs.rows), width: encoder.treeWidth, outputs: link.outputs)
        return Predictions(width: link.width, values: link.answers(margins))
    }
}
