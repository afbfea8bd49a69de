import Foundation
import SlipwayDomain
import SlipwayHTTP
import SlipwayJobs
import SlipwayServing

/// Every setting of the platform. `slipway config` and the flags' help follow from these rows; a default that a process's
/// configuration has is that one.
enum Settings {
    static let all = SettingFlags.rows.map(\.setting)

    private static let api = APIConfiguration(servePath: ""), serve = ServeConfiguration(socket: "")
    private static let worker = WorkerConfiguration(executable: "", jobsFolder: "", build: "")

    static let dataDirectory = Setting<String>(
        "data_dir", default: defaultDataDirectory, defaultDoc: "/var/lib/slipway for root, else ~/.local/share/slipway",
        "Where the platform keeps everything it writes.")
    static let host = Setting<String>("host", default: api.host, "The address that the api listens on.")
    static let hosts = Setting<HostNames>(
        "hosts", default: HostNames([]), defaultDoc: "localhost if the api listens on loopback, else any",
        "Host names, with commas between them, that clients may use, beside those of loopback: a reverse proxy's, for example.")
    static let metricsKey = Setting<String?>(
        "metrics_key", default: nil, defaultDoc: "an API key with the scope platform", isSecret: true,
        "What collectors of /metrics may send as a bearer token.")
    static let keyRate = Setting<Int>(
        "key_rate", default: api.limits.keyRate, in: 0...1_000_000,
        "Requests a second of one API key, predict calls aside, and twice as many at once; 0: no limit.")
    static let addressRate = Setting<Int>(
        "address_rate", default: api.limits.addressRate, in: 0...1_000_000,
        "API keys a second that one address may try, keys that were valid aside, and twice as many at once; 0: no limit.")
    static let logLevel = Setting<String>(
        "log_level", default: "info", choices: ["trace", "debug", "info", "notice", "warning", "error"],
        "The least important line that is logged.")
    static let logFormat = Setting<String>("log_format", default: "text", choices: ["text", "json"], "How a log line looks.")
    static let databaseURL = Setting<String?>(
        "database_url", default: nil, defaultDoc: "the platform's own cluster", isSecret: true,
        "A PostgreSQL server to use instead, as postgres://user:password@host/database.")
    static let share = Setting<String?>(
        "share", default: nil, defaultDoc: "../share/slipway beside the binary, or the checkout above it",
        "The folder with Migrations, Templates and Examples.")
    static let models = Setting<String?>(
        "models", default: nil, defaultDoc: "slipway/models in $XDG_DATA_HOME or ~/.local/share",
        "The folder of pretrained models; `slipway models pull` fills it.")
    static let port = Setting<Int>(
        "port", default: api.port, in: 0...65535, "The port that the api listens on; 0 takes a free one.")
    static let trainingSlots = Setting<Int>(
        "training_slots", default: worker.slots[.training] ?? 0, in: 0...256, "Trainings that the worker runs at once.")
    static let dataSlots = Setting<Int>("data_slots", default: worker.slots[.data] ?? 0, in: 0...256, "Imports that the worker runs at once.")
    static let threads = Setting<Int>(
        "threads", default: worker.threads, defaultDoc: "the machine's cores", in: 1...1024,
        "Compute threads of one trainer. Part of what makes a training repeatable.")
    static let serveThreads = Setting<Int>(
        "serve_threads", default: ProcessInfo.processInfo.activeProcessorCount, defaultDoc: "the machine's cores",
        in: 1...1024, "Compute threads of the serve process.")
    static let serveQueue = Setting<Int>(
        "serve_queue", default: serve.queue, in: 1...100_000, "Predict calls that wait for one model; more are answered 503.")
    static let lease = Setting<Duration>(
        "lease", default: .seconds(worker.leaseSeconds), in: .seconds(3)...(.seconds(3600)),
        "How long a job stays with a worker that says nothing.")
    static let retention = Setting<Duration>(
        "retention", default: .seconds(worker.retentionSeconds), defaultDoc: "30d", in: .seconds(3600)...(.seconds(3650 * 86400)),
        "How long jobs that have ended, with their logs, and the events of experiments that have are kept.")
    static let drain = Setting<Duration>(
        "drain", default: api.limits.drainTime, in: .zero...(.seconds(3600)),
        "How long requests and jobs in flight may take to end at a stop.")
    static let serveDeadline = Setting<Duration>(
        "serve_deadline", default: serve.deadline, in: .milliseconds(100)...(.seconds(3600)),
        "How long one predict call may take.")
    static let trainerMemory = Setting<ByteCount>(
        "trainer_memory", default: ByteCount(worker.trainerMemoryBytes),
        defaultDoc: "three quarters of the machine's", in: ByteCount(1 << 28)...ByteCount(1 << 46),
        "Memory that one trainer may take.")
    static let uploadBytes = Setting<ByteCount>(
        "upload_bytes", default: ByteCount(api.limits.uploadBytes), in: ByteCount(1 << 20)...ByteCount(1 << 46),
        "The largest file that can be uploaded.")
    static let archiveEntries = Setting<Int>(
        "archive_entries", default: worker.importLimits.archiveEntries, in: 1...10_000_000, "The most entries of an uploaded archive.")
    static let archiveBytes = Setting<ByteCount>(
        "archive_bytes", default: ByteCount(worker.importLimits.archiveBytes), in: ByteCount(1 << 20)...ByteCount(1 << 46),
        "What an uploaded archive may unpack to; or four times its own bytes, if that is more.")
    static let tableColumns = Setting<Int>(
        "table_columns", default: worker.importLimits.tableColumns, in: 2...100_000, "The most columns of an uploaded table.")
    static let servePictureBytes = Setting<ByteCount>(
        "serve_picture_bytes", default: ByteCount(serve.pictureBytes), in: ByteCount(1024)...ByteCount(1 << 30),
        "The largest picture that predict takes.")
    static let serveJSONBytes = Setting<ByteCount>(
        "serve_json_bytes", default: ByteCount(serve.jsonBytes), in: ByteCount(1024)...ByteCount(1 << 30),
        "The largest JSON body that predict takes.")

    private static var defaultDataDirectory: String {
        geteuid() == 0 ? "/var/lib/slipway" : NSHomeDirectory() + "/.local/share/slipway"
    }
}
