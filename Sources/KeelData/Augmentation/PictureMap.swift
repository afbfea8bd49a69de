internal import KeelDataKernels

/// Where each place of a moved picture comes from: `source = (a x + b y + c, d x + e y + f)`, in pixels from the edges.
struct PictureMap {
    var a = 1.0, b = 0.0, c = 0.0, d = 0.0, e = 1.0, f = 0.0
    /// Of the moved picture.
    var width, height: Int

    /// Nothing is moved.
    init(width: Int, height: Int) { (self.width, self.height) = (width, height) }

    /// The part of a picture at `left`, `top` that is `across` wide and `down` high, at another size.
    init(left: Double, top: Double, across: Double, down: Double, width: Int, height: Int) {
        self.init(width: width, height: height)
        (a, c, e, f) = (across / Double(width), left, down / Double(height), top)
    }

    /// The source of an offset from the middle is `(a x + b y, d x + e y)` from the middle; sizes stay.
    init(aroundMiddleOf picture: Picture, a: Double = 1, b: Double = 0, d: Double = 0, e: Double = 1) {
        self.init(width: picture.width, height: picture.height)
        let (x, y) = (Double(width) / 2, Double(height) / 2)
        (self.a, self.b, self.d, self.e) = (a, b, d, e)
        (c, f) = (x - a * x - b * y, y - d * x - e * y)
    }

    /// The same, and then shifted.
    func shifted(right: Double, down: Double) -> PictureMap {
        var map = self
        map.c -= a * right + b * down
        map.f -= d * right + e * down
        return map
    }

    var isIdentity: Bool { (a, b, c) == (1, 0, 0) && (d, e, f) == (0, 1, 0) }

    func source(x: Double, y: Double) -> (x: Double, y: Double) { (a * x + b * y + c, d * x + e * y + f) }

    /// Where a place of the source went.
    func target(x: Double, y: Double) -> (x: Double, y: Double) {
        let (u, v, determinant) = (x - c, y - f, a * e - b * d)
        return ((e * u - b * v) / determinant, (a * v - d * u) / determinant)
    }
}

extension Picture {
    /// Bilinearly sampled, without a filter against aliasing; beyond the edge the edge pixel goes on.
    func moved(by map: PictureMap) -> Picture {
        Picture(width: map.width, height: map.height) {
            keel_warp(pixels, width, height, [map.a, map.b, map.c, map.d, map.e, map.f], $0, map.width, map.height)
        }
    }
}

extension AnnotatedPicture {
    /// Everything moved: boxes become the smallest ones around what they became, and a pixel of the mask has the class
    /// of the one that it comes from.
    ///
    /// - Parameter moved: the picture after it; nil samples it.
    func moved(by map: PictureMap, picture moved: Picture? = nil) -> AnnotatedPicture {
        guard moved != nil || !map.isIdentity else { return self }
        var result = self
        result.picture = moved ?? picture.moved(by: map)
        result.boxes = boxes.compactMap { box in
            let corners = [(box.left, box.top), (box.right, box.top), (box.left, box.bottom), (box.right, box.bottom)]
                .map(map.target)
            let (xs, ys) = (corners.map(\.x), corners.map(\.y))
            let whole = PictureBox(
                left: xs.min() ?? 0, top: ys.min() ?? 0, right: xs.max() ?? 0, bottom: ys.max() ?? 0, label: box.label)
            let visible = whole.clipped(width: map.width, height: map.height)
            return visible.area > 0 && visible.area >= leastVisibleShare * whole.area ? visible : nil
        }
        result.mask = mask.map { $0.moved(by: map) }
        return result
    }
}

extension PictureMask {
    fileprivate func moved(by map: PictureMap) -> PictureMask {
        let (across, down) = (Double(width), Double(height))
        let classes = [UInt8](unsafeUninitializedCapacity: map.width * map.height) { out, count in
            for y in 0..<map.height {
                for x in 0..<map.width {
                    let from = map.source(x: Double(x) + 0.5, y: Double(y) + 0.5)
                    let isInside = from.x >= 0 && from.x < across && from.y >= 0 && from.y < down
                    out[y * map.width + x] = isInside ? self.classes[Int(from.y) * width + Int(from.x)] : Self.outside
                }
            }
            count = map.width * map.height
        }
        return PictureMask(width: map.width, height: map.height, classes: classes)
    }
}
