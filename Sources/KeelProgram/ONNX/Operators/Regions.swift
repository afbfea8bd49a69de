internal import Keel

extension Operators {
    static let regions: [Operator] = [
        Operator("RoiAlign", 10) { call in
            let x = try call.tensor(0), boxes = try call.tensor(1), pictures = try call.tensor(2).cast(to: .int64)
            let size = (height: call.int("output_height", 1), width: call.int("output_width", 1)), samples = call.int("sampling_ratio", 0)
            let isHalfPixel = call.opset >= 16 && call.string("coordinate_transformation_mode", "half_pixel") == "half_pixel"
            let scale = call.float("spatial_scale", 1)
            guard x.rank == 4, boxes.rank == 2, try boxes.size(at: 1) == 4 else { throw call.wrong("takes [n, c, h, w] and boxes [regions, 4], was given \(x.shape) and \(boxes.shape)") }
            guard (1...1 << 15).contains(size.height), (1...1 << 15).contains(size.width), (0...64).contains(samples) else { throw call.wrong("\(samples) samples in \(size)") }
            let bins = [try boxes.size(at: 0), try x.size(at: 1), size.height, size.width], side = samples == 0 ? 64 : samples
            try call.reserve(bins, x.dtype)
            try call.reserve(work: bins + [side, side])
            guard call.string("mode", "avg") == "avg" else {
                return try call.result(call.largestInRegions(x, boxes, pictures, size, scale, samples, isHalfPixel), call.kind(0))
            }
            return try call.result(
                x.regionAligned(boxes: boxes, pictures: pictures, to: size, scale: scale, samples: samples == 0 ? nil : samples, isHalfPixel: isHalfPixel),
                call.kind(0))
        },
        Operator("NonMaxSuppression", 10) { call in
            var boxes = try call.tensor(0)
            let scores = try call.tensor(1)
            guard boxes.rank == 3, scores.rank == 3, boxes.shape[-1].number == 4, boxes.shape[1] == scores.shape[2], boxes.shape[0] == scores.shape[0] else {
                throw call.wrong("boxes \(boxes.shape) and scores \(scores.shape)")
            }
            let n = try scores.size(at: 0), classes = try scores.size(at: 1), count = try scores.size(at: 2)
            let most = min(count, try call.has(2) ? call.int(2) : 0)
            guard most > 0, n > 0, classes > 0 else { return try call.ints64([], [0, 3]) }
            try call.reserve(work: [n, classes, count, most])
            if call.int("center_point_box", 0) == 1 {
                boxes = try boxes.cornersFromCentres()
            } else {
                // [y1, x1, y2, x2] of any two opposite corners.
                let a = try boxes.sliced(-1, to: 2), b = try boxes.sliced(-1, from: 2)
                let low = try a.minimum(b), high = try a.maximum(b)
                boxes = try Tensor.concatenated([low.flipped([2]), high.flipped([2])], axis: -1)
            }
            let (chosen, counts) = try boxes.nonMaximumSuppression(
                scores: scores, overlap: call.has(3) ? call.double(3) : 0, leastScore: call.has(4) ? call.double(4) : -.infinity, most: most)
            let places = try chosen.elements(Int.self), numbers = try counts.elements(Int.self)
            var rows: [Int] = []
            for row in 0..<(n * classes) {
                for i in 0..<numbers[row] { rows += [row / classes, row % classes, places[row * most + i]] }
            }
            return try call.ints64(rows, [rows.count / 3, 3])
        },
    ]
}

extension OperatorCall {
    /// Of each bin the largest product of a number and its weight in a sample, as the operator's `max` has it.
    fileprivate func largestInRegions(
        _ x: Tensor, _ boxes: Tensor, _ pictures: Tensor, _ size: (height: Int, width: Int), _ scale: Double, _ samples: Int, _ isHalfPixel: Bool
    ) throws -> Tensor {
        let sizes = try x.sizes(), (c, h, w) = (sizes[1], sizes[2], sizes[3]), regions = try boxes.size(at: 0)
        let numbers = try x.cast(to: .float64).elements(Double.self), corners = try boxes.cast(to: .float64).elements(Double.self)
        let places = try pictures.elements(Int.self)
        guard places.count == regions, places.allSatisfy({ (0..<sizes[0]).contains($0) }), h > 0, w > 0 else { throw wrong("regions of pictures that aren't there") }
        var result = [Double](repeating: 0, count: regions * c * size.height * size.width), steps = 0
        for region in 0..<regions {
            let shift = isHalfPixel ? 0.5 : 0, box = corners[(region * 4)..<(region * 4 + 4)].map { $0 * scale - shift }
            let least = isHalfPixel ? 0.0 : 1.0
            let height = max(box[3] - box[1], least) / Double(size.height), width = max(box[2] - box[0], least) / Double(size.width)
            let rows = samples > 0 ? samples : Int(min(64, max(1, height.rounded(.up)))), columns = samples > 0 ? samples : Int(min(64, max(1, width.rounded(.up))))
            for bin in 0..<(size.height * size.width) {
                try count(rows * columns * c, into: &steps)
                var best = [Double?](repeating: nil, count: c)
                for i in 0..<(rows * columns) {
                    let y = box[1] + height * (Double(bin / size.width) + (Double(i / columns) + 0.5) / Double(rows))
                    let x = box[0] + width * (Double(bin % size.width) + (Double(i % columns) + 0.5) / Double(columns))
                    let isOutside = !(y >= -1 && y <= Double(h) && x >= -1 && x <= Double(w))
                    let v = isOutside ? 0 : min(max(y, 0), Double(h - 1)), u = isOutside ? 0 : min(max(x, 0), Double(w - 1))
                    let top = Int(v), left = Int(u), bottom = min(top + 1, h - 1), right = min(left + 1, w - 1)
                    let (dy, dx) = (v - Double(top), u - Double(left))
                    for channel in 0..<c {
                        let plane = (places[region] * c + channel) * h
                        func at(_ row: Int, _ column: Int) -> Double { numbers[(plane + row) * w + column] }
                        let value = isOutside ? 0
                            : max(max(at(top, left) * (1 - dy) * (1 - dx), at(top, right) * (1 - dy) * dx), max(at(bottom, left) * dy * (1 - dx), at(bottom, right) * dy * dx))
                        best[channel] = max(best[channel] ?? value, value)
                    }
                }
                for channel in 0..<c { result[(region * c + channel) * size.height * size.width + bin] = best[channel] ?? 0 }
            }
        }
        return try Tensor(result, [regions, c, size.height, size.width]).cast(to: x.dtype)
    }
}
