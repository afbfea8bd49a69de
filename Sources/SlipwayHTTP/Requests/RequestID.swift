/// The client's `X-Request-ID`, or one of our own when it sent none that is safe to log and echo.
enum RequestID {
    static func accepted(_ text: String?) -> String {
        guard let text, (1...100).contains(text.utf8.count), text.utf8.allSatisfy(isSafe) else { return made() }
        return text
    }

    private static func isSafe(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"):
            true
        default: false
        }
    }

    private static func made() -> String {
        let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        return "req-" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
