internal import Keel

/// What a place outside a picture counts as.
enum Beyond {
    case zero, edge
    /// Turned back at the corners' numbers, or half a step beyond them.
    case reflection(fromCorners: Bool)
}

enum SamplingMode { case nearest, linear, cubic }

extension OperatorCall {
    /// A picture's numbers at places between them.
    ///
    /// - Shapes: `x [n, c, s...]`, `places` for each axis `[n, p]` in steps of the axis → `[n, c, p]`.
    func sampled(_ x: Tensor, at places: [Tensor], _ mode: SamplingMode, beyond: Beyond) throws -> Tensor {
        let sizes = try x.sizes(), axes = sizes.count - 2, (n, c) = (sizes[0], sizes[1])
        let count = try places[0].size(at: 1)
        guard sizes[2...].allSatisfy({ $0 > 0 }) else { throw wrong("samples a picture \(x.shape) of nothing") }
        try reserve([n, c, count], x.dtype)
        // For each axis the places' neighbours, and their weights.
        let taps = try (0..<axes).map { try neighbours(places[$0], size: sizes[2 + $0], mode, beyond, x.dtype) }
        let flat = try x.reshaped([n, c, sizes[2...].reduce(1, *)])
        var sum: Tensor?
        func add(_ axis: Int, _ place: Tensor?, _ weight: Tensor?) throws {
            guard axis < axes else {
                guard let place else { return }
                let indices = try place.withAxis(1).expanded(to: [n, c, count])
                var part = try flat.takenAlong(2, at: indices)
                if let weight { part = try part * weight.withAxis(1) }
                sum = try sum.map { try $0 + part } ?? part
                return
            }
            for tap in taps[axis] {
                let own = try place.map { try $0 * Tensor(Int64(sizes[2 + axis])) + tap.place } ?? tap.place
                try add(axis + 1, own, try weight.map { try $0 * tap.weight } ?? tap.weight)
            }
        }
        try add(0, nil, nil)
        guard let sum else { throw wrong("samples a picture without axes") }
        return sum
    }

    private func neighbours(
        _ given: Tensor, size: Int, _ mode: SamplingMode, _ beyond: Beyond, _ dtype: DType
    ) throws -> [(place: Tensor, weight: Tensor)] {
        var x = try given.cast(to: dtype)
        if mode == .nearest { x = try x.rounded() }
        x = try inside(x, size, beyond)
        let first = mode == .nearest ? x : try x.floor(), t = try x - first
        let weights: [Tensor]
        switch mode {
        case .nearest: weights = [try Tensor.ones(x.shape, dtype)]
        case .linear: weights = [try 1 - t, t]
        case .cubic:
            let a = -0.75
            func far(_ d: Tensor) throws -> Tensor { try ((d * a - 5 * a) * d + 8 * a) * d - 4 * a }
            func near(_ d: Tensor) throws -> Tensor { try (d * (a + 2) - (a + 3)) * d * d + 1 }
            weights = [try far(t + 1), try near(t), try near(1 - t), try far(2 - t)]
        }
        return try weights.enumerated().map { i, weight in
            let place = mode == .cubic ? try first + Double(i - 1) : try first + Double(i)
            let zero = try Tensor.zeros([], dtype)
            let isInside = try place.isAtLeast(zero).and(place.isAtMost(Tensor.full(Double(size - 1), [], dtype)))
            let bounded = try inside(place, size, beyond).clipped(from: 0, to: Double(size - 1))
            let counts = if case .zero = beyond { try isInside.select(weight, zero) } else { weight }
            // A place that isn't a number samples the first one.
            return (try bounded.isNaN().select(zero, bounded).cast(to: .int64), counts)
        }
    }

    private func inside(_ x: Tensor, _ size: Int, _ beyond: Beyond) throws -> Tensor {
        switch beyond {
        case .zero: return x
        case .edge: return try x.clipped(from: 0, to: Double(size - 1))
        case .reflection(let fromCorners):
            let low = fromCorners ? 0.0 : -0.5, range = fromCorners ? Double(size - 1) : Double(size)
            if range == 0 { return try x * 0 }
            let turned = try (x - low).remainder(over: Tensor.full(2 * range, [], x.dtype))
            return try (range - (turned - range).magnitude()) + low
        }
    }
}

