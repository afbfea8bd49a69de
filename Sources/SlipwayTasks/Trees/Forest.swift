internal import Foundation
internal import Keel
internal import SlipwayDomain

/// Trained trees as flat arrays, for prediction: XGBoost trains them, and nothing of it is needed to use them.
///
/// Node `n` is a leaf when `feature[n] < 0`, with `value[n]` its weight. Otherwise a row goes to `left[n]` or to the node after
/// it: left when its number is below `value[n]`; of a category (flag 2), left unless its code is in set `Int(value[n])`;
/// a missing value goes left when flag 1 is set.
struct Forest: Sendable, Hashable {
    /// Of each tree: its first node, and the output that it adds to.
    var roots: [Int32] = []
    var output: [Int32] = []
    var feature: [Int32] = []
    var value: [Float] = []
    var left: [Int32] = []
    var flags: [Int32] = []
    /// 256 bits a set.
    var sets: [Int32] = []
    /// What every margin starts at.
    var base: Float = 0

    static let missingLeft: Int32 = 1, isCategory: Int32 = 2
    static let wordsInSet = TableEncoder.mostCategories / 32

    init() {}

    /// Reads XGBoost's JSON (1.6 and later): boosters that continue each other.
    ///
    /// - Parameter trees: how many of the first trees to take.
    init(xgboost boosters: [Data], trees limit: Int) throws {
        for json in boosters where roots.count < limit { try append(xgboost: json, trees: limit - roots.count) }
    }

    private mutating func append(xgboost json: Data, trees limit: Int) throws {
        // Splits by category have the condition NaN, which isn't JSON. No names stand in these models, so the word is
        // a number wherever it occurs.
        var json = json
        json.withUnsafeMutableBytes { bytes in
            let word = "NaN".utf8, number = " 0 ".utf8
            for at in bytes.indices.dropLast(2) where bytes[at] == word.first && bytes[at..<at + 3].elementsEqual(word) {
                UnsafeMutableRawBufferPointer(rebasing: bytes[at..<at + 3]).copyBytes(from: number)
            }
        }
        let model = try JSONDecoder().decode(XGBoostModel.self, from: json)
        // With `base_score` 0 of an identity link, or 0.5 of a logistic one, the margin starts at 0.
        let trees = model.learner.gradient_booster.model.trees.prefix(limit)
        let info = model.learner.gradient_booster.model.tree_info
        for (index, tree) in trees.enumerated() {
            roots.append(Int32(feature.count))
            output.append(info[index])
            try append(tree)
        }
    }

    private mutating func append(_ tree: XGBoostModel.Tree) throws {
        var setOfNode: [Int32: Int] = [:]
        for (position, node) in tree.categories_nodes.enumerated() {
            let (start, count) = (tree.categories_segments[position], tree.categories_sizes[position])
            var set = [Int32](repeating: 0, count: Self.wordsInSet)
            for code in tree.categories[start..<(start + count)] where code < TableEncoder.mostCategories {
                set[code / 32] |= Int32(bitPattern: 1 << UInt32(code % 32))
            }
            setOfNode[node] = sets.count / Self.wordsInSet
            sets += set
        }
        // Breadth first, so that two children stand side by side.
        var queue: [Int32] = [0]
        var next = 0
        let base = feature.count
        while next < queue.count {
            let node = queue[next]
            next += 1
            let at = Int(node)
            let left = tree.left_children[at]
            if left < 0 {
                feature.append(-1)
                value.append(tree.split_conditions[at])
                self.left.append(0)
                flags.append(0)
            } else {
                let set = setOfNode[node]
                feature.append(tree.split_indices[at])
                value.append(set.map { Float($0) } ?? tree.split_conditions[at])
                self.left.append(Int32(base + queue.count))
                flags.append((tree.default_left[at] != 0 ? Self.missingLeft : 0) | (set == nil ? 0 : Self.isCategory))
                queue += [left, tree.right_children[at]]
            }
        }
    }

    /// As it is stored.
    var tensors: [(name: String, tensor: Tensor)] {
        get throws {
            [
                ("roots", try Tensor(roots)), ("output", try Tensor(output)), ("feature", try Tensor(feature)),
                ("value", try Tensor(value)), ("left", try Tensor(left)), ("flags", try Tensor(flags)),
                ("sets", try Tensor(sets)), ("base", try Tensor([base])),
            ]
        }
    }

