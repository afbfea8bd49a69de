internal import Keel

extension Graph {
    /// The nodes of a run with these sizes. Where a convolution of each channel alone stands between two of positions alone, as in MobileNet and what came
    /// after it, its input and output are some times as large as what goes in and out of the three: many pictures of them pass a few at a time through
    /// all three.
    ///
    /// - Source: measured on Zen 4, 16 pictures of 112 x 112: two of the three in 8.5 ms in place of 12.6.
    func chained(_ sizes: SymbolSizes) -> [Node] {
        guard nodes.contains(where: { kind($0) == .depthwise }) else { return nodes }
        let around = Surroundings(self)
        var nodes: [Node?] = self.nodes, taken: Set<Int> = []
        for (place, middle) in self.nodes.enumerated() {
            guard kind(middle) == .depthwise, !middle.primitive.hasAddend else { continue }
            var chain = [place]
            if let first = around.own(middle.inputs[0], at: place), !taken.contains(first), kind(self.nodes[first]) == .pointwise,
                !self.nodes[first].primitive.hasAddend
            {
                chain.insert(first, at: 0)
            }
            let x = self.nodes[chain[0]].inputs[0]
            if let last = around.onlyReader(middle.outputs[0]), around.areAlike(place, last), kind(self.nodes[last]) == .pointwise,
                !self.nodes[last].primitive.hasAddend || self.nodes[last].inputs.last == x
            {
                chain.append(last)
            }
            let links = chain.map { self.nodes[$0] }
            guard links.count > 1, let pictures = picturesAtATime(links, sizes),
                let (primitive, inputs) = Fused.chain(links.map(\.primitive), inputs: links.map(\.inputs), pictures: pictures)
            else { continue }
            taken.formUnion(chain)
            for link in chain { nodes[link] = nil }
            nodes[chain[chain.count - 1]] = Node(primitive: primitive, inputs: inputs, outputs: links[links.count - 1].outputs, origin: links[0].origin)
        }
        return nodes.compactMap(\.self)
    }

    /// Of a convolution that may run later, since its weights stay the same.
    private func kind(_ node: Node) -> PlainConvolution? {
        guard node.outputs.count == 1, node.inputs.count > 1, specs[node.outputs[0]].dtype == .float32,
            node.inputs.dropFirst().dropLast(node.primitive.hasAddend ? 1 : 0).allSatisfy({ constants[$0] != nil })
        else { return nil }
        return node.primitive.plainConvolution(specs[node.inputs[1]])
    }

    /// As many pictures as have enough positions for a product; nil where all of them are no more, would stay in the caches anyway, or can't be made: the plan
    /// then says why.
    private func picturesAtATime(_ links: [Node], _ sizes: SymbolSizes) -> Int? {
        var (fewest, most, count) = (Int.max, 0, 0)
        for link in links {
            guard let shape = try? specs[link.outputs[0]].shape.resolved(sizes), let elements = try? shape.elementCount(), let sizes = shape.sizes, elements > 0
            else { return nil }
            (fewest, count) = (min(fewest, sizes[2] * sizes[3]), sizes[0])
            most = max(most, elements * DType.float32.width)
        }
        guard most >= Self.cachedBytes else { return nil }
        let pictures = max(Threads.count, (Self.positions + fewest - 1) / fewest)
        return pictures < count ? pictures : nil
    }

    // Measured on Zen 4 with EfficientNet-Lite0, 16 pictures: from 300 to 1,600 positions and from 1 to 8 MiB there is no difference that is more than noise.
    private static let positions = 784, cachedBytes = 4 << 20
}