extension Operators {
    static let pictures: [Operator] = [
        Operator("GridSample", 16) { call in
            let x = try call.tensor(0), grid = try call.tensor(1), sizes = try x.sizes(), axes = sizes.count - 2, own = try grid.sizes()
            guard axes >= 1, own.count == axes + 2, own[0] == sizes[0], own.last == axes else { throw call.wrong("a grid \(grid.shape) for \(x.shape)") }
            let fromCorners = call.flag("align_corners")
            let mode: SamplingMode
            switch call.string("mode", "linear") {
            case "linear", "bilinear": mode = .linear
            case "nearest": mode = .nearest
            case "cubic", "bicubic": mode = .cubic
            case let name: throw call.wrong("mode is '\(name)'")
            }
            let beyond: Beyond
            switch call.string("padding_mode", "zeros") {
            case "zeros": beyond = .zero
            case "border": beyond = .edge
            case "reflection": beyond = .reflection(fromCorners: fromCorners)
            case let name: throw call.wrong("padding_mode is '\(name)'")
            }
            let count = own[1...axes].reduce(1, *)
            // The last coordinate belongs to the first axis.
            let places = try (0..<axes).map { axis in
                let u = try grid.at(axes - 1 - axis, axis: -1).reshaped([own[0], count]), size = Double(sizes[2 + axis])
                return try fromCorners ? (u + 1) * ((size - 1) / 2) : ((u + 1) * size - 1) * 0.5
            }
            return try call.result(call.sampled(x, at: places, mode, beyond: beyond).reshaped(Array(sizes[..<2]) + own[1...axes]), call.kind(0))
        },
        Operator("AffineGrid", 20) { call in
            let theta = try call.tensor(0), size = try call.ints(1), axes = size.count - 2
            guard axes == 2 || axes == 3, try theta.sizes() == [size[0], axes, axes + 1], size.allSatisfy({ $0 >= 1 }) else {
                throw call.wrong("transforms \(theta.shape) for a picture of \(size)")
            }
            let sides = Array(size[2...]), count = try call.reserve(size + [axes + 1], theta.dtype).elementCount() / (size[0] * size[1] * (axes + 1))
            // The last axis' coordinate first, and 1 at the end.
            var columns: [Tensor] = []
            for axis in (0..<axes).reversed() {
                let n = sides[axis]
                let fromCorners = call.flag("align_corners")
                let along: [Double] = (0..<n).map { i in
                    if fromCorners { return n == 1 ? 0 : 2 * Double(i) / Double(n - 1) - 1 }
                    return (2 * Double(i) + 1) / Double(n) - 1
                }
                columns.append(try Tensor(along).reshaped((0..<axes).map { $0 == axis ? n : 1 }).expanded(to: Shape(checking: sides)).reshaped([count]))
            }
            columns.append(try Tensor.ones([count], .float64))
            let grid = try Tensor.stacked(columns).cast(to: theta.dtype)
            return try call.result(theta.matmul(grid).permuted([0, 2, 1]).reshaped([size[0]] + sides + [axes]), call.kind(0))
        },
        Operator("Col2Im", 18) { call in
            let x = try call.tensor(0), image = try call.ints(1), block = try call.ints(2), axes = image.count
            func each(_ name: String, _ standard: Int, _ count: Int) throws -> [Int] {
                let numbers = call.ints(name) ?? [Int](repeating: standard, count: count)
                guard numbers.count == count, numbers.allSatisfy({ (standard...Int(Int32.max)).contains($0) }) else { throw call.wrong("\(name) is \(numbers)") }
                return numbers
            }
            let stride = try each("strides", 1, axes), dilation = try each("dilations", 1, axes), pads = try each("pads", 0, 2 * axes)
            guard axes >= 1, block.count == axes, (image + block).allSatisfy({ (1...Int(Int32.max)).contains($0) }), x.rank == 3 else {
                throw call.wrong("blocks \(block) of \(x.shape) in a picture \(image)")
            }
            let output: [Int] = (0..<axes).map { axis in
                let room = image[axis] + pads[axis] + pads[axes + axis] - dilation[axis] * (block[axis] - 1) - 1
                return room < 0 ? 0 : room / stride[axis] + 1
            }
            let (window, places) = (try call.reserve(block, .int64).elementCount(), try call.reserve(output, .int64).elementCount())
            let (n, rows) = (try x.size(at: 0), try x.size(at: 1))
            guard rows % window == 0, try x.size(at: 2) == places else { throw call.wrong("\(x.shape) isn't \(places) blocks of \(block)") }
            // Where in the padded picture each number goes.
            let framed = (0..<axes).map { image[$0] + pads[$0] + pads[axes + $0] }
            try call.reserve([n, rows / window] + framed, x.dtype)
            var flat = try Tensor([Int64(0)], [])
            for axis in 0..<axes {
                var inner = [Int](repeating: 1, count: 2 * axes), outer = inner
                inner[axis] = block[axis]
                outer[axes + axis] = output[axis]
                guard 2 * axes <= Shape.maximumRank else { throw call.unsupported("blocks over \(axes) axes") }
                let along = try (Tensor.range(block[axis]) * Tensor(Int64(dilation[axis]))).reshaped(inner)
                    + (Tensor.range(output[axis]) * Tensor(Int64(stride[axis]))).reshaped(outer)
                flat = try flat * Tensor(Int64(framed[axis])) + along
            }
            let numbers = try x.reshaped([n * (rows / window), window * places]), total = framed.reduce(1, *)
            let at = try flat.reshaped([1, window * places]).expanded(to: numbers.shape)
            let sums = try Tensor.zeros([n * (rows / window), total], x.dtype).scattered(numbers, along: 1, at: at, .add)
            let whole = try sums.reshaped([n, rows / window] + framed)
            var frame: [(before: Int, after: Int)] = [(0, 0), (0, 0)]
            for axis in 0..<axes { frame.append((-pads[axis], -pads[axes + axis])) }
            return try call.result(call.padded(whole, frame, .constant(0)), call.kind(0))
        },
        Operator("Upsample", 7, until: 9) { call in
            let x = try call.tensor(0)
            let scales = try call.opset < 9 ? call.required(call.floats("scales"), "scales").map(Double.init) : call.tensor(1).cast(to: .float64).elements(Double.self)
            return [.tensor(try call.resized(x, scales: scales, sizes: nil, axes: Array(0..<x.rank), coordinates: "asymmetric", rounding: "floor"), try call.kind(0))]
        },
        Operator("Resize", 10) { call in
            let x = try call.tensor(0), kind = try call.kind(0)
            if call.opset < 11 {
                let scales = try call.tensor(1).cast(to: .float64).elements(Double.self)
                return [.tensor(try call.resized(x, scales: scales, sizes: nil, axes: Array(0..<x.rank), coordinates: "asymmetric", rounding: "floor"), kind)]
            }
            let axes = try call.ints("axes").map { try call.axes($0, rank: x.rank) } ?? Array(0..<x.rank)
            let scales = try call.has(2) && call.tensor(2).count > 0 ? call.tensor(2).cast(to: .float64).elements(Double.self) : nil
            let sizes = try scales == nil ? call.resizedSizes(x, axes) : nil
            return [
                .tensor(
                    try call.resized(
                        x, scales: scales, sizes: sizes, axes: axes, coordinates: call.string("coordinate_transformation_mode", "half_pixel"),
                        rounding: call.string("nearest_mode", "round_prefer_floor")), kind)
            ]
        },
    ]
}