    /// - Errors: `ModelFault` when a tensor is missing.
    init(_ file: Safetensors, _ prefix: String) throws {
        func tensor(_ name: String) throws -> Tensor {
            guard let tensor = try file.tensor(named: prefix + name) else { throw ModelFault("\(prefix)\(name) is missing") }
            return tensor
        }
        roots = try tensor("roots").elements(Int32.self)
        output = try tensor("output").elements(Int32.self)
        feature = try tensor("feature").elements(Int32.self)
        value = try tensor("value").elements(Float.self)
        left = try tensor("left").elements(Int32.self)
        flags = try tensor("flags").elements(Int32.self)
        sets = try tensor("sets").elements(Int32.self)
        base = try tensor("base").elements(Float.self).first ?? 0
    }

    /// Whether every index is within bounds: files come from outside.
    func isSound(features: Int, outputs: Int) -> Bool {
        let nodes = feature.count
        guard value.count == nodes, left.count == nodes, flags.count == nodes, roots.count == output.count,
            sets.count % Self.wordsInSet == 0, roots.allSatisfy({ (0..<nodes).contains(Int($0)) }),
            output.allSatisfy({ (0..<outputs).contains(Int($0)) })
        else { return false }
        let setCount = Float(sets.count / Self.wordsInSet)
        for node in 0..<nodes where feature[node] >= 0 {
            // Children stand behind their parent, so a walk always ends.
            guard Int(feature[node]) < features, left[node] > node, Int(left[node]) + 1 < nodes else { return false }
            if flags[node] & Self.isCategory != 0 {
                guard value[node] >= 0, value[node] < setCount else { return false }
            }
        }
        return true
    }

    /// Adds the leaves that each row reaches to its margins.
    ///
    /// - Parameter matrix: `TableEncoder.treeMatrix`, `width` floats a row.
    func margins(_ matrix: [Float], width: Int, outputs: Int) -> [Float] {
        let rows = width == 0 ? 0 : matrix.count / width
        var result = [Float](repeating: base, count: rows * outputs)
        matrix.withUnsafeBufferPointer { matrix in
            feature.withUnsafeBufferPointer { feature in
                value.withUnsafeBufferPointer { value in
                    left.withUnsafeBufferPointer { left in
                        flags.withUnsafeBufferPointer { flags in
                            for row in 0..<rows {
                                let fields = row * width
                                for (root, output) in zip(roots, output) {
                                    var node = Int(root)
                                    while feature[node] >= 0 {
                                        let field = matrix[fields + Int(feature[node])]
                                        let goesLeft: Bool
                                        if field.isNaN {
                                            goesLeft = flags[node] & Self.missingLeft != 0
                                        } else if flags[node] & Self.isCategory != 0 {
                                            goesLeft = !contains(set: Int(value[node]), code: Int(field))
                                        } else {
                                            goesLeft = field < value[node]
                                        }
                                        node = Int(left[node]) + (goesLeft ? 0 : 1)
                                    }
                                    result[row * outputs + Int(output)] += value[node]
                                }
                            }
                        }
                    }
                }
            }
        }
        return result
    }

    private func contains(set: Int, code: Int) -> Bool {
        guard (0..<TableEncoder.mostCategories).contains(code) else { return false }
        return sets[set * Self.wordsInSet + code / 32] & Int32(bitPattern: 1 << UInt32(code % 32)) != 0
    }
}

/// The part of XGBoost's JSON model that prediction needs; the names are its own.
private struct XGBoostModel: Decodable {
    struct Learner: Decodable { var gradient_booster: GradientBooster }
    struct GradientBooster: Decodable { var model: Model }
    struct Model: Decodable {
        var trees: [Tree]
        var tree_info: [Int32]
    }
    struct Tree: Decodable {
        var left_children: [Int32]
        var right_children: [Int32]
        var split_indices: [Int32]
        var split_conditions: [Float]
        var default_left: [Int32]
        var categories: [Int]
        var categories_nodes: [Int32]
        var categories_segments: [Int]
        var categories_sizes: [Int]
    }

    var learner: Learner
}
