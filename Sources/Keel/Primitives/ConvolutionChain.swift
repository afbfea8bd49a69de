/// Convolutions one after the other, a few pictures at a time: what lies between two of them stays in the processor's caches, where all pictures'
/// would go through memory. Plans make it of convolutions whose results nothing else reads.
///
/// - Shapes: `x [n, c, h, w]`, then for each link its weights and, if it has one, its bias → what the last link makes. A link with an addend adds `x`.
/// - Gradient: none.
/// - Source: Alwani et al., *Fused-Layer CNN Accelerators*, 2016, by pictures in place of tiles.
struct ConvolutionChain: Primitive {
    struct Link: Hashable {
        let convolution: RectifiedConv2D
        let hasBias: Bool
    }

    let links: [Link]
    /// How many at a time.
    let pictures: Int
    static var makesBlocked: Bool { true }
    static var takesBlocked: Bool { true }

    /// For each link the places of its inputs; the first one is what the link before made, or `x`.
    private var operands: [[Int]] {
        var next = 1
        return links.map { link in
            let count = link.hasBias ? 2 : 1
            defer { next += count }
            return Array(next..<next + count) + (link.convolution.hasAddend ? [0] : [])
        }
    }

    /// What each link makes of a picture like this one.
    private func specs(_ picture: TensorSpec, _ inputs: SpecList) throws(TensorError) -> [TensorSpec] {
        var specs: [TensorSpec] = [], picture = picture
        let x = picture
        for (link, places) in zip(links, operands) {
            picture = try link.convolution.outputs(SpecList([picture] + places.map { $0 == 0 ? x : inputs[$0] }))[0]
            specs.append(picture)
        }
        return specs
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(Array(try specs(inputs[0], inputs).suffix(1))) }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        guard inputs[0].dtype == .float32, inputs[0].storage.place.isCPU, inputs[0].count > 0 else { return .strided }
        return (try? parts(inputs))?.layouts.last ?? .strided
    }

    /// What the links make of as many pictures as are taken at a time, and how it lies.
    private func parts(_ inputs: Operands) throws(TensorError) -> (specs: [TensorSpec], layouts: [Layout]) {
        var part = inputs[0].spec, layouts: [Layout] = []
        part.shape[0] = Dimension(min(pictures, inputs[0].size(0)))
        let specs = try specs(part, SpecList(of: inputs))
        var before = part
        for (link, (places, made)) in zip(links, zip(operands, specs)) {
            let own = [try Tensor.placeholder(before)] + places.map { inputs[$0] }
            layouts.append(link.convolution.layout(Operands(own), output: made))
            before = made
        }
        return (specs, layouts)
    }

    static var kernels: Kernels<ConvolutionChain> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var picture = inputs[0]
                let specs = try p.specs(picture.spec, SpecList(of: inputs))
                for (place, (link, places)) in zip(p.links, p.operands).enumerated() {
                    let made = place == p.links.count - 1 ? outputs[0] : try Tensor(undefined: specs[place], on: CPU.shared)
                    try RectifiedConv2D.kernels.reference(link.convolution, Operands([picture] + places.map { inputs[$0] }), Operands(made))
                    picture = made
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard outputs[0].dtype == .float32, outputs[0].count > 0, inputs[0].count > 0 else { return false }
                try p.compute(inputs, outputs[0])
                return true
            })
    }

    private func compute(_ inputs: Operands, _ y: Tensor) throws(TensorError) {
        guard let convolve = RectifiedConv2D.kernels.cpu else { preconditionFailure("a convolution has a fast kernel") }
        let x = try inputs[0].forOneDNN(), operands = operands, (specs, layouts) = try parts(inputs)
        // One memory for each link's pictures, whichever they are.
        var between: [Tensor] = []
        for (spec, layout) in zip(specs, layouts).dropLast() { between.append(try makeTensor(spec, layout, on: .cpu)) }
        for start in stride(from: 0, to: x.size(0), by: pictures) {
            let count = min(pictures, x.size(0) - start), own = x.pictures(start, count)
            var picture = own
            for (place, link) in links.enumerated() {
                let made = place == links.count - 1 ? y.pictures(start, count) : between[place].pictures(0, count)
                let others = operands[place].map { $0 == 0 ? own : inputs[$0] }
                guard try convolve(link.convolution, Operands([picture] + others), Operands(made)) else { preconditionFailure("it takes float32") }
                picture = made
            }
        }
        withExtendedLifetime((x, between)) {}
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        var picture = inputs[0]
        for (link, places) in zip(links, operands) { picture = try apply(link.convolution, [picture] + places.map { inputs[$0] }) }
        return [picture]
    }
}

