// The workloads' networks for numbers and pictures, as their specification has them.
package import Keel
package import KeelNN

/// Linear, ReLU, linear, ReLU, linear.
package struct MLP: Layer {
    var first, second, head: Linear

    package init(_ features: Int, _ hidden: Int, _ classes: Int, using generator: inout Philox) throws(TensorError) {
        first = try Linear(features, hidden, using: &generator)
        second = try Linear(hidden, hidden, using: &generator)
        head = try Linear(hidden, classes, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try second(first(x, in: context).relu(), in: context).relu()
        return try head(x, in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try head.forEachState(body, under: "head")
    }
}

/// A convolution without bias, padded by half its kernel, and batch normalisation with its rectifier.
package struct NormedConv: Layer {
    var conv: Conv2D
    var norm: BatchNorm

    package init(_ from: Int, _ to: Int, _ kernel: Int, stride: Int = 1, groups: Int = 1, _ rectifier: Rectifier = .none, using generator: inout Philox) throws(TensorError) {
        conv = try Conv2D(from, to, kernel: kernel, stride: stride, padding: kernel / 2, groups: groups, hasBias: false, using: &generator)
        norm = try BatchNorm(to, rectifier: rectifier)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, adding: nil, in: context) }

    package func callAsFunction(_ x: Tensor, adding addend: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        try norm(conv(x, in: context), adding: addend, in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
    }
}

/// Two 3x3 convolutions beside a shortcut (He et al., 2016).
package struct BasicBlock: Layer {
    var first, second: NormedConv
    var shortcut: NormedConv?

    package init(_ from: Int, _ to: Int, stride: Int, using generator: inout Philox) throws(TensorError) {
        first = try NormedConv(from, to, 3, stride: stride, .relu, using: &generator)
        second = try NormedConv(to, to, 3, .relu, using: &generator)
        shortcut = stride == 1 && from == to ? nil : try NormedConv(from, to, 1, stride: stride, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try second(first(x, in: context), adding: shortcut?(x, in: context) ?? x, in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try shortcut?.forEachState(body, under: "shortcut")
    }
}

/// ResNet-18. `[n, 3, h, w]` → logits `[n, classes]`.
package struct ResNet18: Layer {
    var stem: NormedConv
    /// Whether the stem halves twice, as for large pictures.
    let isLarge: Bool
    var blocks: Sequential
    var head: Linear

    package init(_ classes: Int, isLarge: Bool, using generator: inout Philox) throws(TensorError) {
        self.isLarge = isLarge
        stem = try isLarge ? NormedConv(3, 64, 7, stride: 2, .relu, using: &generator) : NormedConv(3, 64, 3, .relu, using: &generator)
        var layers: [any Layer] = [], from = 64
        for (to, stride) in [(64, 1), (128, 2), (256, 2), (512, 2)] {
            layers.append(try BasicBlock(from, to, stride: stride, using: &generator))
            layers.append(try BasicBlock(to, to, stride: 1, using: &generator))
            from = to
        }
        blocks = Sequential(layers)
        head = try Linear(512, classes, using: &generator)
    }

    package func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try stem(images, in: context)
        if isLarge { x = try x.maxPool2D(3, stride: 2, padding: 1) }
        return try head(blocks(x, in: context).globalAveragePool2D(), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        try blocks.forEachState(body, under: "blocks")
        try head.forEachState(body, under: "head")
    }
}

/// A stem and three blocks, each twice as wide and half as high as the one before. `[n, 3, h, w]` → logits `[n, classes]`.
package struct SmallResNet: Layer {
    var stem: NormedConv
    var blocks: Sequential
    var head: Linear

    package init(_ width: Int, _ classes: Int, using generator: inout Philox) throws(TensorError) {
        stem = try NormedConv(3, width, 3, .relu, using: &generator)
        blocks = Sequential([
            try BasicBlock(width, width, stride: 1, using: &generator), try BasicBlock(width, 2 * width, stride: 2, using: &generator),
            try BasicBlock(2 * width, 4 * width, stride: 2, using: &generator),
        ])
        head = try Linear(4 * width, classes, using: &generator)
    }

    package func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try blocks(stem(images, in: context), in: context)
        return try head(x.globalAveragePool2D(), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        try blocks.forEachState(body, under: "blocks")
        try head.forEachState(body, under: "head")
    }
}

/// Expansion, depthwise convolution, projection, beside the input where the shape stays (Sandler et al., 2018).
package struct InvertedResidual: Layer {
    var expansion: NormedConv?
    var depthwise, projection: NormedConv
    let isResidual: Bool

    package init(_ from: Int, _ to: Int, expand: Int, kernel: Int, stride: Int, using generator: inout Philox) throws(TensorError) {
        let inner = from * expand
        expansion = expand == 1 ? nil : try NormedConv(from, inner, 1, .relu6, using: &generator)
        depthwise = try NormedConv(inner, inner, kernel, stride: stride, groups: inner, .relu6, using: &generator)
        projection = try NormedConv(inner, to, 1, using: &generator)
        isResidual = stride == 1 && from == to
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let inner = try expansion?(x, in: context) ?? x
        return try projection(depthwise(inner, in: context), adding: isResidual ? x : nil, in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try expansion?.forEachState(body, under: "expansion")
        try depthwise.forEachState(body, under: "depthwise")
        try projection.forEachState(body, under: "projection")
    }
}

/// EfficientNet-Lite0. `[n, 3, 224, 224]` → logits `[n, classes]`.
package struct EfficientNetLite0: Layer {
    var stem, top: NormedConv
    var blocks: Sequential
    var head: Linear

    package init(_ classes: Int, using generator: inout Philox) throws(TensorError) {
        stem = try NormedConv(3, 32, 3, stride: 2, .relu6, using: &generator)
        var layers: [any Layer] = [], from = 32
        for (expand, kernel, stride, to, count) in [
            (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
        ] {
            for i in 0..<count {
                layers.append(try InvertedResidual(from, to, expand: expand, kernel: kernel, stride: i == 0 ? stride : 1, using: &generator))
                from = to
            }
        }
        blocks = Sequential(layers)
        top = try NormedConv(from, 1280, 1, .relu6, using: &generator)
        head = try Linear(1280, classes, using: &generator)
    }

    package func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try top(blocks(stem(images, in: context), in: context), in: context)
        return try head(x.globalAveragePool2D(), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        try blocks.forEachState(body, under: "blocks")
        try top.forEachState(body, under: "top")
        try head.forEachState(body, under: "head")
    }
}

/// Two 3x3 convolutions, each with batch normalisation and ReLU.
package struct DoubleConv: Layer {
    var first, second: NormedConv

    package init(_ from: Int, _ to: Int, using generator: inout Philox) throws(TensorError) {
        first = try NormedConv(from, to, 3, .relu, using: &generator)
        second = try NormedConv(to, to, 3, .relu, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try second(first(x, in: context), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}

/// U-Net with batch normalisation (after Ronneberger et al., 2015). `[n, 3, h, w]`, sides multiples of 16 → logits `[n, classes, h, w]`.
package struct UNet: Layer {
    var down: [DoubleConv]
    var bottom: DoubleConv
    var up: [ConvTranspose2D]
    var join: [DoubleConv]
    var head: Conv2D

    package init(base: Int, _ classes: Int, using generator: inout Philox) throws(TensorError) {
        let widths = (0..<5).map { base << $0 }
        down = []
        up = []
        join = []
        for (from, to) in zip([3] + widths, widths.dropLast()) { down.append(try DoubleConv(from, to, using: &generator)) }
        bottom = try DoubleConv(widths[3], widths[4], using: &generator)
        for level in (0..<4).reversed() {
            up.append(try ConvTranspose2D(widths[level + 1], widths[level], kernel: 2, stride: 2, using: &generator))
            join.append(try DoubleConv(2 * widths[level], widths[level], using: &generator))
        }
        head = try Conv2D(base, classes, kernel: 1, using: &generator)
    }

    package func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = images, skips: [Tensor] = []
        for block in down {
            skips.append(try block(x, in: context))
            x = try skips[skips.count - 1].maxPool2D(2)
        }
        x = try bottom(x, in: context)
        for (skip, (up, join)) in zip(skips.reversed(), zip(up, join)) {
            x = try join(Tensor.concatenated([skip, up(x, in: context)], axis: 1), in: context)
        }
        return try head(x, in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for level in down.indices { try down[level].forEachState(body, under: "down.\(level)") }
        try bottom.forEachState(body, under: "bottom")
        for level in up.indices {
            try up[level].forEachState(body, under: "up.\(level)")
            try join[level].forEachState(body, under: "join.\(level)")
        }
        try head.forEachState(body, under: "head")
    }
}
