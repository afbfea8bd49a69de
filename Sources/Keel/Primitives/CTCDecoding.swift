import KeelKernels

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A labelling that a decoder found for a sequence.
public struct CTCHypothesis: Hashable, Sendable {
    public let labels: [Int]
    /// In nats: that of the alignments which the decoder added up.
    public let logProbability: Double
}

extension Tensor {
    /// The labelling of the likeliest alignment of each sequence: the best class at every step, repeats merged, blanks dropped.
    ///
    /// - Shapes: self `[batch, time, classes]` log-probabilities; `lengths [batch]` int64, all steps if nil.
    /// - Errors: `TensorError.rank`, `.shape`, `.dtype`; `.argument` for lengths or a blank out of range.
    /// - Source: Graves et al., 2006, section 3.2.
    public func ctcGreedyDecoded(lengths: Tensor? = nil, blank: Int = 0) throws(TensorError) -> [CTCHypothesis] {
        try ctcSequences(lengths, blank, "ctcGreedyDecoded").map { $0.bestPath() }
    }

    /// The likeliest labellings of each sequence, best first, by prefix beam search: alignments of one labelling are added up, and the
    /// `width` likeliest beginnings are followed. Sequences are shared among the threads.
    ///
    /// - Shapes: self `[batch, time, classes]` log-probabilities; `lengths [batch]` int64, all steps if nil.
    /// - Errors: `TensorError.rank`, `.shape`, `.dtype`; `.argument` for lengths, a blank or a width out of range.
    /// - Source: Hannun et al., *First-pass large vocabulary continuous speech recognition*, 2014, without a language model.
    public func ctcBeamDecoded(width: Int = 16, lengths: Tensor? = nil, blank: Int = 0) throws(TensorError) -> [[CTCHypothesis]] {
        guard width >= 1 else { throw .argument(primitive: "ctcBeamDecoded", name: "width", given: width, allowed: "1 and more") }
        let sequences = try ctcSequences(lengths, blank, "ctcBeamDecoded")
        let found = UnsafeMutableBufferPointer<[CTCHypothesis]>.allocate(capacity: sequences.count)
        defer { found.deallocate() }
        var job = (sequences: sequences, width: width, found: found)
        withUnsafeMutablePointer(to: &job) { pointer in
            keel_parallel(
                Int64(sequences.count), 1,
                { context, begin, end in
                    guard let context else { return }
                    let job = context.assumingMemoryBound(to: (sequences: [CTCSequence], width: Int, found: UnsafeMutableBufferPointer<[CTCHypothesis]>).self)
                    for i in Int(begin)..<Int(end) {
                        job.pointee.found.initializeElement(at: i, to: job.pointee.sequences[i].beam(width: job.pointee.width))
                    }
                }, pointer)
        }
        defer { found.deinitialize() }
        return Array(found)
    }

    private func ctcSequences(_ lengths: Tensor?, _ blank: Int, _ name: String) throws(TensorError) -> [CTCSequence] {
        guard rank == 3 else { throw .rank(primitive: name, expected: "log-probabilities [batch, time, classes]", shape) }
        let (batch, time, classes) = (try shape.size(0), try shape.size(1), try shape.size(2))
        guard (0..<classes).contains(blank) else { throw .argument(primitive: name, name: "blank", given: blank, allowed: "0..<\(classes)") }
        if let lengths, lengths.shape != Shape([batch]) { throw .shape(primitive: name, expected: "lengths [\(batch)]", lengths.shape) }
        let ends = try lengths?.elements(Int64.self) ?? [Int64](repeating: Int64(time), count: batch)
        let numbers = try cast(to: .float64).elements(Double.self)
        var sequences: [CTCSequence] = []
        for (row, length) in ends.enumerated() {
            guard (0...time).contains(Int(length)) else { throw .argument(primitive: name, name: "length", given: length, allowed: "0...\(time)") }
            let first = row * time * classes
            sequences.append(CTCSequence(numbers: numbers[first..<(first + Int(length) * classes)], classes: classes, blank: blank))
        }
        return sequences
    }
}

/// The log-probabilities of one sequence, `[time, classes]`.
private struct CTCSequence: Sendable {
    let numbers: ArraySlice<Double>
    let classes, blank: Int