extension Tensor {
    /// Some of these pictures, which lie dense or in blocks.
    fileprivate func pictures(_ start: Int, _ count: Int) -> Tensor {
        guard count < size(0) else { return self }
        var part = spec
        part.shape[0] = Dimension(count)
        let descriptor = Descriptor(part, layout, count: self.count / size(0) * count)
        let start = bytes + descriptor.storageBytes / count * start
        return Tensor(Storage(borrowing: start, from: storage, on: CPU.shared), descriptor)
    }
}

extension Tensor {
    /// Convolutions one after the other in one step, the last of which adds this tensor if `addsInput`; it has no gradient.
    package func convolutionChain(
        _ layers: [(weight: Tensor, bias: Tensor?, sliding: Sliding, groups: Int, rectifier: Rectifier)], addsInput: Bool, pictures: Int
    ) throws(TensorError) -> Tensor {
        let links = layers.enumerated().map { place, layer in
            ConvolutionChain.Link(
                convolution: RectifiedConv2D(
                    convolution: Conv2D(sliding: layer.sliding, groups: layer.groups), hasAddend: addsInput && place == layers.count - 1, rectifier: layer.rectifier),
                hasBias: layer.bias != nil)
        }
        return try apply(ConvolutionChain(links: links, pictures: pictures), [self] + layers.flatMap { [$0.weight, $0.bias].compactMap(\.self) })
    }
}

// What plans know of it.

/// A convolution of which each number is made of one position of the picture, or of one channel.
package enum PlainConvolution { case pointwise, depthwise }

extension Primitive {
    /// Nil of what is no such convolution.
    package func plainConvolution(_ weight: TensorSpec) -> PlainConvolution? {
        guard let convolution = self as? Conv2D ?? (self as? RectifiedConv2D)?.convolution, let sizes = weight.shape.sizes, sizes.count == 4 else { return nil }
        if convolution.groups > 1 { return sizes[1] == 1 && sizes[0] == convolution.groups ? .depthwise : nil }
        return sizes[2] == 1 && sizes[3] == 1 && convolution.sliding == Sliding() ? .pointwise : nil
    }

    /// Whether it adds its last input.
    package var hasAddend: Bool { (self as? RectifiedConv2D)?.hasAddend ?? false }
}

extension Fused {
    /// Convolutions, each of what the one before makes.
    ///
    /// - Parameter inputs: of each; an addend is what the first one reads.
    package static func chain(_ convolutions: [any Primitive], inputs: [[Int]], pictures: Int) -> (primitive: any Primitive, inputs: [Int])? {
        var links: [ConvolutionChain.Link] = [], all = [inputs[0][0]]
        for (primitive, inputs) in zip(convolutions, inputs) {
            guard let link = primitive as? RectifiedConv2D ?? (primitive as? Conv2D).map({ RectifiedConv2D(convolution: $0, hasAddend: false, rectifier: .none) })
            else { return nil }
            let own = inputs.dropFirst().dropLast(link.hasAddend ? 1 : 0)
            links.append(ConvolutionChain.Link(convolution: link, hasBias: own.count > 1))
            all += own
        }
        return (ConvolutionChain(links: links, pictures: pictures), all)
    }
}
