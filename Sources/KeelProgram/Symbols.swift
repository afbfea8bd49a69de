internal import Keel

/// How the sizes of a program's inputs give numbers to its symbols.
struct Symbols: Sendable {
    let names: [String]
    private let ports: [(name: String, spec: TensorSpec)]
    /// Where each symbol is an axis' whole size.
    private let places: [(input: Int, axis: Int)]
    /// What each axis of each input is to have.
    private let wanted: [[Size]]

    private enum Size: Sendable {
        case number(Int)
        /// That of the symbol with this place among the names.
        case symbol(Int)
        case expression(Dimension)
    }

    /// - Throws: `TensorError.argument` where a symbol is nowhere an axis' whole size.
    init(_ graph: Graph) throws(TensorError) {
        ports = graph.inputs.map { ($0.name, graph.specs[$0.value]) }
        var names: [String] = [], numbers: [String: Int] = [:], places: [(input: Int, axis: Int)] = [], all: Set<String> = []
        for (input, port) in ports.enumerated() {
            for axis in 0..<port.spec.shape.rank {
                all.formUnion(port.spec.shape[axis].symbols)
                guard let name = port.spec.shape[axis].soleSymbol, numbers[name] == nil else { continue }
                numbers[name] = names.count
                names.append(name)
                places.append((input, axis))
            }
        }
        if let open = all.subtracting(names).min() {
            throw TensorError(.argument(primitive: "program", name: "symbol", given: open, allowed: "symbols that are the whole size of some input's axis"))
        }
        (self.names, self.places) = (names, places)
        wanted = ports.map { port in
            (0..<port.spec.shape.rank).map { axis in
                let size = port.spec.shape[axis]
                if let number = size.number { return .number(number) }
                return size.soleSymbol.flatMap { numbers[$0] }.map(Size.symbol) ?? .expression(size)
            }
        }
    }

    /// The symbols' numbers, in the order of their names.
    ///
    /// - Throws: `TensorError.argument`, `.dtype`, `.shape` where an input isn't of its spec.
    func sizes(of inputs: [Tensor]) throws(TensorError) -> [Int] {
        guard inputs.count == ports.count else {
            throw TensorError(.argument(primitive: "program", name: "inputs", given: "\(inputs.count)", allowed: "\(ports.count)"))
        }
        // By places: a port would be copied, its name and its shape with it, and a run of a small network takes a few microseconds.
        for (place, input) in inputs.enumerated() {
            guard input.dtype == ports[place].spec.dtype else {
                throw TensorError(.dtype(primitive: "program", expected: "\(ports[place].spec.dtype) for '\(ports[place].name)'", input.dtype))
            }
            guard input.rank == wanted[place].count else { throw mismatch(ports[place], input) }
        }
        var sizes: [Int] = []
        sizes.reserveCapacity(names.count + 1)  // The caller appends a number.
        for (input, axis) in places { sizes.append(try inputs[input].shape.size(axis)) }
        for (place, input) in inputs.enumerated() {
            for (axis, size) in wanted[place].enumerated() {
                let number =
                    switch size {
                    case .number(let number): number
                    case .symbol(let symbol): sizes[symbol]
                    case .expression(let size): try size.resolved(numbers(sizes)).value()
                    }
                guard try input.shape.size(axis) == number else { throw mismatch(ports[place], input, sizes) }
            }
        }
        return sizes
    }

    func numbers(_ sizes: [Int]) -> SymbolSizes { SymbolSizes(Dictionary(uniqueKeysWithValues: zip(names, sizes))) }

    private func mismatch(_ port: (name: String, spec: TensorSpec), _ input: Tensor, _ sizes: [Int] = []) -> TensorError {
        let known = zip(names, sizes).map { "\($0) = \($1)" }.joined(separator: ", ")
        let expected = "'\(port.name)' \(port.spec.shape)" + (known.isEmpty ? "" : " with \(known)")
        return TensorError(.shape(primitive: "program", expected: expected, input.shape))
    }
}
