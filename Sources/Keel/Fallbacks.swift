import Synchronization

/// Which primitives ran through their reference kernel because the device had none for them, and how often.
public enum Fallbacks {
    private static let counts = Mutex<[String: Int]>([:])

    public static var byPrimitive: [String: Int] { counts.withLock { $0 } }
    public static func reset() { counts.withLock { $0 = [:] } }

    static func count(_ primitive: String) { counts.withLock { $0[primitive, default: 0] += 1 } }
}
