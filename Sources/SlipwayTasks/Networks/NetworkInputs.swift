internal import Foundation
internal import Keel
internal import KeelData
internal import KeelModels
internal import KeelNN
internal import SlipwayDomain

/// How a network's part of a model turns what a call brings into a tensor: the same code in training and serving.
enum NetworkInput: Codable, Sendable, Hashable {
    /// Rows through the part's encoder.
    case rows(TableEncoder, waves: Int)
    /// Pictures as planes.
    case planes(PicturePreparation)
    /// Counted edges and colours, moved to mean 0 and deviation 1.
    case features(PicturePreparation, PictureFeatures.Scale)
    /// What a pretrained network sees, moved to mean 0 and deviation 1.
    case encoded(PicturePreparation, PictureFeatures.Scale)

    /// How a pretrained network wants its pictures: resized as a whole, so that nothing of a thing that fills its picture is lost.
    static let encoderPreparation = PicturePreparation(
        width: PictureEncoder.side, height: PictureEncoder.side, fit: .stretch, scaling: EfficientNetLite.scaling)

    var preparation: PicturePreparation? {
        switch self {
        case .rows: nil
        case .planes(let preparation), .features(let preparation, _), .encoded(let preparation, _): preparation
        }
    }

    /// The encoder of rows.
    var table: TableEncoder? {
        if case .rows(let encoder, _) = self { encoder } else { nil }
    }

    /// The shape of one item's input.
    var sizes: [Int] {
        switch self {
        case .rows(let encoder, let waves): [encoder.networkWidth(waves: waves)]
        case .planes(let preparation): [3, preparation.height, preparation.width]
        case .features(_, let scale), .encoded(_, let scale): [scale.mean.count]
        }
    }

    /// Whether a stranger's input stays within a table of so many columns, and its scale fits what it scales.
    func isSound(columns count: Int) -> Bool {
        switch self {
        case .rows(let encoder, let waves): (0...1024).contains(waves) && encoder.isSound(columns: count)
        case .planes(let preparation): Self.isSound(preparation)
        case .features(let preparation, let scale): Self.isSound(preparation) && scale.isSound(width: PictureFeatures.width(preparation))
        case .encoded(let preparation, let scale): Self.isSound(preparation) && scale.isSound(width: PictureEncoder.width)
        }
    }

    private static func isSound(_ preparation: PicturePreparation) -> Bool {
        let scaling = preparation.scaling
        return (1...4096).contains(preparation.width) && (1...4096).contains(preparation.height)
            && scaling.mean.count == 3 && scaling.deviation.count == 3 && !scaling.deviation.contains(0)
    }

    /// - Parameter encoder: of a model that has one.
    func values(_ inputs: ModelInputs, encoder: PictureEncoder?) throws -> [Float] {
        switch self {
        case .rows(let encoder, let waves): return encoder.networkMatrix(inputs.rows, waves: waves)
        case .planes(let preparation): return Self.planes(inputs.pictures[preparation] ?? [], preparation)
        case .features(let preparation, let scale):
            return (inputs.pictures[preparation] ?? []).flatMap { scale.scaled(PictureFeatures.of($0)) }
        case .encoded(let preparation, let scale):
            guard let encoder else { preconditionFailure("a model with encoded pictures has its encoder") }
            return try encoder.rows(of: inputs.pictures[preparation] ?? []).flatMap(scale.scaled)
        }
    }

    static func planes(_ pictures: [Picture], _ preparation: PicturePreparation) -> [Float] {
        let count = preparation.count
        return [Float](unsafeUninitializedCapacity: count * pictures.count) { buffer, initialized in
            for (index, picture) in pictures.enumerated() {
                picture.write(
                    preparation.scaling, to: UnsafeMutableBufferPointer(rebasing: buffer[index * count..<(index + 1) * count]))
            }
            initialized = count * pictures.count
        }
    }
}

extension PictureEncoder {
    /// What each picture gives.
    func rows(of pictures: [Picture]) throws -> [[Float]] {
        let numbers = try features(of: pictures).elements()
        return pictures.indices.map { Array(numbers[$0 * Self.width..<($0 + 1) * Self.width]) }
    }
}

/// Features of a picture that need no learning: histograms of oriented gradients in overlapping blocks, a histogram of
/// colours, and mean colours in a coarse grid.
///
/// - Source: Dalal and Triggs, "Histograms of oriented gradients for human detection", 2005.
enum PictureFeatures {
    struct Scale: Codable, Sendable, Hashable {
        var mean: [Float]
        var deviation: [Float]

        init(_ rows: [[Float]]) {
            let width = rows.first?.count ?? 0
            var (sum, squares) = ([Double](repeating: 0, count: width), [Double](repeating: 0, count: width))
            for row in rows {
                for at in 0..<width {
                    sum[at] += Double(row[at])
                    squares[at] += Double(row[at]) * Double(row[at])
                }
            }
            let count = Double(max(rows.count, 1))
            mean = sum.map { Float($0 / count) }
            deviation = (0..<width).map { at in
                let variance = squares[at] / count - (sum[at] / count) * (sum[at] / count)
                return variance > 1e-8 ? Float(variance.squareRoot()) : 1
            }
        }

