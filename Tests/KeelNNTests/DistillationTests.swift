import Foundation
import Keel
import KeelNN
import Testing

private struct Net: Layer {
    var hidden, head: Linear
    var norm: BatchNorm

    init(_ width: Int, seed: UInt64) throws(TensorError) {
        var generator = Philox(seed: seed)
        hidden = try Linear(2, width, using: &generator)
        norm = try BatchNorm(width)
        head = try Linear(width, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(context.dropped(norm(hidden(x, in: context), in: context).relu(), rate: 0.1), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try hidden.forEachState(body, under: "hidden")
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

private func bits(_ net: some Module) throws -> [[UInt32]] { try net.state().map { try $0.tensor.elements().map(\.bitPattern) } }

/// Points of the plane and which of three bent sectors they lie in; of some labels, every `wrong`-th is another one.
private func points(_ count: Int, seed: UInt64, wrong: Int = .max) throws -> (x: Tensor, labels: Tensor) {
    var generator = Philox(seed: seed)
    let x = try Tensor.normal([count, 2], using: &generator), numbers = try x.elements()
    let labels = (0..<count).map { item -> Int64 in
        let (a, b) = (numbers[2 * item], numbers[2 * item + 1])
        let right: Int64 = a * a > 1.2 * b + 0.6 ? 0 : b > 0.4 * a ? 1 : 2
        return (item + 1) % wrong == 0 ? (right + 1) % 3 : right
    }
    return (x, try Tensor(labels))
}

private func trained(
    _ net: Net, _ data: (x: Tensor, labels: Tensor), epochs: Int, loss: @escaping (Tensor, Tensor, Tensor) throws -> Tensor
) throws -> Net {
    let trainer = try Trainer(net, seed: 3, optimizer: { try AdamW($0, learningRate: 0.01) }) { (net: Net, batch: [Tensor], context) in
        try loss(net(batch[0], in: context), batch[0], batch[1])
    }
    var batches = try TensorBatches(data.x, data.labels, batchSize: 32, shuffledBy: 2)
    try trainer.train(on: &batches, epochs: epochs)
    return trainer.network
}

/// Of 96 points every second has a wrong label, which a student alone can't tell from a right one; a teacher that saw many right ones can.
@Test func aStudentLearnsMoreWithATeacherThanWithout() throws {
    let teacher = try trained(Net(32, seed: 1), points(1024, seed: 10), epochs: 15) { logits, _, labels in try logits.softmaxCrossEntropy(labels) }
    let before = try bits(teacher), few = try points(96, seed: 11, wrong: 2), unseen = try points(512, seed: 12)
    let alone = try trained(Net(16, seed: 2), few, epochs: 120) { logits, _, labels in try logits.softmaxCrossEntropy(labels) }
    let distillation = Distillation(from: teacher, temperature: 2, share: 0.9)
    let student = try trained(Net(16, seed: 2), few, epochs: 120) { logits, x, labels in try distillation.loss(logits, of: x, labels: labels) }
    #expect(try bits(teacher) == before)

    func judged(_ net: Net) throws -> (accuracy: Double, distance: Float) {
        let logits = try net(unseen.x, in: .prediction)
        let distance = try logits.logSoftmax().klDivergence(teacher(unseen.x, in: .prediction).softmax()).item()
        return (try Accuracy().value(of: logits, unseen.labels), distance)
    }
    let without = try judged(alone), with = try judged(student)
    #expect(with.accuracy > without.accuracy + 0.15, "\(with) \(without)")
    #expect(with.distance < 0.5 * without.distance, "\(with) \(without)")
}

/// Its parameters could be trained, too, and its running statistics would move in training: neither happens.
@Test func theTeacherStaysAsItIsAndTakesNoGradient() throws {
    var teacher = try Net(8, seed: 1), student = try Net(4, seed: 2)
    let theirs = try ParameterStore(&teacher), own = try ParameterStore(&student), before = try bits(teacher)
    let data = try points(20, seed: 4), distillation = Distillation(from: teacher, share: 0.5), context = try Context.training(seed: 1, step: 0)
    try distillation.loss(student(data.x, in: context), of: data.x, labels: data.labels).backward()
    #expect(try bits(teacher) == before)
    #expect(try theirs.gradients.elements().allSatisfy { $0 == 0 })
    #expect(try own.gradientNorm().item() > 0)
    // What a teacher was called with a tape for flows nowhere either.
    try student(data.x, in: context).distillationLoss(teacher: teacher(data.x, in: .prediction), labels: nil).backward()
    #expect(try theirs.gradients.elements().allSatisfy { $0 == 0 })
}

/// In float64: differences of 1e-5 are exact to about 1e-10 of the loss.
@Test(arguments: [1.0, 3], [0, 0.3, 1])
func theGradientOfDistillationIsThatOfItsNumbers(temperature: Double, share: Double) throws {
    var generator = Philox(seed: 5)
    let logits = try Tensor.normal([4, 3], using: &generator).cast(to: .float64), teacher = try Tensor.normal([4, 3], using: &generator).cast(to: .float64)
    let labels = try Tensor([Int64(0), 2, 1, 1]), targets = try Tensor.normal([4, 3], using: &generator).cast(to: .float64)
    let losses: [(Tensor) throws -> Tensor] = [
        { try $0.distillationLoss(teacher: teacher, labels: labels, temperature: temperature, share: share) },
        { try $0.distillationLoss(teacher: teacher, labels: nil, temperature: temperature, share: share) },
        { try $0.distillationLoss(teacher: teacher, targets: targets, share: share) },
    ]
    for loss in losses {
        let variable = logits.requiringGradient(), found = try loss(variable).gradients(of: [variable])[0].elements(Double.self)
        let numbers = try logits.elements(Double.self)
        for place in numbers.indices {
            func moved(by step: Double) throws -> Double {
                var other = numbers
                other[place] += step
                return try loss(Tensor(other, [4, 3])).item(Double.self)
            }
            #expect(try abs(found[place] - (moved(by: 1e-5) - moved(by: -1e-5)) / 2e-5) < 1e-8)
        }
    }
}

/// By hand: two classes, logits 2 and 0, a teacher's 0 and 2, temperature 2.
@Test func distillationIsCrossEntropyAndDivergence() throws {
    func probability(_ logit: Double) -> Double { 1 / (1 + exp(-logit)) }
    let logits = try Tensor([Float(2), 0], [1, 2]), teacher = try Tensor([Float(0), 2], [1, 2]), labels = try Tensor([Int64(0)])
    let hard = -log(probability(2)), p = probability(1)
    let soft = 4 * ((1 - p) * log((1 - p) / p) + p * log(p / (1 - p)))
    func loss(_ share: Double, _ labels: Tensor?) throws -> Double { Double(try logits.distillationLoss(teacher: teacher, labels: labels, share: share).item()) }
    #expect(try abs(loss(0.25, labels) - (0.75 * hard + 0.25 * soft)) < 1e-6)
    #expect(try abs(loss(0.25, nil) - soft) < 1e-6)
    #expect(try abs(loss(0, labels) - hard) < 1e-6)
    let each = try Tensor.concatenated([logits, teacher]).distillationLoss(
        teacher: Tensor.concatenated([teacher, teacher]), labels: Tensor([Int64(0), 1]), share: 1, reduction: .none)
    #expect(try each.shape == [2] && abs(each.elements()[1]) < 1e-6)
    let numbers = try logits.distillationLoss(teacher: teacher, targets: Tensor([Float(2), 1], [1, 2]), share: 0.25)
    #expect(try numbers.item() == 0.75 * 0.5 + 0.25 * 4)
}

@Test func distillationRefusesWhatMakesNoLoss() throws {
    let logits = try Tensor.zeros([2, 3]), labels = try Tensor([Int64(0), 1])
    #expect(throws: TensorError(.argument(primitive: "distillationLoss", name: "temperature", given: "0.0", allowed: "above 0"))) {
        try logits.distillationLoss(teacher: logits, labels: labels, temperature: 0)
    }
    #expect(throws: TensorError(.argument(primitive: "distillationLoss", name: "share", given: "1.5", allowed: "0...1"))) {
        try logits.distillationLoss(teacher: logits, labels: labels, share: 1.5)
    }
    #expect(throws: TensorError.self) { try logits.distillationLoss(teacher: Tensor.zeros([2, 4]), labels: labels) }
}
