internal import SlipwayDomain

/// Which of the best trials make the model, and with what weights.
enum Mixture {
    /// Greedy selection with repetition: the next member is whichever improves the validation score most; the score
    /// must rise by more than noise, so one model stays one model when the others don't help.
    ///
    /// - Source: Caruana et al., "Ensemble selection from libraries of models", 2004.
    /// - Parameter score: of mixed predictions, larger is better.
    /// - Returns: weights that sum to 1, in the order of `candidates`.
    static func weights(_ candidates: [Predictions], rounds: Int = 12, score: (Predictions) -> Double) -> [Double] {
        guard candidates.count > 1 else { return candidates.map { _ in 1 } }
        var counts = [Int](repeating: 0, count: candidates.count)
        var best = (counts: counts, score: -Double.infinity)
        var sum = [Float](repeating: 0, count: candidates[0].values.count)
        for round in 1...rounds {
            var chosen = (index: 0, score: -Double.infinity, sum: sum)
            for (index, candidate) in candidates.enumerated() {
                var trial = sum
                for at in trial.indices { trial[at] += candidate.values[at] }
                let mean = Predictions(width: candidate.width, values: trial.map { $0 / Float(round) })
                let value = score(mean)
                if value > chosen.score { chosen = (index, value, trial) }
            }
            counts[chosen.index] += 1
            sum = chosen.sum
            if chosen.score > best.score + 1e-9 { best = (counts, chosen.score) }
        }
        let total = best.counts.reduce(0, +)
        return best.counts.map { Double($0) / Double(max(total, 1)) }
    }
}
