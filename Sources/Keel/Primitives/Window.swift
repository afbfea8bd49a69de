import KeelKernels

/// A window that slides over pictures `[n, c, h, w]` and makes `[n, k, oh, ow]`: all sizes of a convolution or a pooling.
struct Window: Hashable, Sendable {
    var n, c, h, w, k, oh, ow: Int
    var kernelHeight, kernelWidth, strideHeight, strideWidth: Int
    var top, left, bottom, right: Int
    var dilationHeight, dilationWidth, groups: Int

    var kernel: keel_window {
        keel_window(
            n: Int64(n), c: Int64(c), h: Int64(h), w: Int64(w), k: Int64(k), oh: Int64(oh), ow: Int64(ow), kernel_h: Int64(kernelHeight),
            kernel_w: Int64(kernelWidth), stride_h: Int64(strideHeight), stride_w: Int64(strideWidth), top: Int64(top), left: Int64(left),
            dilation_h: Int64(dilationHeight), dilation_w: Int64(dilationWidth), groups: Int64(groups))
    }
}

/// How a window moves: the part of a convolution or pooling that its tensors' shapes don't tell. Heights before widths.
public struct Sliding: Hashable, Sendable {
    public var stride: (height: Int, width: Int)
    public var padding: (top: Int, left: Int, bottom: Int, right: Int)
    public var dilation: (height: Int, width: Int)

    public init(stride: Int = 1, padding: Int = 0, dilation: Int = 1) {
        self.stride = (stride, stride)
        self.padding = (padding, padding, padding, padding)
        self.dilation = (dilation, dilation)
    }

    public init(
        stride: (height: Int, width: Int), padding: (top: Int, left: Int, bottom: Int, right: Int),
        dilation: (height: Int, width: Int) = (1, 1)
    ) {
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
    }

    public static func == (a: Sliding, b: Sliding) -> Bool { a.stride == b.stride && a.padding == b.padding && a.dilation == b.dilation }

    public func hash(into hasher: inout Hasher) {
        for value in [stride.height, stride.width, padding.top, padding.left, padding.bottom, padding.right, dilation.height, dilation.width] {
            hasher.combine(value)
        }
    }

    func check(_ primitive: String) throws(TensorError) {
        guard stride.height >= 1, stride.width >= 1, dilation.height >= 1, dilation.width >= 1 else {
            throw .argument(primitive: primitive, name: "stride and dilation", given: "\(stride), \(dilation)", allowed: "1 and more")
        }
        guard padding.top >= 0, padding.left >= 0, padding.bottom >= 0, padding.right >= 0 else {
            throw .argument(primitive: primitive, name: "padding", given: "\(padding)", allowed: "0 and more")
        }
        let largest = [stride.height, stride.width, dilation.height, dilation.width, padding.top, padding.left, padding.bottom, padding.right].max()
        guard let largest, largest <= Int(Int32.max) else {
            throw .argument(primitive: primitive, name: "stride, padding and dilation", given: "\(self)", allowed: "\(Int32.max) at most")
        }
    }

    /// `⌊(size + padding - dilation * (kernel - 1) - 1) / stride⌋ + 1`
    func outputSize(_ size: Dimension, kernel: Int, isHeight: Bool, _ primitive: String) throws(TensorError) -> Dimension {
        guard kernel <= Int(Int32.max) else { throw .argument(primitive: primitive, name: "kernel", given: kernel, allowed: "\(Int32.max) at most") }
        let before = isHeight ? padding.top + padding.bottom : padding.left + padding.right
        let step = isHeight ? stride.height : stride.width
        let reach = (isHeight ? dilation.height : dilation.width) * (kernel - 1) + 1
        if let number = size.number, number + before < reach {
            throw .argument(primitive: primitive, name: "window", given: "\(reach) long", allowed: "at most the padded picture's \(number + before)")
        }
        return size.offset(by: before - reach).divided(by: step).offset(by: 1)
    }

    func window(n: Int, c: Int, h: Int, w: Int, k: Int, oh: Int, ow: Int, kernel: (height: Int, width: Int), groups: Int = 1) -> Window {
        Window(
            n: n, c: c, h: h, w: w, k: k, oh: oh, ow: ow, kernelHeight: kernel.height, kernelWidth: kernel.width, strideHeight: stride.height,
            strideWidth: stride.width, top: padding.top, left: padding.left,
            // oneDNN wants the padding that the window really reaches, which is less where the stride leaves a rest.
            bottom: (oh - 1) * stride.height + (kernel.height - 1) * dilation.height + 1 - h - padding.top,
            right: (ow - 1) * stride.width + (kernel.width - 1) * dilation.width + 1 - w - padding.left,
            dilationHeight: dilation.height, dilationWidth: dilation.width, groups: groups)
    }
}
