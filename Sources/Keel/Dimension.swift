import Synchronization

/// The size of one axis: a number, or an expression of symbols such as `batch`, `2 * sequence + 1` or `⌊side / 2⌋`, known only when a
/// program runs.
///
/// Eight bytes, stored inline in a `Shape`. A number is itself; an expression is a place in a table in which equal expressions
/// share one place, so that comparing dimensions is comparing integers.
public struct Dimension: Hashable, Sendable, CustomStringConvertible {
    /// A number from 0 up, or `~place` of an expression. A sum or product that no `Int` holds is the largest one: no tensor has so
    /// many elements, so a shape with it is refused (`TensorError.invalidShape`) where a tensor of it would be made. So is an expression that would
    /// become longer than any shape has a use for (`mostTerms`).
    @usableFromInline let bits: Int

    @inlinable init(bits: Int) { self.bits = bits }

    /// - Precondition: `number` isn't negative.
    @inlinable public init(_ number: Int) {
        precondition(number >= 0, "a dimension is 0 at least")
        bits = number
    }

    /// The dimension that is called `name`: the same one wherever that name is used.
    public static func symbol(_ name: String) -> Dimension { Expressions.shared.symbol(name) }

    /// Nil where the size is symbolic.
    @inlinable public var number: Int? { bits >= 0 ? bits : nil }
    @inlinable public var isSymbolic: Bool { bits < 0 }

    /// - Throws: `TensorError.symbolicDimension` where the size isn't known yet.
    public func value() throws(TensorError) -> Int {
        guard bits >= 0 else { throw .symbolicDimension(self) }
        return bits
    }

    public static func + (a: Dimension, b: Dimension) -> Dimension { Expressions.shared.combined(a, 1, b, 1, 0) }
    public static func - (a: Dimension, b: Dimension) -> Dimension { Expressions.shared.combined(a, 1, b, -1, 0) }
    public static func * (a: Dimension, b: Dimension) -> Dimension { Expressions.shared.multiplied(a, b) }

    /// `self + number`; the number may be negative.
    func offset(by number: Int) -> Dimension { Expressions.shared.combined(self, 1, Dimension(0), 1, number) }

    /// `⌊self / divisor⌋`; the divisor is 1 at least. What no `Int` holds stays so.
    package func divided(by divisor: Int) -> Dimension {
        if bits == .max { return self }
        return bits >= 0 ? Dimension(bits / divisor) : Expressions.shared.divided(self, by: divisor)
    }

    /// `self / divisor`; nil where the divisor is 0, or no factor of this expression.
    package func divided(exactlyBy divisor: Dimension) -> Dimension? {
        if bits >= 0, divisor.bits >= 0 { return divisor.bits > 0 && bits % divisor.bits == 0 ? Dimension(bits / divisor.bits) : nil }
        return Expressions.shared.divided(self, exactlyBy: divisor)
    }

    /// A number that it isn't less than, whatever its symbols stand for; nil where it may be arbitrarily small.
    package var lowerBound: Int? { bits >= 0 ? bits : Expressions.shared.lowerBound(of: self) }

    /// The names of the symbols in it.
    package var symbols: Set<String> { bits >= 0 ? [] : Expressions.shared.symbols(of: self) }

    /// Its symbol's name, where it is one symbol and nothing else.
    package var soleSymbol: String? {
        guard symbols.count == 1, let name = symbols.first, self == .symbol(name) else { return nil }
        return name
    }

    /// How many terms an expression has at most, how many symbols a term, and how many symbols and quotients a quotient is made of.
    package static let mostTerms = 64, mostFactors = 16, mostParts = 64

    /// What a term is a product of.
    package enum Part: Sendable, Equatable {
        case symbol(String)
        /// Cut off to a whole number. The dividend isn't negative.
        case quotient(Dimension, by: Int)
    }

    /// As a sum: each term's parts, of which the term is the product, and its factor; in the order of the description.
    package var terms: [(parts: [Part], factor: Int)] { Expressions.shared.terms(of: self) }

