internal import Foundation
internal import SlipwayDomain
internal import SlipwayStore
internal import Synchronization

/// What `/metrics` shows, in Prometheus' text format. Labels have few values: patterns of routes, never paths.
final class Metrics: Sendable {
    private struct Labels: Hashable {
        let route: String
        let method: String
        let status: Int
    }

    private struct Histogram {
        var counts = [Int](repeating: 0, count: Metrics.bounds.count)
        var count = 0
        var sum = 0.0
    }

    private struct State {
        var requests: [Labels: Histogram] = [:]
        var uploadBytes = 0
        var predictions: [Int: Int] = [:]
        var eventStreams: [OrganisationID: Int] = [:]
    }

    private static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]

    private let state = Mutex(State())

    func request(route: String, method: String, status: Int, seconds: Double) {
        // Clients invent methods.
        let labels = Labels(route: route, method: Self.methods.contains(method) ? method : "other", status: status)
        state.withLock { state in
            var histogram = state.requests[labels] ?? Histogram()
            if let bucket = Self.bounds.firstIndex(where: { seconds <= $0 }) { histogram.counts[bucket] += 1 }
            histogram.count += 1
            histogram.sum += seconds
            state.requests[labels] = histogram
        }
    }

    func uploaded(bytes: Int) { state.withLock { $0.uploadBytes += bytes } }
    func predicted(status: Int) { state.withLock { $0.predictions[status, default: 0] += 1 } }

    /// Takes a place among the open event streams; false when there is none left, for all or for the organisation.
    func openEventStream(of organisation: OrganisationID, _ limits: APIConfiguration.Limits) -> Bool {
        state.withLock { state in
            guard state.eventStreams.values.reduce(0, +) < limits.eventStreams,
                state.eventStreams[organisation, default: 0] < limits.organisationEventStreams
            else { return false }
            state.eventStreams[organisation, default: 0] += 1
            return true
        }
    }

    func closeEventStream(of organisation: OrganisationID) {
        state.withLock { state in
            let left = state.eventStreams[organisation, default: 1] - 1
            state.eventStreams[organisation] = left == 0 ? nil : left
        }
    }

    /// - Parameter jobs: nil when the database can't be asked.
    func text(jobs: [JobCount]?, freeBytes: Int?) -> String {
        let state = state.withLock { $0 }
        var text = Exposition()
        text.family("slipway_http_request_duration_seconds", "histogram", "Time from a request's header to the end of its answer.")
        let requests = state.requests.sorted { ($0.key.route, $0.key.method, $0.key.status) < ($1.key.route, $1.key.method, $1.key.status) }
        for (labels, histogram) in requests {
            let names = [("route", labels.route), ("method", labels.method), ("code", String(labels.status))]
            var total = 0
            for (bound, count) in zip(Self.bounds, histogram.counts) {
                total += count
                text.sample("_bucket", names + [("le", "\(bound)")], Double(total))
            }
            text.sample("_bucket", names + [("le", "+Inf")], Double(histogram.count))
            text.sample("_sum", names, histogram.sum)
            text.sample("_count", names, Double(histogram.count))
        }
        text.family("slipway_upload_bytes_total", "counter", "Bytes of uploads that were stored.")
        text.sample("", [], Double(state.uploadBytes))
        text.family("slipway_predict_requests_total", "counter", "Predict calls by the status of their answer.")
        for (status, count) in state.predictions.sorted(by: { $0.key < $1.key }) {
            text.sample("", [("code", String(status))], Double(count))
        }
        text.family("slipway_event_streams", "gauge", "Event streams that are open.")
        text.sample("", [], Double(state.eventStreams.values.reduce(0, +)))
        if let jobs {
            text.family("slipway_jobs", "gauge", "Jobs by kind and state.")
            for job in jobs { text.sample("", [("kind", job.kind), ("state", job.state.rawValue)], Double(job.count)) }
        }
        if let freeBytes {
            text.family("slipway_storage_free_bytes", "gauge", "Free bytes of the object store's file system.")
            text.sample("", [], Double(freeBytes))
        }
        if let memory = Self.memory() {
            text.family("process_resident_memory_bytes", "gauge", "Resident memory of the api process.")
            text.sample("", [], Double(memory))
        }
        return text.text
    }

    /// Resident memory of this process, in bytes.
    static func memory() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return pages.map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
    }
}

private struct Exposition {
    var text = ""
    private var name = ""

    mutating func family(_ name: String, _ type: String, _ help: String) {
        self.name = name
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    mutating func sample(_ suffix: String, _ labels: [(String, String)], _ value: Double) {
        let pairs = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        let number = value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
        text += "\(name)\(suffix)\(pairs.isEmpty ? "" : "{\(pairs)}") \(number)\n"
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
