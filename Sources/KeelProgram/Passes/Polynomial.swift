/// A sum of products of two unknowns, by their powers: so a function is known whichever way round it was written.
struct Polynomial {
    struct Powers: Hashable { let x, t: Int }

    private static let mostTerms = 16, mostDegree = 8
    private(set) var terms: [Powers: Double]

    static let x = Polynomial(terms: [Powers(x: 1, t: 0): 1]), t = Polynomial(terms: [Powers(x: 0, t: 1): 1])

    init(terms: [Powers: Double]) { self.terms = terms }
    init(_ number: Double) { terms = [Powers(x: 0, t: 0): number] }

    /// The number that it is.
    var number: Double? { terms.keys.allSatisfy { $0 == Powers(x: 0, t: 0) } ? terms[Powers(x: 0, t: 0), default: 0] : nil }

    static func + (a: Polynomial, b: Polynomial) -> Polynomial { Polynomial(terms: a.terms.merging(b.terms, uniquingKeysWith: +)) }

    static func * (a: Polynomial, factor: Double) -> Polynomial { Polynomial(terms: a.terms.mapValues { $0 * factor }) }

    /// Nil for one that is too large to be anything known.
    static func * (a: Polynomial, b: Polynomial) -> Polynomial? {
        var terms: [Powers: Double] = [:]
        for (p, c) in a.terms {
            for (q, d) in b.terms {
                let powers = Powers(x: p.x + q.x, t: p.t + q.t)
                guard powers.x <= mostDegree, powers.t <= mostDegree else { return nil }
                terms[powers, default: 0] += c * d
            }
        }
        return terms.count <= mostTerms ? Polynomial(terms: terms) : nil
    }

    func power(_ exponent: Double) -> Polynomial? {
        guard exponent >= 1, exponent <= 4, exponent.rounded() == exponent else { return nil }
        var result = self
        for _ in 1..<Int(exponent) {
            guard let next = result * self else { return nil }
            result = next
        }
        return result
    }

    /// Whether the factors are these, as exactly as a float32 says them.
    func isNearly(_ other: Polynomial) -> Bool {
        let scale = other.terms.values.map(abs).max() ?? 0
        return Set(terms.keys).union(other.terms.keys).allSatisfy { powers in
            let (mine, wanted) = (terms[powers, default: 0], other.terms[powers, default: 0])
            return abs(mine - wanted) <= 2e-6 * (wanted == 0 ? scale : abs(wanted))
        }
    }
}

extension Surroundings {
    /// The value as a polynomial of `x` and, if it is given, `t`; nil where it is none, or where a step stretches what it is of.
    func polynomial(_ value: Graph.Value, x: Graph.Value, t: Graph.Value? = nil, depth: Int = 8) -> Polynomial? {
        if value == x { return .x }
        if value == t { return .t }
        if let number = number(value) { return Polynomial(number) }
        guard depth > 0, let place = maker(value), let meaning = meaning(place) else { return nil }
        let inputs = inputs(place)
        func part(_ i: Int) -> Polynomial? { polynomial(inputs[i], x: x, t: t, depth: depth - 1) }
        guard let first = part(0) else { return nil }
        switch meaning {
        case .add: return part(1).map { first + $0 }
        case .subtract: return part(1).map { first + $0 * -1 }
        case .multiply: return part(1).flatMap { first * $0 }
        case .divide: return part(1)?.number.map { first * (1 / $0) }
        case .power: return part(1)?.number.flatMap { first.power($0) }
        case .scale(let factor, let offset): return first * factor + Polynomial(offset)
        case .negate: return first * -1
        default: return nil
        }
    }

    /// The values that this one is made of by arithmetic, itself first.
    func arithmeticSources(_ value: Graph.Value, depth: Int = 6) -> [Graph.Value] {
        var found = [value], frontier = [value]
        for _ in 0..<depth {
            frontier = frontier.flatMap { value -> [Graph.Value] in
                guard let place = maker(value), let meaning = meaning(place) else { return [] }
                switch meaning {
                case .add, .subtract, .multiply, .divide, .power, .scale, .negate: return inputs(place).filter { number($0) == nil }
                default: return []
                }
            }.filter { !found.contains($0) }
            found += frontier
        }
        return found
    }

    /// The nodes that make something of this value by arithmetic, up to some steps on.
    func arithmeticReaders(_ value: Graph.Value, depth: Int = 4) -> [Int] {
        var found: [Int] = [], frontier = [value]
        for _ in 0..<depth {
            var next: [Graph.Value] = []
            for place in frontier.flatMap(readers) where !found.contains(place) {
                switch meaning(place) {
                case .add, .subtract, .multiply, .divide, .scale, .negate:
                    found.append(place)
                    next += outputs(place)
                default: continue
                }
            }
            frontier = next
        }
        return found
    }
}
