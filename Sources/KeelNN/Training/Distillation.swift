public import Keel

/// What a network, the student, learns from a larger one that has been trained, the teacher: beside what is right, how likely the teacher holds
/// all else. It is a loss, which a training closure or a `Trainer` takes in one line:
///
/// ```swift
/// let distillation = Distillation(from: teacher, temperature: 4, share: 0.7)
/// let trainer = try Trainer(student, seed: 1, optimizer: { try AdamW($0, learningRate: 1e-3) }) { (net: Net, batch: Examples, context) in
///     try distillation.loss(net(batch.inputs, in: context), of: batch.inputs, labels: batch.labels)
/// }
/// ```
///
/// The teacher predicts, and nothing of what it does is recorded: it drops nothing, and its parameters and running statistics stay as they are. A
/// teacher that is called otherwise than with one tensor does so in `noGrad`, and `Tensor.distillationLoss` takes what it says.
///
/// - Source: Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network*, 2015.
public struct Distillation<Teacher: Layer>: Sendable {
    public let teacher: Teacher
    /// By what logits are divided before they are compared: the higher, the more the unlikely classes count.
    public let temperature: Double
    /// The teacher's share of the loss; the rest is that of the labels or targets.
    public let share: Double

    public init(from teacher: Teacher, temperature: Double = 2, share: Double = 0.5) {
        self.teacher = teacher
        self.temperature = temperature
        self.share = share
    }

    /// The loss of the student's logits for these inputs; see `Tensor.distillationLoss(teacher:labels:temperature:share:reduction:)`.
    public func loss(_ logits: Tensor, of inputs: Tensor, labels: Tensor?, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try logits.distillationLoss(teacher: predicted(inputs), labels: labels, temperature: temperature, share: share, reduction: reduction)
    }

    /// The loss of the student's numbers for these inputs; see `Tensor.distillationLoss(teacher:targets:share:reduction:)`.
    public func loss(_ prediction: Tensor, of inputs: Tensor, targets: Tensor?, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try prediction.distillationLoss(teacher: predicted(inputs), targets: targets, share: share, reduction: reduction)
    }

    private func predicted(_ inputs: Tensor) throws(TensorError) -> Tensor {
        try noGrad { () throws(TensorError) in try teacher(inputs.detached(), in: .prediction) }
    }
}

extension Tensor {
    /// The loss of a student that learns to classify from labels and from a teacher:
    /// `(1 - share) * crossEntropy(labels) + share * temperature² * KL(softmax(teacher / temperature) || softmax(self / temperature))`.
    ///
    /// - Shapes: self and `teacher` logits `[..., classes]`, `labels [...]` int64 or int32 → `[...]` for `.none`, else a scalar.
    /// - Parameters:
    ///   - teacher: no gradient flows to it.
    ///   - labels: nil where there are none: the loss is then the teacher's part, whatever `share` is.
    /// - Unit: nats a row. The factor `temperature²` keeps the teacher's gradients as large as the labels', whatever the temperature.
    /// - Gradient: `(1 - share) * (softmax(self) - labels) + share * temperature * (softmax(self / temperature) - softmax(teacher / temperature))`, over the
    ///   rows.
    /// - Errors: `TensorError.argument` for a temperature that isn't above 0 or a share outside 0...1; `TensorError.shape`; as `softmaxCrossEntropy`.
    /// - Source: Hinton, Vinyals and Dean, 2015, section 2.
    public func distillationLoss(
        teacher: Tensor, labels: Tensor?, temperature: Double = 2, share: Double = 0.5, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        guard temperature > 0, temperature.isFinite else {
            throw TensorError(.argument(primitive: "distillationLoss", name: "temperature", given: "\(temperature)", allowed: "above 0"))
        }
        try checkShare(share)
        let theirs = try (teacher.detached() * (1 / temperature)).logSoftmax(), own = try (self * (1 / temperature)).logSoftmax()
        let soft = try own.klDivergence(theirs, isLogarithm: true, reduction: reduction) * (temperature * temperature)
        guard let labels else { return soft }
        return try softmaxCrossEntropy(labels, reduction: reduction) * (1 - share) + soft * share
    }

    /// The loss of a student that learns numbers from targets and from a teacher:
    /// `(1 - share) * meanSquaredError(targets) + share * meanSquaredError(teacher)`.
    ///
    /// - Shapes: self, `teacher` and `targets` alike → the same for `.none`, else a scalar.
    /// - Parameters:
    ///   - teacher: no gradient flows to it.
    ///   - targets: nil where there are none: the loss is then the teacher's part, whatever `share` is.
    /// - Errors: `TensorError.argument` for a share outside 0...1; as `meanSquaredError`.
    public func distillationLoss(
        teacher: Tensor, targets: Tensor?, share: Double = 0.5, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        try checkShare(share)
        let soft = try meanSquaredError(teacher.detached(), reduction: reduction)
        guard let targets else { return soft }
        return try meanSquaredError(targets, reduction: reduction) * (1 - share) + soft * share
    }

    private func checkShare(_ share: Double) throws(TensorError) {
        guard (0...1).contains(share) else {
            throw TensorError(.argument(primitive: "distillationLoss", name: "share", given: "\(share)", allowed: "0...1"))
        }
    }
}
