internal import SlipwayDomain

/// Which of the best trials make the model, and with what weights.
enum Mixture {
    /// A mix costs as many predictions as it has models: it must take this share off what the simpler one leaves to be gained.
    static let leastGain = 0.01

    /// Greedy selection with repetition: the next member is whichever improves the validation score most. What is mixed more
    /// is taken when it is better by `leastGain`, so one model stays one model when the others hardly help.
    ///
    /// - Source: Caruana et al., "Ensemble selection from libraries of models", 2004.
    /// - Parameters:
    ///   - perfect: the score of a model without errors.
    ///   - deadline: when to stop looking for better mixes.
    ///   - score: of mixed predictions, larger is better.
    /// - Returns: weights that sum to 1, in the order of `candidates`.
    static func weights(
        _ candidates: [Predictions], rounds: Int = 12, perfect: Double, until deadline: ContinuousClock.Instant? = nil,
        score: (Predictions) -> Double
    ) -> [Double] {
        guard candidates.count > 1 else { return candidates.map { _ in 1 } }
        var counts = [Int](repeating: 0, count: candidates.count)
        var best = (counts: counts, score: -Double.infinity)
        var sum = [Float](repeating: 0, count: candidates[0].values.count)
        for round in 1...rounds {
            if round > 1, let deadline, ContinuousClock.now > deadline { break }
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
            if round == 1 || chosen.score - best.score > leastGain * (perfect - best.score) { best = (counts, chosen.score) }
        }
        let total = best.counts.reduce(0, +)
        return best.counts.map { Double($0) / Double(max(total, 1)) }
    }
}
