internal import NIOCore
internal import Synchronization

/// Token buckets, one for each of those who ask: so many a second, and twice that at once.
final class RateLimiter: Sendable {
    private struct Bucket {
        var tokens: Double
        var at: ContinuousClock.Instant
    }

    private static let capacity = 10_000
    private let rate: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    /// - Parameter rate: a second; 0 for no limit.
    init(rate: Int) { self.rate = Double(rate) }

    /// - Errors: 429 when the bucket of `asker` is empty.
    func take(from asker: String) throws {
        guard rate > 0 else { return }
        let now = ContinuousClock.now
        let missing = buckets.withLock { buckets in
            if buckets.count >= Self.capacity, buckets[asker] == nil { buckets = buckets.filter { filled($0.value, now) < 2 * rate } }
            if buckets.count >= Self.capacity { buckets = [:] }
            var tokens = buckets[asker].map { filled($0, now) } ?? 2 * rate
            let missing = max(1 - tokens, 0)
            if missing == 0 { tokens -= 1 }
            buckets[asker] = Bucket(tokens: tokens, at: now)
            return missing
        }
        guard missing > 0 else { return }
        throw Refusal.tooManyRequests(retryAfter: Int((missing / rate).rounded(.up)))
    }

    /// Puts back what was taken for nothing.
    func giveBack(to asker: String) { buckets.withLock { $0[asker]?.tokens += 1 } }

    private func filled(_ bucket: Bucket, _ now: ContinuousClock.Instant) -> Double {
        min(bucket.tokens + (now - bucket.at) / .seconds(1) * rate, 2 * rate)
    }
}

extension SocketAddress {
    /// Who sits at an address: with IPv6, a whole /64 is one host's.
    var asker: String {
        switch self {
        case .v6(let address):
            withUnsafeBytes(of: address.address.sin6_addr) { bytes in bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":") }
        case .v4, .unixDomainSocket: ipAddress ?? ""
        }
    }
}
