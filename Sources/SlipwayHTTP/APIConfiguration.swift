package import SlipwayDomain

/// How the api process listens and what it accepts. Every limit stands with its default in the README.
package struct APIConfiguration: Sendable {
    package struct Limits: Sendable {
        /// Of a JSON body, unless its route says otherwise.
        package var jsonBytes = 1 << 20
        package var jsonDepth = 64
        /// Of all JSON bodies that are in memory.
        package var allJSONBytes = 64 << 20
        /// Of an uploaded file.
        package var uploadBytes = 8 << 30
        /// Of JSON that is sent to predict, and of a picture: what the serve process takes.
        package var predictJSONBytes = 8_000_000
        package var predictPictureBytes = 20_000_000
        package var headerBytes = 32 << 10
        package var headerFields = 100
        /// Of the path with the query.
        package var targetBytes = 8 << 10
        package var connections = 1000
        /// Requests a second of one key, predict calls aside, which wait in line at their model; 0: no limit.
        package var keyRate = 5000
        /// Keys a second that one address may try, those that were let in lately aside; 0: no limit.
        package var addressRate = 100
        package var eventStreams = 200
        package var organisationEventStreams = 50
        /// How often an event stream says that it is alive, and asks whether its key is.
        package var heartbeat = Duration.seconds(2)
        /// From the connection's start to the end of the first request's header.
        package var headTime = Duration.seconds(10)
        /// From one request's end to the end of the next one's header.
        package var idleTime = Duration.seconds(60)
        /// For the whole of a small body.
        package var bodyTime = Duration.seconds(30)
        /// For the whole of an upload.
        package var uploadTime = Duration.seconds(6 * 3600)
        /// Bytes that an upload brings each `uploadPaceTime` at least, while we wait for it.
        package var uploadPaceBytes = 4 << 10
        package var uploadPaceTime = Duration.seconds(20)
        /// Bytes of an answer that a client takes each `writeTime` at least, while we wait for it.
        package var writePaceBytes = 128 << 10
        package var writeTime = Duration.seconds(60)
        /// How long requests in flight may go on once the server is to stop.
        package var drainTime = Duration.seconds(20)
        /// How long a predict call waits for the serve process, or for its model.
        package var serveTime = Duration.seconds(10)
        /// How long an answer of the serve process may take.
        package var predictTime = Duration.seconds(60)
        /// How long what `/readyz` has found is told again.
        package var readinessMemory = Duration.seconds(1)
        /// How long a key is believed after it was looked up: revocation is felt within this time.
        package var keyMemory = Duration.seconds(3)

        package init() {}
    }

    package var host = "127.0.0.1"
    /// 0: any free one; `APIServer.run` tells which.
    package var port = 8080
    /// Names, beside those of loopback, under which clients may address this server. Empty: any, unless it listens on loopback.
    package var hosts: [String] = []
    package var limits = Limits()
    /// Of what workers import; told by `/v1/tasks`.
    package var importLimits = ImportLimits()
    /// The serve process's unix socket.
    package var servePath: String
    /// What collectors of `/metrics` may send as a bearer token, instead of an API key with the scope `platform`.
    package var metricsKey: String?
    /// Whether the server ends when its standard input closes, because its parent is gone.
    package var endsWithStandardInput = false

    package init(servePath: String) { self.servePath = servePath }

    var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
}
