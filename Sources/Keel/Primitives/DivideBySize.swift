import KeelKernels

/// `x / size`: what a mean's gradient is made of. The size may be symbolic; it is asked for when the kernel runs, so that a traced
/// program divides by what its inputs then are. By 0 it divides as by 1: there is nothing to be divided.
///
/// - Gradient: `dy / size`.
struct DivideBySize: UnaryElementwise {
    let size: Dimension

    static var function: keel_unary_op { KEEL_SCALE }
    var constants: (Double, Double) {
        guard let number = size.number else { preconditionFailure("a kernel runs when all sizes are numbers") }
        return (1 / Double(max(number, 1)), 0)
    }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> DivideBySize { DivideBySize(size: try size.resolved(sizes)) }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(self, g.outputGradient)) }
}
