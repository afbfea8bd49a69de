internal import Keel

extension Operators {
    static let text: [Operator] = [
        Operator("TfIdfVectorizer", 9) { call in
            let least = try call.required(call.int("min_gram_length"), "min_gram_length"), most = try call.required(call.int("max_gram_length"), "max_gram_length")
            let skips = call.int("max_skip_count", 0), starts = try call.required(call.ints("ngram_counts"), "ngram_counts")
            let columns = try call.required(call.ints("ngram_indexes"), "ngram_indexes")
            guard columns.allSatisfy((0...Int(Int32.max)).contains) else { throw call.wrong("ngram_indexes is \(columns)") }
            let width = (columns.max() ?? -1) + 1
            guard least >= 1, most >= least, most <= starts.count, skips >= 0, skips <= 1 << 20 else { throw call.wrong("grams of \(least) to \(most) with \(skips) skips") }
            try call.reserve([width], .float32)

            // Every item as a number: itself, or a word's place among the words.
            var words: [String: Int] = [:]
            let pool: [Int]
            if let texts = call.strings("pool_strings"), !texts.isEmpty {
                for text in texts where words[text] == nil { words[text] = words.count }
                pool = texts.map { words[$0] ?? -1 }
            } else {
                pool = try call.required(call.ints("pool_int64s"), "pool_int64s")
            }
            var column: [[Int]: Int] = [:]
            var next = 0
            for (i, start) in starts.enumerated() {
                let size = i + 1, end = i + 1 < starts.count ? starts[i + 1] : pool.count
                guard start >= 0, start <= end, end <= pool.count, (end - start) % size == 0 else { throw call.wrong("its pool of \(pool.count) isn't cut by \(starts)") }
                for at in stride(from: start, to: end, by: size) {
                    guard next < columns.count else { throw call.wrong("more grams than the \(columns.count) of ngram_indexes") }
                    if (least...most).contains(size) { column[Array(pool[at..<(at + size)])] = next }
                    next += 1
                }
            }

            let items: [Int], shape: Shape
            if case .strings(let texts, let own) = try call.value(0) {
                (items, shape) = (texts.map { words[$0] ?? -1 }, own)
            } else {
                (items, shape) = (try call.ints(0), try call.tensor(0).shape)
            }
            guard shape.rank <= 2 else { throw call.wrong("takes one or two axes, was given \(shape)") }
            let rows = shape.rank == 2 ? try shape.size(0) : 1, length = rows > 0 ? items.count / rows : 0
            let result = try call.reserve(shape.rank == 2 ? [rows, width] : [width], .float32)
            var counts = [Float](repeating: 0, count: rows * width)
            var steps = 0
            for row in 0..<rows {
                let own = Array(items[(row * length)..<((row + 1) * length)])
                for size in least..<max(least, min(most, length) + 1) {
                    // Skips say nothing of a single item.
                    for step in 1...(size == 1 ? 1 : min(skips + 1, (length - 1) / (size - 1))) {
                        for start in 0..<(length - (size - 1) * step) {
                            try call.count(size, into: &steps)
                            if let gram = column[(0..<size).map { own[start + $0 * step] }] { counts[row * width + columns[gram]] += 1 }
                        }
                    }
                }
            }
            let mode = call.string("mode", "TF"), weights = call.floats("weights") ?? []
            guard weights.isEmpty || weights.count == columns.count else { throw call.wrong("\(weights.count) weights for \(columns.count) grams") }
            if mode != "TF" {
                var weight = [Float](repeating: 1, count: width)
                for (gram, place) in columns.enumerated() where !weights.isEmpty { weight[place] = weights[gram] }
                for i in counts.indices {
                    switch mode {
                    case "IDF": counts[i] = counts[i] > 0 ? weight[i % width] : 0
                    case "TFIDF": counts[i] *= weight[i % width]
                    default: throw call.wrong("mode is '\(mode)'")
                    }
                }
            }
            return [.tensor(try Tensor(counts, result), .float32)]
        },
    ]
}
