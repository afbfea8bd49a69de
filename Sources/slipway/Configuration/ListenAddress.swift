import Glibc

/// Where the api is to listen.
struct ListenAddress {
    let host: String
    let port: Int

    /// Why nothing can listen there now; nil: something can.
    var obstacle: String? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var found: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, String(port), &hints, &found)
        guard failure == 0, let found else { return String(cString: gai_strerror(failure)) }
        defer { freeaddrinfo(found) }
        let descriptor = socket(found.pointee.ai_family, found.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        defer { close(descriptor) }
        // As the api does: connections that have ended are no obstacle, a listener is.
        var isOn: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0 else { return String(cString: strerror(errno)) }
        return nil
    }

    /// Fails where the api would fall again and again. What an earlier platform left behind gets the time to end.
    func check(patience: Duration = .seconds(3)) throws(Failure) {
        let deadline = ContinuousClock.now + patience
        while let obstacle {
            guard ContinuousClock.now < deadline else {
                throw .message(
                    "can't listen on \(host):\(port): \(obstacle); choose another with --port or --host, or stop what listens there"
                )
            }
            usleep(50_000)
        }
    }
}