        func isSound(width: Int) -> Bool { mean.count == width && deviation.count == width }

        func scaled(_ row: [Float]) -> [Float] {
            row.indices.map { min(max((row[$0] - mean[$0]) / deviation[$0], -5), 5) }
        }
    }

    static let orientations = 9, cell = 8, grid = 4, shades = 4

    /// How many pictures of this preparation have.
    static func width(_ preparation: PicturePreparation) -> Int {
        let (_, across, down) = cells(preparation.width, preparation.height)
        return max(down - 1, 0) * max(across - 1, 0) * 4 * orientations + shades * shades * shades + grid * grid * 3
    }

    /// How long a cell's side is, and how many of them lie across and down.
    private static func cells(_ width: Int, _ height: Int) -> (side: Int, across: Int, down: Int) {
        let side = min(cell, max(width / 4, 2))
        return (side, width / side, height / side)
    }

    static func of(_ picture: Picture) -> [Float] {
        let (width, height) = (picture.width, picture.height)
        let (side, across, down) = cells(width, height)
        var cells = [Float](repeating: 0, count: across * down * orientations)
        var histogram = [Float](repeating: 0, count: shades * shades * shades)
        var coarse = [Float](repeating: 0, count: grid * grid * 3)
        let share = 1 / Float(width * height)
        picture.pixels.withUnsafeBufferPointer { pixels in
            func grey(_ x: Int, _ y: Int) -> Float {
                let at = 3 * (y * width + x)
                return (0.299 * Float(pixels[at]) + 0.587 * Float(pixels[at + 1]) + 0.114 * Float(pixels[at + 2])) / 255
            }
            for y in 0..<height {
                for x in 0..<width {
                    let at = 3 * (y * width + x)
                    let (r, g, b) = (Int(pixels[at]), Int(pixels[at + 1]), Int(pixels[at + 2]))
                    histogram[((r * shades / 256) * shades + g * shades / 256) * shades + b * shades / 256] += share
                    let part = ((y * grid / height) * grid + x * grid / width) * 3
                    let weight = share * Float(grid * grid) / 255
                    coarse[part] += weight * Float(r)
                    coarse[part + 1] += weight * Float(g)
                    coarse[part + 2] += weight * Float(b)
                    let (column, row) = (x / side, y / side)
                    guard column < across, row < down else { continue }
                    let dx = grey(min(x + 1, width - 1), y) - grey(max(x - 1, 0), y)
                    let dy = grey(x, min(y + 1, height - 1)) - grey(x, max(y - 1, 0))
                    let strength = (dx * dx + dy * dy).squareRoot()
                    guard strength > 1e-4 else { continue }
                    // Unsigned orientation, shared between the two nearest bins.
                    var turn = atan2f(dy, dx) / .pi
                    if turn < 0 { turn += 1 }
                    let position = turn * Float(orientations)
                    let low = Int(position) % orientations
                    let rest = position - Float(Int(position))
                    let start = (row * across + column) * orientations
                    cells[start + low] += strength * (1 - rest)
                    cells[start + (low + 1) % orientations] += strength * rest
                }
            }
        }
        var result: [Float] = []
        for row in 0..<max(down - 1, 0) {
            for column in 0..<max(across - 1, 0) {
                var block: [Float] = []
                for (y, x) in [(row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)] {
                    let start = (y * across + x) * orientations
                    block += cells[start..<start + orientations]
                }
                let norm = (block.reduce(0) { $0 + $1 * $1 } + 0.01).squareRoot()
                result += block.map { min($0 / norm, 0.3) }
            }
        }
        return result + histogram.map { $0.squareRoot() } + coarse
    }
}

/// How many items go through a network at once where nothing is learned from them.
package enum PredictionBatch {
    /// Of input; what is computed of it takes a multiple. 64 pictures of 224 pixels square take a little less.
    package static let mostBytes = 40 << 20

    /// - Parameter numbers: of one item's input.
    package static func count(of numbers: Int) -> Int {
        max(min(numbers > 4096 ? 64 : 1024, mostBytes / (4 * max(numbers, 1))), 1)
    }
}

/// A trained network, ready to predict.
struct NetworkScorer: Scorer {
    let network: any Layer
    let input: NetworkInput
    let link: Link
    /// What pictures go through first, where the input is encoded; all members of a part share it.
    var encoder: PictureEncoder?

    func predictions(_ inputs: ModelInputs) throws -> Predictions {
        Predictions(width: link.width, values: link.answers(try margins(of: input.values(inputs, encoder: encoder))))
    }

    /// Raw outputs of prepared inputs, in batches that bound memory.
    func margins(of values: [Float]) throws -> [Float] {
        let one = input.sizes.reduce(1, *)
        let count = one > 0 ? values.count / one : 0
        var result: [Float] = []
        let batch = PredictionBatch.count(of: one)
        for start in stride(from: 0, to: count, by: batch) {
            let end = min(start + batch, count)
            let x = try Tensor(Array(values[start * one..<end * one]), Shape([end - start] + input.sizes))
            result += try noGrad { () throws(TensorError) in try network(x, in: .prediction).elements(Float.self) }
        }
        return result
    }
}