    /// The number that it is when its symbols stand for these.
    ///
    /// - Throws: `TensorError.symbolicDimension` where a symbol has none, or where it would be less than 0.
    package func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Dimension {
        if bits >= 0 { return self }
        guard let number = Expressions.shared.value(of: self, sizes), number >= 0 else { throw .symbolicDimension(self) }
        return Dimension(number)
    }

    public var description: String { bits >= 0 ? String(bits) : Expressions.shared.text(of: self) }
}

/// Sums of products of symbols with whole factors, each kept once. A quotient that is no such sum is a symbol with a meaning.
private final class Expressions: Sendable {
    static let shared = Expressions()

    /// A product of symbols, by their places, ascending; the empty one is the number 1.
    typealias Product = [Int]
    struct Expression: Hashable { var terms: [Product: Int] }
    /// `⌊dividend / divisor⌋`, where all factors of the dividend are from 0 up to the divisor.
    struct Quotient: Hashable {
        let dividend: Expression
        let divisor: Int
    }
    struct Table {
        /// Names; of quotients what they are.
        var symbols: [String] = []
        var symbolPlaces: [String: Int] = [:]
        var quotients: [Int: Quotient] = [:]
        var quotientPlaces: [Quotient: Int] = [:]
        var expressions: [Expression] = []
        var places: [Expression: Int] = [:]
    }

    let table = Mutex(Table())

    func symbol(_ name: String) -> Dimension {
        table.withLock { table in
            let place = table.symbolPlaces[name] ?? table.symbols.count
            if place == table.symbols.count {
                table.symbols.append(name)
                table.symbolPlaces[name] = place
            }
            return Self.dimension(Expression(terms: [[place]: 1]), in: &table)
        }
    }

    /// `a * factorA + b * factorB + constant`
    func combined(_ a: Dimension, _ factorA: Int, _ b: Dimension, _ factorB: Int, _ constant: Int) -> Dimension {
        // What no `Int` holds stays so.
        if a.bits == .max || b.bits == .max { return Dimension(.max) }
        if a.bits >= 0, b.bits >= 0 {
            let sum = Self.sum(Self.sum(Self.product(a.bits, factorA), Self.product(b.bits, factorB)), constant)
            precondition(sum >= 0, "a dimension is 0 at least")
            return Dimension(bits: sum)
        }
        return table.withLock { table in
            var sum: [Product: Int] = [[]: constant]
            for (product, factor) in Self.expression(a, in: table).terms { Self.add(Self.product(factor, factorA), to: &sum[product, default: 0]) }
            for (product, factor) in Self.expression(b, in: table).terms { Self.add(Self.product(factor, factorB), to: &sum[product, default: 0]) }
            return Self.dimension(Expression(terms: sum), in: &table)
        }
    }

    func multiplied(_ a: Dimension, _ b: Dimension) -> Dimension {
        if a.bits >= 0, b.bits >= 0 { return Dimension(bits: Self.product(a.bits, b.bits)) }
        return table.withLock { table in
            let (left, right) = (Self.expression(a, in: table), Self.expression(b, in: table))
            var terms: [Product: Int] = [:]
            for (p, f) in left.terms {
                for (q, g) in right.terms { Self.add(Self.product(f, g), to: &terms[(p + q).sorted(), default: 0]) }
            }
            return Self.dimension(Expression(terms: terms), in: &table)
        }
    }

    func divided(_ a: Dimension, by divisor: Int) -> Dimension {
        table.withLock { table in
            guard let quotient = Self.divided(Self.expression(a, in: table), by: divisor, in: &table) else { return Dimension(.max) }
            return Self.dimension(quotient, in: &table)
        }
    }

