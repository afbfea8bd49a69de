internal import Foundation
internal import SlipwayDomain

/// The hyperparameters of a template that may vary, and how the next point to try is drawn.
struct SearchSpace {
    let template: Template
    let preset: Preset

    var isEmpty: Bool { template.hyperparameters.allSatisfy { $0.search == nil } }

    /// Half of the points are drawn from the whole space, the others near one of the best points that were tried,
    /// nearer the more were tried.
    ///
    /// - Parameter tried: hyperparameters and score (larger is better) of this template's earlier trials.
    func sample(
        after tried: [(hyperparameters: [String: JSON], score: Double)], using generator: inout SeededGenerator
    ) -> [String: JSON] {
        var values = template.defaults(for: preset)
        let best = tried.sorted { $0.score > $1.score }.prefix(3)
        let near = tried.count >= 2 && generator.uniform() < 0.5 ? best[Int(generator.uniform() * Double(best.count))] : nil
        let width = 0.3 / Double(1 + tried.count / 8)
        for hyperparameter in template.hyperparameters {
            guard let search = hyperparameter.search else { continue }
            // Both are drawn always, so that one choice doesn't shift all that follow.
            let (anywhere, step) = (generator.uniform(), generator.normal())
            var position = anywhere
            if let centre = near?.hyperparameters[hyperparameter.name]?.doubleValue {
                position = hyperparameter.position(of: centre, in: search) + width * step
            }
            let folded = abs(1 - abs(1 - position).truncatingRemainder(dividingBy: 2))  // reflected into 0...1
            values[hyperparameter.name] = hyperparameter.value(near: hyperparameter.number(at: folded, in: search))
        }
        return values
    }
}

extension Hyperparameter {
    /// Where a number stands between the ends of a range, 0 to 1, on this hyperparameter's scale.
    func position(of number: Double, in range: ClosedRange<Double>) -> Double {
        let (low, high) = (range.lowerBound, range.upperBound)
        guard high > low else { return 0 }
        return scale == .log ? log(max(number, low) / low) / log(high / low) : (number - low) / (high - low)
    }

    func number(at position: Double, in range: ClosedRange<Double>) -> Double {
        let (low, high) = (range.lowerBound, range.upperBound)
        guard high > low else { return low }
        return scale == .log ? low * pow(high / low, position) : low + position * (high - low)
    }
}
