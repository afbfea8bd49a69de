public import Keel

/// Weights that are taken out of a network while it trains, and are exactly zero from then on: single ones, or whole output channels.
///
/// Every so many steps the smallest are chosen, as many as `sparsity` says for that step; what was taken out stays so, and what is left learns to
/// do without it. A `Trainer` does it all; in a loop of one's own, it is two lines:
///
/// ```swift
/// trainer.pruning = try Pruning(.weights, of: trainer.optimizer.parameters, sparsity: .polynomial(from: 0, to: 0.9, power: 3, steps: 1000))
///
/// try loss.backward()
/// try pruning.maskGradients()       // so that what was taken out counts neither in clipping nor in moments
/// try optimizer.step()
/// try pruning.update(step: step)
/// ```
///
/// Single zeros make a file smaller that is compressed, and nothing faster. Channels do: where nothing but such functions as a rectifier stands
/// between two layers, `Program.optimised` leaves out those that are zero (`Pass.deadChannels` of KeelProgram), with their part in both layers.
///
/// - Source: Zhu and Gupta, *To prune, or not to prune*, 2017: magnitudes, and the cubic way to the final share, which is `Schedule.polynomial` of
///   power 3; Li et al., *Pruning Filters for Efficient ConvNets*, 2017: channels by the norm of their filters.
public final class Pruning {
    /// What is taken out.
    public enum Choice: Hashable, Sendable {
        /// Single weights of the smallest magnitude: of each parameter the same share.
        case weights
        /// Single weights of the smallest magnitude among all: of each parameter as many as fall under the common limit.
        case weightsOfAll
        /// Whole output channels (axis 0 of `Linear`, `Conv1D` and `Conv2D`; not so of what is transposed, nor of recurrent layers), whose weights have
        /// the smallest norm: for a power of 1 the sum of their magnitudes, for 2 their length. Of each parameter the same share, and never all.
        case channels(power: Double)
    }

    /// How much of one parameter was taken out.
    public struct Sparsity: Hashable, Sendable {
        public let name: String
        /// Numbers that were taken out, and all there are.
        public let pruned, count: Int
        public var share: Double { count == 0 ? 0 : Double(pruned) / Double(count) }
    }

    public let choice: Choice
    public let parameters: ParameterStore
    /// The share to be taken out after each step, counted from 0.
    public let sparsity: Schedule
    /// After how many steps it is chosen again; after the first one, too.
    public let interval: Int
    /// The parameters that are looked at, and with each of them those whose axis 0 are the same channels.
    private let pruned: [(part: ParameterStore.Part, followers: [ParameterStore.Part])]
    /// For each number of the store, laid out alike, whether it stays.
    private let isKept: Tensor

    /// - Parameters:
    ///   - isPruned: which parameters are looked at: matrices and filters, if nothing else is said. Sparse tables never are.
    ///   - followers: for channels, by a parameter's name, the names of those that go with it, one number a channel: as of the normalisation that
    ///     comes after, `["conv.weight": ["norm.scale", "norm.bias"]]`. The bias beside a weight goes with it without being named.
    /// - Throws: `TensorError.argument` for no parameter to be looked at, an interval below 1, a norm's power below 1, and followers that aren't there, have
    ///   another count of channels, or come with single weights.
    public init(
        _ choice: Choice, of parameters: ParameterStore, sparsity: Schedule, everySteps interval: Int = 100,
        where isPruned: (_ name: String, _ shape: Shape) -> Bool = { _, shape in shape.rank >= 2 }, followers: [String: [String]] = [:]
    ) throws(TensorError) {
        guard interval >= 1 else { throw refused("everySteps", "\(interval)", "1 and more") }
        if case .channels(let power) = choice {
            guard power >= 1 else { throw refused("power", "\(power)", "1 and more") }
        } else if let name = followers.keys.min() {
            throw refused("followers", "some of '\(name)'", "none of single weights")
        }
        let parts = Dictionary(uniqueKeysWithValues: parameters.parts.map { ($0.name, $0) })
        var pruned: [(part: ParameterStore.Part, followers: [ParameterStore.Part])] = []
        for part in parameters.parts where isPruned(part.name, part.shape) {
            guard case .channels = choice else {
                pruned.append((part, []))
                continue
            }
            guard part.shape.rank >= 2 else { throw refused("where", "'\(part.name)' \(part.shape)", "parameters with channels [out, in, ...]") }
            var names = followers[part.name] ?? []
            let bias = "\(part.name.dropLast("weight".count))bias"
            if part.name.hasSuffix("weight"), parts[bias]?.shape == Shape(part.shape[0]), !names.contains(bias) { names.append(bias) }
            var own: [ParameterStore.Part] = []
            for name in names {
                guard let follower = parts[name], follower.shape == Shape(part.shape[0]) else {
                    let given = parts[name].map { "'\(name)' \($0.shape)" } ?? "'\(name)'"
                    throw refused("followers", given, "parameters [\(part.shape[0])], as '\(part.name)' has channels")
                }
                own.append(follower)
            }
            pruned.append((part, own))
        }
        guard !pruned.isEmpty else { throw refused("where", "no parameter", "one at least") }
        for name in followers.keys.sorted() where !pruned.contains(where: { $0.part.name == name }) {
            throw refused("followers", "some of '\(name)'", "parameters that are pruned")
        }
        (self.choice, self.parameters, self.sparsity, self.interval, self.pruned) = (choice, parameters, sparsity, interval, pruned)
        isKept = try .full(1, parameters.values.shape, .bool)
    }