    /// Multiples of the divisor come out of the brackets: `⌊(5·n + 3) / 2⌋` is `2·n + 1 + ⌊(n + 1) / 2⌋`, and what stays inside isn't negative. Nil where it would
    /// be made of too many parts.
    private static func divided(_ dividend: Expression, by divisor: Int, in table: inout Table) -> Expression? {
        var whole: [Product: Int] = [:], rest: [Product: Int] = [:]
        for (product, factor) in dividend.terms {
            let (quotient, remainder) = factor.quotientAndRemainder(dividingBy: divisor)
            whole[product] = remainder < 0 ? quotient - 1 : quotient
            rest[product] = remainder == 0 ? nil : remainder < 0 ? remainder + divisor : remainder
        }
        let symbolic = rest.keys.filter { !$0.isEmpty }
        guard let first = symbolic.first else { return Expression(terms: whole) }
        // ⌊(⌊x / a⌋ + c) / b⌋ = ⌊(x + a·c) / (a·b)⌋
        if symbolic.count == 1, first.count == 1, rest[first] == 1, let inner = table.quotients[first[0]] {
            var terms = inner.dividend.terms
            let constant = product(inner.divisor, rest[[], default: 0]), both = product(inner.divisor, divisor)
            add(constant, to: &terms[[], default: 0])
            guard max(constant, both) < .max, let outer = divided(Expression(terms: terms), by: both, in: &table) else { return nil }
            for (product, factor) in outer.terms { add(factor, to: &whole[product, default: 0]) }
            return Expression(terms: whole)
        }
        let quotient = Quotient(dividend: Expression(terms: rest), divisor: divisor), place = table.quotientPlaces[quotient] ?? table.symbols.count
        if place == table.symbols.count {
            guard parts(of: quotient.dividend, in: table) < Dimension.mostParts else { return nil }
            let above = text(of: quotient.dividend, in: table)
            table.symbols.append(rest.count == 1 ? "⌊\(above) / \(divisor)⌋" : "⌊(\(above)) / \(divisor)⌋")
            (table.quotients[place], table.quotientPlaces[quotient]) = (quotient, place)
        }
        add(1, to: &whole[[place], default: 0])
        return Expression(terms: whole)
    }

    /// How many symbols and quotients it is made of, each as often as it occurs.
    private static func parts(of expression: Expression, in table: Table) -> Int {
        expression.terms.keys.joined().reduce(0) { sum, symbol in sum + 1 + (table.quotients[symbol].map { parts(of: $0.dividend, in: table) } ?? 0) }
    }

    /// By long division: each step takes away a multiple of the divisor that has the rest's leading term.
    func divided(_ a: Dimension, exactlyBy b: Dimension) -> Dimension? {
        table.withLock { table in
            var rest = Self.expression(a, in: table).terms.filter { $0.value != 0 }, result: [Product: Int] = [:]
            let divisor = Self.expression(b, in: table).terms
            guard let lead = Self.leading(divisor), let leadFactor = divisor[lead], leadFactor != 0 else { return nil }
            while let own = Self.leading(rest), let factor = rest[own] {
                guard let product = Self.quotient(own, lead), factor != .min, factor % leadFactor == 0 else { return nil }
                let count = factor / leadFactor
                result[product] = count
                for (symbols, other) in divisor {
                    let (scaled, overflow) = other.multipliedReportingOverflow(by: count)
                    let place = (symbols + product).sorted(), (difference, underflow) = rest[place, default: 0].subtractingReportingOverflow(scaled)
                    if overflow || underflow { return nil }
                    rest[place] = difference == 0 ? nil : difference
                }
                guard result.count <= Dimension.mostTerms, rest.count <= Dimension.mostTerms * Dimension.mostTerms else { return nil }
            }
            return Self.dimension(Expression(terms: result), in: &table)
        }
    }

    /// Symbols are sizes, and so 0 at least; quotients are, too.
    func lowerBound(of dimension: Dimension) -> Int? {
        table.withLock { table in
            let terms = Self.expression(dimension, in: table).terms
            return terms.allSatisfy({ $0.key.isEmpty || $0.value >= 0 }) ? terms[[], default: 0] : nil
        }
    }

    /// Of most symbols, and of those the first: an order that multiplication keeps.
    private static func leading(_ terms: [Product: Int]) -> Product? {
        terms.keys.max { a, b in a.count != b.count ? a.count < b.count : b.lexicographicallyPrecedes(a) }
    }

    private static func quotient(_ product: Product, _ divisor: Product) -> Product? {
        var rest = product
        for symbol in divisor {
            guard let place = rest.firstIndex(of: symbol) else { return nil }
            rest.remove(at: place)
        }
        return rest
    }

