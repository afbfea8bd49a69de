// What tests of kernels for convolutions share.

/// `[n, channels, area]` as `[n, channels / lanes, area, lanes]`.
func inBlocks(_ x: [Float], _ channels: Int, _ area: Int, _ lanes: Int) -> [Float] {
    var y = x
    for (place, value) in x.enumerated() { y[placeInBlocks(place, channels, area, lanes)] = value }
    return y
}

/// The way back.
func fromBlocks(_ x: [Float], _ channels: Int, _ area: Int, _ lanes: Int) -> [Float] {
    x.indices.map { x[placeInBlocks($0, channels, area, lanes)] }
}

private func placeInBlocks(_ place: Int, _ channels: Int, _ area: Int, _ lanes: Int) -> Int {
    let (image, channel, position) = (place / (channels * area), place / area % channels, place % area)
    return ((image * channels / lanes + channel / lanes) * area + position) * lanes + channel % lanes
}

/// The largest difference, of the largest number.
func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
    let largest = expected.map(abs).max() ?? 0
    return zip(found, expected).map { abs(Double($0) - $1) }.reduce(0) { $1 <= $0 ? $0 : .maximum($0, $1.isNaN ? .infinity : $1) } / largest
}

/// Scratch memory comes full of NaN: what isn't written must not be read.
func withScratch(_ count: Int64, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: Int(count) * 4, alignment: 64).bindMemory(to: Float.self, capacity: Int(count))
    scratch.initialize(repeating: .nan, count: Int(count))
    body(scratch)
    scratch.deallocate()
}
