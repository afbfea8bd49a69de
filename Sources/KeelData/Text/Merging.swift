/// Byte-pair merging: again and again the adjacent pair of lowest rank is joined, of equal ones the leftmost, until no
/// pair has a rank. Takes time n log n, so a long word does no harm.
///
/// - Source: Sennrich, Haddow and Birch, *Neural machine translation of rare words with subword units*, 2016.
/// - Parameter rank: a pair's rank and the symbol that it becomes; nil if it can't be joined.
/// - Returns: the symbols, and how many of the given ones each is.
func mergedPairs<Rank: Comparable>(
    _ symbols: [Int], rank: (Int, Int) -> (rank: Rank, id: Int)?
) -> [(id: Int, length: Int)] {
    var symbols = symbols, lengths = [Int](repeating: 1, count: symbols.count)
    var heap: [MergeCandidate<Rank>] = []
    func push(_ left: Int, _ right: Int) {
        guard let (rank, id) = rank(symbols[left], symbols[right]) else { return }
        heap.append(
            MergeCandidate(rank: rank, left: left, right: right, ids: (symbols[left], symbols[right]), joined: id))
        var at = heap.count - 1
        while at > 0, heap[at].precedes(heap[(at - 1) / 2]) {
            heap.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }
    func pop() -> MergeCandidate<Rank>? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let top = heap.removeLast()
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2] where child < heap.count && heap[child].precedes(heap[least]) {
                least = child
            }
            guard least != at else { return top }
            heap.swapAt(at, least)
            at = least
        }
    }
    var next = symbols.indices.map { $0 + 1 }, previous = symbols.indices.map { $0 - 1 }
    for left in symbols.indices.dropLast() { push(left, left + 1) }
    while let pair = pop() {
        // Gone or changed meanwhile?
        guard lengths[pair.left] > 0, lengths[pair.right] > 0, next[pair.left] == pair.right,
            (symbols[pair.left], symbols[pair.right]) == pair.ids
        else { continue }
        symbols[pair.left] = pair.joined
        lengths[pair.left] += lengths[pair.right]
        lengths[pair.right] = 0
        next[pair.left] = next[pair.right]
        if next[pair.left] < symbols.count {
            previous[next[pair.left]] = pair.left
            push(pair.left, next[pair.left])
        }
        if previous[pair.left] >= 0 { push(previous[pair.left], pair.left) }
    }
    return symbols.indices.filter { lengths[$0] > 0 }.map { (symbols[$0], lengths[$0]) }
}

/// A pair that may be joined, as it was when it was found.
private struct MergeCandidate<Rank: Comparable> {
    let rank: Rank
    let left, right: Int
    let ids: (Int, Int)
    let joined: Int

    func precedes(_ other: MergeCandidate) -> Bool { rank != other.rank ? rank < other.rank : left < other.left }
}