    func text(of dimension: Dimension) -> String { table.withLock { Self.text(of: Self.expression(dimension, in: $0), in: $0) } }

    private static func text(of expression: Expression, in table: Table) -> String {
        var text = ""
        for (product, factor) in ordered(expression) {
            let names = product.map { table.symbols[$0] }.joined(separator: "·")
            let size = abs(factor)
            let part = names.isEmpty ? String(size) : size == 1 ? names : "\(size)·\(names)"
            text += text.isEmpty ? (factor < 0 ? "-" : "") + part : (factor < 0 ? " - " : " + ") + part
        }
        return text
    }

    func terms(of dimension: Dimension) -> [(parts: [Dimension.Part], factor: Int)] {
        table.withLock { table in
            Self.ordered(Self.expression(dimension, in: table)).map { term in
                let parts = term.product.map { symbol in
                    guard let quotient = table.quotients[symbol] else { return Dimension.Part.symbol(table.symbols[symbol]) }
                    return .quotient(Self.dimension(quotient.dividend, in: &table), by: quotient.divisor)
                }
                return (parts, term.factor)
            }
        }
    }

    /// The longest products first.
    private static func ordered(_ expression: Expression) -> [(product: Product, factor: Int)] {
        expression.terms.sorted { a, b in
            a.key.count != b.key.count ? a.key.count > b.key.count : a.key.lexicographicallyPrecedes(b.key)
        }.map { ($0.key, $0.value) }
    }

    func symbols(of dimension: Dimension) -> Set<String> { table.withLock { Self.symbols(of: Self.expression(dimension, in: $0), in: $0) } }

    private static func symbols(of expression: Expression, in table: Table) -> Set<String> {
        var names: Set<String> = []
        for symbol in Set(expression.terms.keys.joined()) {
            if let quotient = table.quotients[symbol] { names.formUnion(symbols(of: quotient.dividend, in: table)) } else { names.insert(table.symbols[symbol]) }
        }
        return names
    }

    /// Nil where a symbol has no size.
    func value(of dimension: Dimension, _ sizes: SymbolSizes) -> Int? { table.withLock { Self.value(of: Self.expression(dimension, in: $0), sizes, in: $0) } }

    private static func value(of expression: Expression, _ sizes: SymbolSizes, in table: Table) -> Int? {
        var sum = 0
        for (product, factor) in expression.terms {
            var term = factor
            for symbol in product {
                let size: Int?
                if let quotient = table.quotients[symbol] {
                    size = value(of: quotient.dividend, sizes, in: table).map { $0 / quotient.divisor }
                } else {
                    size = sizes.sizes[table.symbols[symbol]]
                }
                guard let size else { return nil }
                term = Self.product(term, size)
            }
            sum = Self.sum(sum, term)
        }
        return sum
    }

    private static func product(_ a: Int, _ b: Int) -> Int {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? (a < 0) == (b < 0) ? Int.max : -Int.max : product
    }

    private static func sum(_ a: Int, _ b: Int) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? a > 0 ? Int.max : -Int.max : sum
    }

    private static func add(_ number: Int, to sum: inout Int) { sum = Self.sum(sum, number) }

    private static func expression(_ dimension: Dimension, in table: Table) -> Expression {
        dimension.bits >= 0 ? Expression(terms: [[]: dimension.bits]) : table.expressions[~dimension.bits]
    }

    private static func dimension(_ expression: Expression, in table: inout Table) -> Dimension {
        let terms = expression.terms.filter { $0.value != 0 }
        if terms.isEmpty { return Dimension(0) }
        if terms.count == 1, let constant = terms[[]], constant >= 0 { return Dimension(constant) }
        guard terms.count <= Dimension.mostTerms, terms.keys.allSatisfy({ $0.count <= Dimension.mostFactors }) else { return Dimension(.max) }
        let kept = Expression(terms: terms)
        if let place = table.places[kept] { return Dimension(bits: ~place) }
        let place = table.expressions.count
        table.expressions.append(kept)
        table.places[kept] = place
        return Dimension(bits: ~place)
    }
}
