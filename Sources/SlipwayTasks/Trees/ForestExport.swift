internal import Keel
internal import KeelProgram

extension ForestScorer {
    var isExportable: Bool { encoder.isExportable }

    func exportFeatures(to writer: inout ONNXModelWriter, _ ports: ExportPorts) throws -> String { try encoder.export(to: &writer, ports) }

    func exportMargins(to writer: inout ONNXModelWriter, of features: String) throws -> String {
        try forest.export(to: &writer, of: features, outputs: link.outputs)
    }
}

extension TableEncoder {
    /// What `treeMatrix` makes of a row.
    fileprivate func export(to writer: inout ONNXModelWriter, _ ports: ExportPorts) throws -> String {
        var features = columns.map { column -> String in
            guard case .category(let values) = column.feature else {
                return ports.isDouble(column) ? writer.node("Cast", [column.name], ["to": .int(1)]) : column.name
            }
            return writer.node(
                "LabelEncoder", [column.name],
                ["keys_strings": .texts(values), "values_floats": .floats(values.indices.map(Float.init)), "default_float": .float(.nan)], domain: "ai.onnx.ml")
        }
        for sum in sums {
            // Added up in double, one after the other.
            var total = writer.constant(try Tensor(Double(0)))
            for (column, operation) in sum.plus.map({ ($0, "Add") }) + sum.minus.map({ ($0, "Sub") }) {
                total = writer.node(operation, [total, writer.node("Cast", [features[column]], ["to": .int(11)])])
            }
            features.append(writer.node("Cast", [total], ["to": .int(1)]))
        }
        return writer.node("Concat", features, ["axis": .int(1)])
    }
}

extension Forest {
    /// The margins, `[batch, outputs]`.
    fileprivate func export(to writer: inout ONNXModelWriter, of features: String, outputs: Int) throws -> String {
        var nodes = TreeNodes()
        for (root, output) in zip(roots, output) { nodes.add(self, root: Int(root), target: Int(output)) }
        var attributes: [(name: String, value: ONNXModelWriter.Attribute)] = [
            ("aggregate_function", .int(1)), ("post_transform", .int(0)), ("n_targets", .int(outputs)), ("tree_roots", .ints(nodes.roots)),
            ("nodes_featureids", .ints(nodes.features)), ("nodes_modes", .tensor(try Tensor(nodes.modes))), ("nodes_splits", .tensor(try Tensor(nodes.splits))),
            ("nodes_truenodeids", .ints(nodes.ifTrue.map(\.place))), ("nodes_trueleafs", .ints(nodes.ifTrue.map { $0.isLeaf ? 1 : 0 })),
            ("nodes_falsenodeids", .ints(nodes.ifFalse.map(\.place))), ("nodes_falseleafs", .ints(nodes.ifFalse.map { $0.isLeaf ? 1 : 0 })),
            ("nodes_missing_value_tracks_true", .ints(nodes.missingIsTrue.map { $0 ? 1 : 0 })),
            ("leaf_targetids", .ints(nodes.targets)), ("leaf_weights", .tensor(try Tensor(nodes.weights))),
        ]
        if !nodes.members.isEmpty { attributes.append(("membership_values", .tensor(try Tensor(nodes.members)))) }
        let margins = writer.node("TreeEnsemble", [features], attributes, domain: "ai.onnx.ml")
        return base == 0 ? margins : writer.node("Add", [margins, writer.constant(try Tensor(base))])
    }

    /// The trees as the operator has them: nodes and leaves in lists of their own, the true side first.
    private struct TreeNodes {
        var roots: [Int] = [], features: [Int] = [], modes: [UInt8] = [], splits: [Float] = [], missingIsTrue: [Bool] = []
        var ifTrue: [(place: Int, isLeaf: Bool)] = [], ifFalse: [(place: Int, isLeaf: Bool)] = []
        var targets: [Int] = [], weights: [Float] = []
        /// Each set's codes, and NaN behind them.
        var members: [Float] = []

        /// A node on the way, whose parent leads to it by its true or its false side.
        private struct Step {
            let node: Int
            let parent: Int?
            let isTrue: Bool
        }

        private static let isLess: UInt8 = 1, isMember: UInt8 = 6

        mutating func add(_ forest: Forest, root: Int, target: Int) {
            roots.append(features.count)
            guard forest.feature[root] >= 0 else {
                // A tree that is nothing but a leaf: whatever its node asks leads there.
                append(feature: 0, Self.isLess, 0, missingIsTrue: false)
                let leaf = (place: leaf(forest.value[root], target), isLeaf: true)
                (ifTrue[ifTrue.count - 1], ifFalse[ifFalse.count - 1]) = (leaf, leaf)
                return
            }
            var way = [Step(node: root, parent: nil, isTrue: false)]
            while let step = way.popLast() {
                let node = step.node, isLeaf = forest.feature[node] < 0, place = isLeaf ? leaf(forest.value[node], target) : features.count
                if let parent = step.parent {
                    if step.isTrue { ifTrue[parent] = (place, isLeaf) } else { ifFalse[parent] = (place, isLeaf) }
                }
                if isLeaf { continue }
                let left = Int(forest.left[node]), missingLeft = forest.flags[node] & Forest.missingLeft != 0
                if forest.flags[node] & Forest.isCategory != 0 {
                    append(feature: Int(forest.feature[node]), Self.isMember, 0, missingIsTrue: !missingLeft)
                    members += forest.codes(inSet: Int(forest.value[node])) + [.nan]
                    way += [Step(node: left, parent: place, isTrue: false), Step(node: left + 1, parent: place, isTrue: true)]
                } else {
                    append(feature: Int(forest.feature[node]), Self.isLess, forest.value[node], missingIsTrue: missingLeft)
                    way += [Step(node: left + 1, parent: place, isTrue: false), Step(node: left, parent: place, isTrue: true)]
                }
            }
        }

        private mutating func append(feature: Int, _ mode: UInt8, _ split: Float, missingIsTrue: Bool) {
            features.append(feature)
            modes.append(mode)
            splits.append(split)
            self.missingIsTrue.append(missingIsTrue)
            ifTrue.append((0, true))
            ifFalse.append((0, true))
        }

        private mutating func leaf(_ weight: Float, _ target: Int) -> Int {
            weights.append(weight)
            targets.append(target)
            return weights.count - 1
        }
    }

    private func codes(inSet set: Int) -> [Float] {
        (0..<TableEncoder.mostCategories).filter { sets[set * Self.wordsInSet + $0 / 32] & Int32(bitPattern: 1 << UInt32($0 % 32)) != 0 }.map(Float.init)
    }
}
