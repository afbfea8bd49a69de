/// How many characters must be inserted, removed, replaced or swapped with their neighbours to make one word of the other
/// (optimal string alignment); of their first 100 characters, since a word may come from anywhere.
package func editDistance(_ first: some StringProtocol, _ second: some StringProtocol) -> Int {
    let (a, b) = (Array(first.prefix(100)), Array(second.prefix(100)))
    var (before, previous) = ([Int](), Array(0...b.count))
    for i in a.indices {
        var row = [i + 1]
        for j in b.indices {
            var best = min(previous[j] + (a[i] == b[j] ? 0 : 1), previous[j + 1] + 1, row[j] + 1)
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, before[j - 1] + 1) }
            row.append(best)
        }
        (before, previous) = (previous, row)
    }
    return previous[b.count]
}
