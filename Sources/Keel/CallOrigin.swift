#if canImport(Runtime)
import Runtime
#endif

/// The calls that led to a point, of which the user's can be named by file and line.
final class CallOrigin: Sendable {
    #if canImport(Runtime)
    private let backtrace = try? Backtrace.capture()
    #endif

    /// `file:line` of the innermost call that isn't Keel's own; nil where the program has no debug information.
    var userLine: String? {
        #if canImport(Runtime)
        // This file lies in `<package>/Sources/Keel`; the sources of Keel's modules lie side by side.
        let ownFolders = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Keel"
        for frame in backtrace?.symbolicated()?.frames ?? [] {
            guard let place = frame.symbol?.sourceLocation, place.line > 0, !place.path.hasPrefix(ownFolders) else { continue }
            return "\(place.path):\(place.line)"
        }
        #endif
        return nil
    }
}
