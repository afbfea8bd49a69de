internal import Keel

/// Decision trees whose leaves add to, or compete for, targets.
///
/// - Source: ONNX `ai.onnx.ml`, `TreeEnsemble` (opset 5), `TreeEnsembleClassifier` and `TreeEnsembleRegressor` (opset 3).
struct TreeEnsemble: Sendable {
    enum Question: Int, Sendable { case atMost = 0, less, atLeast, greater, equal, notEqual, member }
    enum Aggregate: Sendable { case sum, average, least, most }

    struct Node: Sendable {
        var question = Question.atMost
        var feature = 0
        var value = 0.0
        var members: Set<Double> = []
        /// Places of nodes, or of leaves as -1 - place.
        var ifTrue = 0, ifFalse = 0
        var missingIsTrue = false

        func isTrue(_ x: Double) -> Bool {
            if x.isNaN { return missingIsTrue }
            return switch question {
            case .atMost: x <= value
            case .less: x < value
            case .atLeast: x >= value
            case .greater: x > value
            case .equal: x == value
            case .notEqual: x != value
            case .member: members.contains(x)
            }
        }
    }

    var nodes: [Node] = []
    /// What each leaf gives to which target.
    var leaves: [[(target: Int, weight: Double)]] = []
    /// As `ifTrue`.
    var roots: [Int] = []
    var targets = 0
    var aggregate = Aggregate.sum

    /// The targets' numbers of each row, and which of them a leaf gave something to. Rows `[n, features]`, row-major.
    func scores(_ rows: [Double], features: Int, _ call: OperatorCall) throws -> [(score: Double, isGiven: Bool)] {
        let count = features > 0 ? rows.count / features : 0
        guard nodes.allSatisfy({ (0..<features).contains($0.feature) }) else { throw ONNXError.graph("a tree asks for a feature that isn't among \(features)") }
        var result = [(score: Double, isGiven: Bool)](repeating: (0, false), count: count * targets)
        var steps = 0
        for row in 0..<count {
            for root in roots {
                var place = root
                while place >= 0 {
                    try call.count(into: &steps)
                    let node = nodes[place]
                    place = node.isTrue(rows[row * features + node.feature]) ? node.ifTrue : node.ifFalse
                }
                try call.count(leaves[-1 - place].count, into: &steps)
                for (target, weight) in leaves[-1 - place] {
                    let at = row * targets + target
                    switch (aggregate, result[at].isGiven) {
                    case (.least, true): result[at].score = min(result[at].score, weight)
                    case (.most, true): result[at].score = max(result[at].score, weight)
                    case (.least, false), (.most, false): result[at].score = weight
                    case (.sum, _): result[at].score += weight
                    case (.average, _): result[at].score += weight / Double(roots.count)
                    }
                    result[at].isGiven = true
                }
            }
        }
        return result
    }

    /// Whether every way from a root ends at a leaf.
    func check(_ call: OperatorCall) throws {
        guard targets >= 1, targets <= 1 << 20, leaves.allSatisfy({ $0.allSatisfy { (0..<targets).contains($0.target) } }) else { throw call.wrong("leaves name targets outside 0..<\(targets)") }
        // 0: not seen, 1: on the way, 2: done.
        var state = [UInt8](repeating: 0, count: nodes.count)
        for root in roots {
            var way = [root]
            while let place = way.last {
                guard place >= 0 else {
                    guard leaves.indices.contains(-1 - place) else { throw call.wrong("a leaf that isn't there") }
                    way.removeLast()
                    continue
                }
                guard nodes.indices.contains(place) else { throw call.wrong("node \(place) of \(nodes.count)") }
                if state[place] == 0 {
                    state[place] = 1
                    for next in [nodes[place].ifTrue, nodes[place].ifFalse] {
                        if next >= 0, nodes.indices.contains(next), state[next] == 1 { throw call.wrong("its nodes go in a circle") }
                        way.append(next)
                    }
                } else {
                    state[place] = 2
                    way.removeLast()
                }
            }
        }
    }