extension OperatorCall {
    /// The sizes that `Resize` is told; along an axis whose size is a symbol, and is to stay, 1.
    fileprivate func resizedSizes(_ x: Tensor, _ axes: [Int]) throws -> [Int] {
        let wanted = try sizes(3)
        guard wanted.count == axes.count else { throw wrong("\(wanted.count) sizes for \(axes.count) axes") }
        return try zip(wanted, axes).map { size, axis in
            if let number = size.number { return number }
            guard size.dimension == x.shape[axis], string("keep_aspect_ratio_policy", "stretch") == "stretch" else {
                throw unsupported("axis \(axis) of \(x.shape) in another size, in a program")
            }
            return 1
        }
    }

    /// A tensor in another size along some axes, one after the other: each axis by the rule of its places, as a choice of numbers or as a
    /// product with a matrix of weights.
    fileprivate func resized(
        _ x: Tensor, scales: [Double]?, sizes: [Int]?, axes: [Int], coordinates: String, rounding: String
    ) throws -> Tensor {
        let mode = string("mode", "nearest"), kind = try kind(0)
        // A symbol is as good as 1 where it stays.
        let own = x.shape.dimensions.map { $0.number ?? 1 }
        guard ["nearest", "linear", "bilinear", "cubic"].contains(mode) else { throw wrong("mode is '\(mode)'") }
        guard (scales?.count ?? sizes?.count) == axes.count else { throw wrong("\(scales?.count ?? sizes?.count ?? 0) sizes for \(axes.count) axes") }
        for (axis, scale) in zip(axes, scales ?? []) where x.shape[axis].isSymbolic && scale != 1 {
            throw unsupported("axis \(axis) of \(x.shape) in another size, in a program")
        }
        guard sizes?.allSatisfy({ (0...ONNXLimits.axis).contains($0) }) ?? true, scales?.allSatisfy({ $0 > 0 && $0 < 0x1p31 }) ?? true else {
            throw wrong("resizes \(x.shape) by \(scales?.description ?? "") to \(sizes?.description ?? "")")
        }
        var factors = scales ?? zip(sizes ?? [], axes).map { Double($0) / Double(max(own[$1], 1)) }
        var targets = sizes ?? zip(factors, axes).map { Int(max(0, min(0x1p40, (Double(own[$1]) * $0).rounded(.down)))) }
        let policy = string("keep_aspect_ratio_policy", "stretch")
        if sizes != nil, policy != "stretch" {
            let factor = policy == "not_larger" ? factors.min() ?? 1 : factors.max() ?? 1
            factors = factors.map { _ in factor }
            targets = axes.map { Int(min((Double(own[$0]) * factor).rounded(), 0x1p40)) }
        }
        guard factors.allSatisfy({ $0 > 0 && $0.isFinite }), targets.allSatisfy({ $0 >= 0 }) else { throw wrong("scales \(factors)") }
        var full = own
        for (axis, size) in zip(axes, targets) { full[axis] = size }
        try reserve(full, x.dtype)
        if let y = try resizedPicture(x, full, axes, factors, targets, mode, coordinates) { return try kind.settled(y) }

        let regions = try coordinates == "tf_crop_and_resize" ? tensor(1).cast(to: .float64).elements(Double.self) : []
        guard regions.isEmpty || regions.count == 2 * axes.count else { throw wrong("roi holds \(regions.count) numbers for \(axes.count) axes") }
        var y = x.dtype.isFloat || mode == "nearest" ? x : try x.cast(to: .float32)
        var outside: Tensor?
        for (i, axis) in axes.enumerated() {
            let size = own[axis], target = targets[i]
            if size == target, factors[i] == 1, regions.isEmpty { continue }
            guard size > 0 else { throw wrong("resizes \(x.shape), which holds nothing") }
            let resizing = AxisResizing(
                size: size, target: target, scale: factors[i], coordinates: coordinates, start: regions.isEmpty ? 0 : regions[i],
                end: regions.isEmpty ? 1 : regions[axes.count + i])
            let places = try resizing.places(self)
            if coordinates == "tf_crop_and_resize" {
                let flags = places.map { $0 < 0 || $0 > Double(size - 1) }
                let mask = try Tensor(flags, Shape((0..<own.count).map { $0 == axis ? target : 1 }))
                outside = try outside.map { try $0.or(mask) } ?? mask
            }
            if mode == "nearest" {
                y = try y.gathered(Tensor(places.map { resizing.nearest($0, rounding) }, [target]), axis: axis)
            } else {
                try reserve([target, size], .float64)
                try reserve(work: [y.count, target])
                let weights = resizing.weights(places, isCubic: mode == "cubic", cubic: float("cubic_coeff_a", -0.75), antialias: flag("antialias"), excludesOutside: flag("exclude_outside"))
                let matrix = try Tensor(weights, [target, size]).cast(to: y.dtype)
                y = try matrix.matmul(y.transposed(axis, -1).withAxis(-1)).withoutAxis(-1).transposed(axis, -1)
            }
        }
        if let outside { y = try outside.select(Tensor.full(float("extrapolation_value", 0), [], y.dtype), y) }
        return try kind.settled(x.dtype.isFloat || mode == "nearest" ? y : y.rounded())
    }

