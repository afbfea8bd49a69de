import KeelKernels

#if canImport(Glibc)
import Glibc
#endif

/// The calls that led to a point, as return addresses, innermost first. Taking it costs microseconds; naming it costs more, so
/// that happens only when asked for.
public struct CallStack: Sendable, CustomStringConvertible {
    public let addresses: [UInt]

    static func capture() -> CallStack {
        #if canImport(Glibc)
        let addresses = [UnsafeMutableRawPointer?](unsafeUninitializedCapacity: 48) { buffer, count in
            count = buffer.baseAddress.map { Int(backtrace($0, Int32(buffer.count))) } ?? 0
        }
        return CallStack(addresses: addresses.dropFirst(2).map { UInt(bitPattern: $0) })
        #else
        return CallStack(addresses: [])
        #endif
    }

    /// One line a call: `module(symbol+offset) [address]`, which `swift demangle` and `addr2line` read.
    public var description: String {
        #if canImport(Glibc)
        let pointers = addresses.map { UnsafeMutableRawPointer(bitPattern: $0) }
        guard let names = backtrace_symbols(pointers, Int32(pointers.count)) else { return "" }
        defer { free(names) }
        return (0..<pointers.count).compactMap { names[$0].map { String(cString: $0) } }.joined(separator: "\n")
        #else
        return ""
        #endif
    }
}
