import Glibc

/// One process for all time. A number alone doesn't tell: the kernel gives it to another process some day, and in another
/// container, or on another machine of the same name, it is another process already.
package struct ProcessIdentity: Hashable, Sendable {
    /// The machine's start and the container whose numbers its processes go by.
    package let place: String
    package let pid: pid_t
    /// In the kernel's ticks since the machine's start.
    package let startTime: Int64

    package init(place: String, pid: pid_t, startTime: Int64) {
        self.place = place
        self.pid = pid
        self.startTime = startTime
    }

    /// This process.
    package static var current: ProcessIdentity {
        get throws {
            guard let startTime = startTime(of: getpid()) else { throw SystemError("reading /proc/self/stat") }
            return ProcessIdentity(place: try here, pid: getpid(), startTime: startTime)
        }
    }

    /// Where this process is.
    package static var here: String {
        get throws {
            guard let boot = read("/proc/sys/kernel/random/boot_id") else { throw SystemError("reading the boot id") }
            var link = [CChar](repeating: 0, count: 64)
            guard readlink("/proc/self/ns/pid", &link, link.count - 1) > 0 else { throw SystemError("reading /proc/self/ns/pid") }
            let space = String(decoding: link.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return boot.prefix { $0 != "\n" } + " " + space
        }
    }

    /// Whether it is known to have ended: false for a process of another place, which can't be seen from here.
    package var isGone: Bool {
        get throws { try place == Self.here && Self.startTime(of: pid) != startTime }
    }

    /// Field 22 of `/proc/PID/stat`; the name before it may hold spaces and parentheses. Nil: there is no such process.
    private static func startTime(of pid: pid_t) -> Int64? {
        guard let stat = read("/proc/\(pid)/stat"), let name = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[name...].split(separator: " ")
        // The third field, the state, is the first after the name.
        return fields.count > 20 ? Int64(fields[20]) : nil
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