    /// The form of opset 5: arrays by node and by leaf.
    init(new call: OperatorCall) throws {
        func ints(_ name: String) throws -> [Int] { try call.required(call.ints(name), name) }
        let features = try ints("nodes_featureids"), ifTrue = try ints("nodes_truenodeids"), ifFalse = try ints("nodes_falsenodeids")
        let trueLeaf = try ints("nodes_trueleafs"), falseLeaf = try ints("nodes_falseleafs"), count = features.count
        let questions = try call.required(call.numbers("nodes_modes"), "nodes_modes"), splits = try call.required(call.numbers("nodes_splits"), "nodes_splits")
        let missing = call.ints("nodes_missing_value_tracks_true") ?? [Int](repeating: 0, count: count)
        guard [ifTrue.count, ifFalse.count, trueLeaf.count, falseLeaf.count, questions.count, splits.count, missing.count].allSatisfy({ $0 == count }) else {
            throw call.wrong("its lists of nodes aren't equally long")
        }
        let weights = try call.required(call.numbers("leaf_weights"), "leaf_weights"), ids = try ints("leaf_targetids")
        guard weights.count == ids.count else { throw call.wrong("\(weights.count) leaf weights for \(ids.count) targets") }
        leaves = zip(ids, weights).map { [(target: $0, weight: $1)] }
        targets = try call.required(call.int("n_targets"), "n_targets")
        aggregate = [Aggregate.average, .sum, .least, .most][min(max(call.int("aggregate_function", 1), 0), 3)]
        // The members of each such node in turn, each list ended by NaN.
        var sets = try (call.numbers("membership_values") ?? []).split(omittingEmptySubsequences: false) { $0.isNaN }[...]
        for i in 0..<count {
            guard let question = Int(exactly: questions[i]).flatMap(Question.init(rawValue:)) else { throw call.wrong("a node asks \(questions[i])") }
            func place(_ id: Int, _ isLeaf: Int) throws -> Int {
                guard id >= 0, id < 1 << 40 else { throw call.wrong("node \(id) of \(count)") }
                return isLeaf != 0 ? -1 - id : id
            }
            nodes.append(
                Node(
                    question: question, feature: features[i], value: splits[i], members: [], ifTrue: try place(ifTrue[i], trueLeaf[i]),
                    ifFalse: try place(ifFalse[i], falseLeaf[i]), missingIsTrue: missing[i] != 0))
        }
        for root in try ints("tree_roots") {
            guard nodes.indices.contains(root) else { throw call.wrong("root \(root) of \(count) nodes") }
            // A tree that is nothing but a leaf.
            roots.append(trueLeaf[root] != 0 && falseLeaf[root] != 0 && ifTrue[root] == ifFalse[root] ? -1 - ifTrue[root] : root)
        }
        try check(call)
        // The sets belong to nodes in the order of a walk through each tree, the true side first.
        var way = Array(roots.reversed()), isSeen = [Bool](repeating: false, count: count)
        while let place = way.popLast() {
            // Trees may share what lies below a node.
            guard place >= 0, !isSeen[place] else { continue }
            isSeen[place] = true
            if nodes[place].question == .member {
                guard let set = sets.popFirst() else { throw call.wrong("has no members for a node that asks for them") }
                nodes[place].members = Set(set)
            }
            way += [nodes[place].ifFalse, nodes[place].ifTrue]
        }
    }

    /// The form of opsets 1 and 3: nodes by tree and id, and what leaves give in lists of their own, which begin with `prefix`.
    init(old call: OperatorCall, prefix: String, targets: Int) throws {
        func ints(_ name: String) throws -> [Int] { try call.required(call.ints(name), name) }
        func numbers(_ name: String) throws -> [Double] { try call.numbers(name + "_as_tensor") ?? call.required(call.floats(name), name).map(Double.init) }
        let trees = try ints("nodes_treeids"), ids = try ints("nodes_nodeids"), features = try ints("nodes_featureids"), count = ids.count
        let values = try numbers("nodes_values"), modes = try call.required(call.strings("nodes_modes"), "nodes_modes")
        let ifTrue = try ints("nodes_truenodeids"), ifFalse = try ints("nodes_falsenodeids")
        let missing = call.ints("nodes_missing_value_tracks_true") ?? [Int](repeating: 0, count: count)
        guard [trees.count, features.count, values.count, modes.count, ifTrue.count, ifFalse.count].allSatisfy({ $0 == count }), missing.isEmpty || missing.count == count
        else { throw call.wrong("its lists of nodes aren't equally long") }
        struct Key: Hashable { let tree: Int, id: Int }
        var places: [Key: Int] = [:]
        var inner = 0
        for i in 0..<count {
            let isLeaf = modes[i] == "LEAF"
            if isLeaf { leaves.append([]) } else { inner += 1 }
            guard places.updateValue(isLeaf ? -leaves.count : inner - 1, forKey: Key(tree: trees[i], id: ids[i])) == nil else {
                throw call.wrong("node \(ids[i]) of tree \(trees[i]) is there twice")
            }
        }
        let questions: [String: Question] = [
            "BRANCH_LEQ": .atMost, "BRANCH_LT": .less, "BRANCH_GTE": .atLeast, "BRANCH_GT": .greater, "BRANCH_EQ": .equal, "BRANCH_NEQ": .notEqual,
        ]
        var isChild = Set<Int>()
        for i in 0..<count where modes[i] != "LEAF" {
            guard let question = questions[modes[i]] else { throw call.unsupported("nodes of the mode '\(modes[i])'") }
            func place(_ id: Int) throws -> Int {
                guard let place = places[Key(tree: trees[i], id: id)] else { throw call.wrong("node \(id) of tree \(trees[i]) isn't there") }
                isChild.insert(place)
                return place
            }
            nodes.append(
                Node(
                    question: question, feature: features[i], value: values[i], members: [], ifTrue: try place(ifTrue[i]), ifFalse: try place(ifFalse[i]),
                    missingIsTrue: !missing.isEmpty && missing[i] != 0))
        }
        // The root of a tree is its first node that no other one leads to.
        var rooted = Set<Int>()
        for i in 0..<count {
            guard let place = places[Key(tree: trees[i], id: ids[i])], !isChild.contains(place), rooted.insert(trees[i]).inserted else { continue }
            roots.append(place)
        }
        self.targets = targets
        switch call.string("aggregate_function", "SUM") {
        case "SUM": aggregate = .sum
        case "AVERAGE": aggregate = .average
        case "MIN": aggregate = .least
        case "MAX": aggregate = .most
        case let name: throw call.wrong("aggregate_function is '\(name)'")
        }
        let leafTrees = try ints(prefix + "_treeids"), leafIDs = try ints(prefix + "_nodeids"), given = try ints(prefix + "_ids"), weights = try numbers(prefix + "_weights")
        guard [leafIDs.count, given.count, weights.count].allSatisfy({ $0 == leafTrees.count }) else { throw call.wrong("its lists of leaves aren't equally long") }
        for i in leafTrees.indices {
            guard let place = places[Key(tree: leafTrees[i], id: leafIDs[i])], place < 0 else { throw call.wrong("leaf \(leafIDs[i]) of tree \(leafTrees[i]) isn't there") }
            leaves[-1 - place].append((given[i], weights[i]))
        }
        try check(call)
    }
}

