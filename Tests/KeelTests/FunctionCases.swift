import Keel

/// Rows of functions of numbers, and of what sums them up.
let functionCases: [PrimitiveCase] = [
    .unary(["Expm1"]) { try $0.expm1() },
    .unary(["Log1p"], range: -0.8...4) { try $0.log1p() },
    .unary(["Sin", "Cos"]) { try $0.sine() },
    .unary(["Cos", "Sin"]) { try $0.cosine() },
    .unary(["Sinh", "Cosh"]) { try $0.hyperbolicSine() },
    .unary(["Cosh", "Sinh"]) { try $0.hyperbolicCosine() },
    .unary(["Floor"]) { try $0.floor() },
    .unary(["Ceil"]) { try $0.ceil() },
    .unary(["Round"]) { try $0.rounded() },
    .unary(["Truncate"]) { try $0.truncated() },
    .binary(["Arctangent2"], range: 0.3...2) { try $0.arctangent(over: $1) + $0.arctangent(over: $1.negated()) },
    .binary(["Mod"], range: 0.5...2) { try $0.remainder(over: $1) + $0.remainder(over: $1.negated()) },
    PrimitiveCase(names: ["CumulativeExtreme"], shapes: [[[2, 7, 3]], [[1, 1, 1]], [[2, 0, 3]], [[5, 40, 70]]]) {
        try $0[0].cumulativeMax(1).values + $0[0].cumulativeMin(1).values * 2 + $0[0].cumulativeMax(-1).values
    },
]
