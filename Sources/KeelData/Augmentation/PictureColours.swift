internal import KeelDataKernels

/// Changes of colour, by the definitions of Pillow's `ImageEnhance` and `ImageOps`; results are rounded.
extension Picture {
    /// Every value multiplied.
    func withBrightness(_ factor: Double) -> Picture { mapped { Double($0) * factor } }

    /// Differences from the mean grey multiplied.
    func withContrast(_ factor: Double) -> Picture {
        let mean = keel_mean_grey(pixels, width * height).rounded()
        return mapped { mean + factor * (Double($0) - mean) }
    }

    /// Differences of each pixel from its grey multiplied.
    func withSaturation(_ factor: Double) -> Picture {
        changed { keel_saturate($0, width * height, factor) }
    }

    /// Each pixel's hue turned, by so much of a whole turn.
    func withHue(turnedBy turn: Double) -> Picture {
        changed { keel_turn_hue($0, width * height, turn) }
    }

    /// Differences of each pixel from a blurred picture multiplied; the pixels at the edges stay.
    func withSharpness(_ factor: Double) -> Picture {
        Picture(width: width, height: height) { keel_sharpen(pixels, width, height, factor, $0) }
    }

    /// The upper `bits` of each value.
    func posterized(bits: Int) -> Picture {
        let mask = bits >= 8 ? 0xFF : ~(UInt8.max >> UInt8(max(bits, 0)))
        return mapped { Double($0 & mask) }
    }

    /// Values from `threshold` up inverted.
    func solarized(threshold: Double) -> Picture { mapped { Double($0) < threshold ? Double($0) : 255 - Double($0) } }

    /// Each channel stretched to 0...255.
    func autoContrasted() -> Picture {
        mappedByChannel { histogram in
            guard let low = histogram.firstIndex(where: { $0 > 0 }), let high = histogram.lastIndex(where: { $0 > 0 }),
                low < high
            else { return Array(0...255) }
            let scale = 255 / Double(high - low)
            return (0...255).map { UInt8(min(255, max(0, (Double($0) * scale - Double(low) * scale).rounded(.down)))) }
        }
    }

    /// Each channel's values spread so that they are about equally frequent.
    func equalized() -> Picture {
        mappedByChannel { histogram in
            let last = histogram.lastIndex { $0 > 0 } ?? 0
            let step = (width * height - Int(histogram[last])) / 255
            guard step > 0 else { return Array(0...255) }
            var sum = step / 2
            return histogram.map { count in
                defer { sum += Int(count) }
                return UInt8(min(255, sum / step))
            }
        }
    }

    private func changed(_ change: (UnsafeMutablePointer<UInt8>?) -> Void) -> Picture {
        var result = self
        result.pixels.withUnsafeMutableBufferPointer { change($0.baseAddress) }
        return result
    }

    /// Every value by a table, rounded and held within 0...255.
    private func mapped(_ value: (UInt8) -> Double) -> Picture {
        let table = (UInt8.min...UInt8.max).map { UInt8(min(255, max(0, value($0).rounded()))) }
        return changed { keel_map_bytes($0, 3 * width * height, table) }
    }

    /// Each channel by a table that is made from how often each value occurs.
    private func mappedByChannel(_ table: ([UInt32]) -> [UInt8]) -> Picture {
        var counts = [UInt32](repeating: 0, count: 3 * 256)
        keel_histograms(pixels, width * height, &counts)
        let tables = (0..<3).flatMap { table(Array(counts[256 * $0..<256 * ($0 + 1)])) }
        return changed { keel_map_channels($0, width * height, tables) }
    }
}
