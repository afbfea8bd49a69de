internal import SlipwayDomain

/// A trial's template with its hyperparameters, checked, as learners read them.
struct Recipe: Sendable {
    let template: Template
    let seed: UInt64
    private let values: [String: Double]

    init(_ recipe: TrialRecipe) throws(Problem) {
        template = try recipe.decoded()
        seed = recipe.seed
        values = Dictionary(
            uniqueKeysWithValues: template.hyperparameters.map { hyperparameter in
                let value = recipe.hyperparameters[hyperparameter.name] ?? hyperparameter.initial
                return (hyperparameter.name, value.doubleValue ?? hyperparameter.range.lowerBound)
            })
    }

    /// - Precondition: the network's list of hyperparameters has the name; the decoder saw to it that all are declared.
    func number(_ name: String) -> Double {
        guard let value = values[name] else { preconditionFailure("\(template.network) reads no '\(name)'") }
        return value
    }

    func integer(_ name: String) -> Int { Int(number(name).rounded()) }

    /// The length of a whole training, in units of the resource.
    var length: Double { number(template.network.resource) }
}
