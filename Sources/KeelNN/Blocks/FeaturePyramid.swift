public import Keel

/// Feature maps of several sizes, each told what the smaller ones know: 1x1 convolutions to a common width, from the smallest up the nearest
/// neighbour's upsampling added on, then a 3x3 convolution each.
///
/// - Shapes: maps `[n, channels[i], h[i], w[i]]`, from the largest to the smallest → as many, `[n, outChannels, h[i], w[i]]`.
/// - Source: Lin et al., *Feature Pyramid Networks for Object Detection*, 2017.
public struct FeaturePyramid: Module {
    public var lateral, output: [Conv2D]

    public init(_ channels: [Int], _ outChannels: Int, using generator: inout Philox) throws(TensorError) {
        (lateral, output) = ([], [])
        for width in channels {
            lateral.append(try Conv2D(width, outChannels, kernel: 1, using: &generator))
            output.append(try Conv2D(outChannels, outChannels, kernel: 3, padding: 1, using: &generator))
        }
    }

    public func callAsFunction(_ maps: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        guard maps.count == lateral.count else {
            throw TensorError(.argument(primitive: "FeaturePyramid", name: "maps", given: "\(maps.count)", allowed: "\(lateral.count)"))
        }
        var results: [Tensor] = [], above: Tensor?
        for level in maps.indices.reversed() {
            var x = try lateral[level](maps[level], in: context)
            if let above {
                let size = (try x.shape.size(2), try x.shape.size(3))
                x = try x + above.resized(to: size, .nearest(.floor), coordinates: .asymmetric)
            }
            above = x
            results.append(try output[level](x, in: context))
        }
        return results.reversed()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for level in lateral.indices { try lateral[level].forEachState(body, under: "lateral.\(level)") }
        for level in output.indices { try output[level].forEachState(body, under: "output.\(level)") }
    }
}