    private var steps: StrideTo<Int> { stride(from: numbers.startIndex, to: numbers.endIndex, by: classes) }

    func bestPath() -> CTCHypothesis {
        var labels: [Int] = [], last = blank, sum = 0.0
        for start in steps {
            var best = 0
            for c in 1..<max(classes, 1) where numbers[start + c] > numbers[start + best] { best = c }
            if best != last, best != blank { labels.append(best) }
            last = best
            sum += numbers[start + best]
        }
        return CTCHypothesis(labels: labels, logProbability: sum)
    }

    /// A beginning of a labelling, by its place in the tree of them, with the log-probability of the alignments that end in a blank and of those
    /// that end in its last label.
    private struct Prefix {
        let node: Int
        var blankEnd, labelEnd: Double
        var total: Double { logSum(blankEnd, labelEnd) }
    }

    /// A beginning that may be followed: one that there was, or one that it grew into by a label.
    private struct Candidate {
        let prefix: Prefix
        let label: Int?
        let score: Double
    }

    private struct Edge: Hashable { let parent, label: Int }

    func beam(width: Int) -> [CTCHypothesis] {
        // A beginning has one node for good, so that one that comes back is the same one.
        var nodes = [Edge(parent: -1, label: blank)], children: [Edge: Int] = [:], places = [0]
        var beam = [Prefix(node: 0, blankEnd: 0, labelEnd: -.infinity)]
        for start in steps {
            let now = numbers[start..<(start + classes)]
            var candidates: [Candidate] = [], inBeam: Set<Edge> = []
            for prefix in beam {
                let edge = nodes[prefix.node]
                var next = Prefix(node: prefix.node, blankEnd: prefix.total + now[start + blank], labelEnd: prefix.labelEnd + now[start + edge.label])
                if edge.parent >= 0, places[edge.parent] >= 0 {
                    inBeam.insert(edge)
                    let parent = beam[places[edge.parent]], repeats = nodes[parent.node].label == edge.label
                    next.labelEnd = logSum(next.labelEnd, (repeats ? parent.blankEnd : parent.total) + now[start + edge.label])
                }
                candidates.append(Candidate(prefix: next, label: nil, score: next.total))
            }
            // As many are there already: what is less likely than all of them needn't be made.
            let least = beam.count == width ? candidates.map(\.score).min() ?? -.infinity : -.infinity
            let order = (0..<classes).filter { $0 != blank && now[start + $0] > -.infinity }.sorted { (now[start + $0], $1) > (now[start + $1], $0) }
            for prefix in beam {
                let total = prefix.total, last = nodes[prefix.node].label
                for label in order {
                    guard total + now[start + label] >= least else { break }
                    guard !inBeam.contains(Edge(parent: prefix.node, label: label)) else { continue }
                    let score = (label == last ? prefix.blankEnd : total) + now[start + label]
                    if score > -.infinity { candidates.append(Candidate(prefix: prefix, label: label, score: score)) }
                }
            }
            let kept = candidates.indices.sorted { (candidates[$0].score, $1) > (candidates[$1].score, $0) }.prefix(width)
            for prefix in beam { places[prefix.node] = -1 }
            var next: [Prefix] = []
            for i in kept {
                let candidate = candidates[i]
                guard let label = candidate.label else {
                    places[candidate.prefix.node] = next.count
                    next.append(candidate.prefix)
                    continue
                }
                let edge = Edge(parent: candidate.prefix.node, label: label), node = children[edge] ?? nodes.count
                if node == nodes.count {
                    nodes.append(edge)
                    places.append(-1)
                    children[edge] = node
                }
                places[node] = next.count
                next.append(Prefix(node: node, blankEnd: -.infinity, labelEnd: candidate.score))
            }
            beam = next
        }
        return beam.sorted { ($0.total, $1.node) > ($1.total, $0.node) }.map { prefix in
            var labels: [Int] = [], node = prefix.node
            while node != 0 {
                labels.append(nodes[node].label)
                node = nodes[node].parent
            }
            return CTCHypothesis(labels: labels.reversed(), logProbability: prefix.total)
        }
    }
}

/// `ln(e^a + e^b)`.
private func logSum(_ a: Double, _ b: Double) -> Double {
    let most = max(a, b)
    return most == -.infinity ? most : most + log1p(exp(min(a, b) - most))
}