    /// By Keel's primitive, where it says the same: linear, over the last two axes of a picture, with scales that are the sizes' ratios.
    private func resizedPicture(
        _ x: Tensor, _ full: [Int], _ axes: [Int], _ factors: [Double], _ targets: [Int], _ mode: String, _ coordinates: String
    ) throws -> Tensor? {
        let known: [String: Interpolation.Coordinates] = ["half_pixel": .halfPixel, "align_corners": .alignCorners, "asymmetric": .asymmetric]
        guard mode.hasSuffix("linear"), x.rank == 4, x.dtype.isFloat, !flag("antialias"), !flag("exclude_outside"), let rule = known[coordinates] else { return nil }
        let own = x.shape.dimensions.map { $0.number ?? 1 }
        guard full[..<2] == own[..<2], full.allSatisfy({ $0 > 0 }), own.allSatisfy({ $0 > 0 }) else { return nil }
        for (i, axis) in axes.enumerated() where abs(factors[i] * Double(own[axis]) - Double(targets[i])) > 1e-6 { return nil }
        return try x.resized(to: (full[2], full[3]), .linear, coordinates: rule)
    }
}

/// How one axis is resized.
///
/// - Source: ONNX `Resize`, opset 19, *coordinate_transformation_mode*; Keys, *Cubic Convolution Interpolation*, 1981.
private struct AxisResizing {
    let size: Int, target: Int
    let scale: Double
    let coordinates: String
    let start: Double, end: Double

