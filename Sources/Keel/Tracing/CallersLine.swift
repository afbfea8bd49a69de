#if os(Linux)
@_spi(Internal) import Runtime
#endif

extension CallStack {
    /// Where the sources of Keel's modules lie, as the compiler saw them.
    private static let sources = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Keel"

    #if arch(arm64)
    private static let architecture = "arm64"
    #else
    private static let architecture = "x86_64"
    #endif

    /// The innermost line of those that called which isn't Keel's own, such as `Net.swift:12`; nil where the binary has no lines. Finding it takes
    /// milliseconds.
    public var callersLine: String? {
        #if os(Linux)
        let frames = addresses.map { RichFrame<UInt64>.returnAddress(UInt64($0)) }
        guard let stack = Backtrace(architecture: Self.architecture, frames: frames, images: .capture()).symbolicated() else { return nil }
        for frame in stack.frames {
            guard let place = frame.symbol?.sourceLocation, place.line > 0, place.path.hasPrefix("/") else { continue }
            guard !place.path.hasPrefix(Self.sources), let file = place.path.split(separator: "/").last, !file.hasPrefix("@") else { continue }
            return "\(file):\(place.line)"
        }
        #endif
        return nil
    }
}