extension OperatorCall {
    /// The rows of a table `[n, features]`, or of one row, as doubles.
    func rows(_ i: Int = 0, targets: Int = 1) throws -> (numbers: [Double], count: Int, features: Int) {
        let x = try tensor(i)
        guard x.rank == 1 || x.rank == 2 else { throw wrong("takes [n, features], was given \(x.shape)") }
        let sizes = try x.sizes()
        try reserve([x.rank == 2 ? sizes[0] : 1, max(targets, 1), 2], .float64)
        return (try x.cast(to: .float64).elements(Double.self), x.rank == 2 ? sizes[0] : 1, sizes[sizes.count - 1])
    }
}

extension Operators {
    static let trees: [Operator] = [
        Operator("TreeEnsemble", 5, domain: "ai.onnx.ml") { call in
            let kind = try call.kind(0), (rows, count, features) = try call.rows(targets: call.int("n_targets", 1)), ensemble = try call.prepared { try TreeEnsemble(new: call) }
            let scores = try ensemble.scores(rows, features: features, call).map(\.score)
            let transformed = try PostTransform(number: call.int("post_transform", 0), call).applied(scores, width: ensemble.targets)
            return [.tensor(try kind.settled(Tensor(transformed, [count, ensemble.targets])), kind)]
        },
        Operator("TreeEnsembleRegressor", domain: "ai.onnx.ml") { call in
            let targets = call.int("n_targets", 1), (rows, count, features) = try call.rows(targets: targets)
            let ensemble = try call.prepared { try TreeEnsemble(old: call, prefix: "target", targets: targets) }
            let base = try call.numbers("base_values_as_tensor") ?? (call.floats("base_values") ?? []).map(Double.init)
            guard base.isEmpty || base.count == targets else { throw call.wrong("\(base.count) base values for \(targets) targets") }
            let scores = try ensemble.scores(rows, features: features, call).enumerated().map { i, score in score.score + (base.isEmpty ? 0 : base[i % targets]) }
            let transformed = try PostTransform(call).applied(scores, width: targets)
            return [.tensor(try Tensor(transformed, [count, targets]).cast(to: .float32), .float32)]
        },
        Operator("TreeEnsembleClassifier", domain: "ai.onnx.ml") { call in
            let labels = try ClassLabels(call), (rows, _, features) = try call.rows(targets: labels.count)
            let ensemble = try call.prepared { try TreeEnsemble(old: call, prefix: "class", targets: max(labels.count, 1)) }
            let base = try call.numbers("base_values_as_tensor") ?? (call.floats("base_values") ?? []).map(Double.init)
            var scores = try ensemble.scores(rows, features: features, call)
            let classes = Set(ensemble.leaves.flatMap { $0.map(\.target) })
            if labels.count == 2, classes.count == 1 {
                // One score a row, of the second class whatever it is called.
                let own = classes.first ?? 0
                let single = stride(from: own, to: scores.count, by: 2).map { scores[$0].score + (base.first ?? 0) }
                let isPositive = ensemble.leaves.allSatisfy { $0.allSatisfy { $0.weight >= 0 } } && base.allSatisfy { $0 >= 0 }
                return try labels.binary(single, isProbability: isPositive, PostTransform(call), call)
            }
            guard base.isEmpty || base.count == labels.count else { throw call.wrong("\(base.count) base values for \(labels.count) classes") }
            if !base.isEmpty { for i in scores.indices { scores[i].score += base[i % labels.count] } }
            return try labels.decided(scores.map(\.score), PostTransform(call), call)
        },
    ]
}