    /// Where in the given axis each place of the wanted one lies.
    func places(_ call: OperatorCall) throws -> [Double] {
        let length = scale * Double(size), n = Double(size)
        return try (0..<target).map { i in
            let x = Double(i)
            switch coordinates {
            case "half_pixel": return (x + 0.5) / scale - 0.5
            case "half_pixel_symmetric": return n / 2 * (1 - Double(target) / length) + (x + 0.5) / scale - 0.5
            case "pytorch_half_pixel": return target > 1 ? (x + 0.5) / scale - 0.5 : 0
            case "align_corners": return length == 1 ? 0 : x * (n - 1) / (length - 1)
            case "asymmetric": return x / scale
            case "tf_half_pixel_for_nn": return (x + 0.5) / scale
            case "tf_crop_and_resize":
                return target > 1 ? start * (n - 1) + x * (end - start) * (n - 1) / Double(target - 1) : 0.5 * (start + end) * (n - 1)
            default: throw call.wrong("coordinate_transformation_mode is '\(coordinates)'")
            }
        }
    }

    func nearest(_ x: Double, _ rounding: String) -> Int {
        let place =
            switch rounding {
            case "floor": x.rounded(.down)
            case "ceil": x.rounded(.up)
            case "round_prefer_ceil": (x + 0.5).rounded(.down)
            default: (x - 0.5).rounded(.up)
            }
        return place.isNaN ? 0 : min(max(Int(max(-1, min(place, Double(size)))), 0), size - 1)
    }

    /// `[target, size]`: what each given number counts in each wanted one.
    func weights(_ places: [Double], isCubic: Bool, cubic a: Double, antialias: Bool, excludesOutside: Bool) -> [Double] {
        // Making smaller with antialias, the kernel is as much wider.
        let widening = antialias ? min(scale, 1) : 1, reach = (isCubic ? 2 : 1) / widening
        func kernel(_ distance: Double) -> Double {
            let d = abs(distance * widening)
            if !isCubic { return max(0, 1 - d) }
            if d <= 1 { return (a + 2) * d * d * d - (a + 3) * d * d + 1 }
            return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0
        }
        var matrix = [Double](repeating: 0, count: target * size)
        for (row, place) in places.enumerated() {
            let x = max(-1e15, min(place.isNaN ? 0 : place, 1e15))
            let first = Int((x - reach).rounded(.down)), last = Int((x + reach).rounded(.up))
            var sum = 0.0
            var taps: [(Int, Double)] = []
            for tap in max(first, -4 - Int(reach))...max(max(first, -4 - Int(reach)), min(last, size + 4 + Int(reach))) {
                let weight = kernel(Double(tap) - x)
                if weight == 0 || excludesOutside && !(0..<size).contains(tap) { continue }
                sum += weight
                taps.append((min(max(tap, 0), size - 1), weight))
            }
            if taps.isEmpty {
                // So far outside that only the edge is left.
                matrix[row * size + (x < 0 ? 0 : size - 1)] = 1
                continue
            }
            let divisor = antialias || excludesOutside ? sum : 1
            for (tap, weight) in taps { matrix[row * size + tap] += weight / divisor }
        }
        return matrix
    }
}