    /// Takes out what is to be taken out after step `step`, and sets what has been to zero, where the optimiser has moved it.
    ///
    /// - Throws: `TensorError.argument` for a share outside 0...1.
    public func update(step: Int) throws(TensorError) {
        if step % interval == 0 { try choose(sparsity(step)) }
        try parameters.values.assign(kept(parameters.values))
    }

    /// Sets the gradients of what was taken out to zero.
    public func maskGradients() throws(TensorError) { try parameters.gradients.assign(kept(parameters.gradients)) }

    /// What was taken out of each parameter, those that went along included, in the store's order.
    public func report() throws(TensorError) -> [Sparsity] {
        var report: [Sparsity] = []
        for part in masked {
            let left = Int(try parameters.view(of: isKept, part).cast(to: .float64).sum().item(Double.self))
            report.append(Sparsity(name: part.name, pruned: part.count - left, count: part.count))
        }
        return report
    }

    /// Visits which numbers stay, as bools by the parameters' names. To change them, `assign` to them.
    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        for part in masked { try body("kept.\(part.name)", try parameters.view(of: isKept, part)) }
    }

    /// Memory that is laid out like the store's, with zeros for what was taken out.
    func kept(_ flat: Tensor) throws(TensorError) -> Tensor { try isKept.select(flat, Tensor(Float(0))) }

    private var masked: [ParameterStore.Part] {
        let names = Set(pruned.flatMap { [$0.part.name] + $0.followers.map(\.name) })
        return parameters.parts.filter { names.contains($0.name) }
    }

    // Choosing.

    private func choose(_ share: Double) throws(TensorError) {
        guard (0...1).contains(share) else { throw refused("sparsity", "\(share)", "0...1") }
        func count(of n: Int) -> Int { Int((share * Double(n)).rounded()) }
        switch choice {
        case .weights:
            for (part, _) in pruned {
                let kept = try left(magnitudes(part), without: count(of: part.count))
                try parameters.view(of: isKept, part).assign(kept.reshaped(part.shape))
            }
        case .weightsOfAll:
            var all: [Tensor] = []
            for (part, _) in pruned { all.append(try magnitudes(part)) }
            let kept = try left(.concatenated(all), without: count(of: pruned.reduce(0) { $0 + $1.part.count }))
            var start = 0
            for (part, _) in pruned {
                try parameters.view(of: isKept, part).assign(kept.sliced(0, from: start, to: start + part.count).reshaped(part.shape))
                start += part.count
            }
        case .channels(let power):
            for (part, followers) in pruned {
                let channels = try part.shape.size(0), mask = try parameters.view(of: isKept, part)
                let norms = try parameters.view(of: parameters.values, part).flattened(from: 1).vectorNorm(power, [1])
                // Of a channel all numbers stay, or none.
                let isThere = try mask.reshaped([channels, part.count / channels]).sliced(1, to: 1).withoutAxis(1)
                let kept = try left(isThere.select(norms, Tensor(Float(-1))), without: min(count(of: channels), channels - 1))
                try mask.assign(kept.reshaped([channels] + Array(repeating: 1, count: part.shape.rank - 1)).expanded(to: part.shape))
                for follower in followers { try parameters.view(of: isKept, follower).assign(kept) }
            }
        }
    }

    /// The magnitudes of a parameter's numbers, flat; less than 0 for those that were taken out: they stay out, whatever else is 0.
    private func magnitudes(_ part: ParameterStore.Part) throws(TensorError) -> Tensor {
        let isThere = try parameters.view(of: isKept, part)
        return try isThere.select(parameters.view(of: parameters.values, part).magnitude(), Tensor(Float(-1))).reshaped([part.count])
    }

    /// For each of the numbers, whether it isn't among the `count` smallest, of which those count that stand first; all that are out stay so.
    private func left(_ numbers: Tensor, without count: Int) throws(TensorError) -> Tensor {
        let gone = Int(try numbers.isLess(than: 0).cast(to: .float64).sum().item(Double.self))
        let places = try numbers.topK(max(count, gone), largest: false).indices
        return try Tensor.full(1, numbers.shape, .bool).scattered(Tensor.full(0, places.shape, .bool), along: 0, at: places)
    }
}

private func refused(_ name: String, _ given: String, _ allowed: String) -> TensorError {
    TensorError(.argument(primitive: "Pruning", name: name, given: given, allowed: allowed))
}
