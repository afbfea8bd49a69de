/// How the serve process listens and what it accepts. Every limit stands with its default in the README.
package struct ServeConfiguration: Sendable {
    /// The unix socket that the api calls.
    package var socket: String
    /// Lanes: calls that are answered at once, on a thread each.
    package var threads = 2
    /// Of a picture's bytes.
    package var pictureBytes = 20_000_000
    /// Of a JSON body.
    package var jsonBytes = 8_000_000
    /// Of all calls that are being read, wait or are answered.
    package var bodyBytes = 256_000_000
    /// Calls that wait for one model.
    package var queue = 64
    /// From a call's last byte to its answer.
    package var deadline = Duration.seconds(30)
    /// How long a call waits for its model to be loaded: after a restart, mostly.
    package var loadTime = Duration.seconds(10)
    /// How long calls in flight may go on once the process is to stop.
    package var drainTime = Duration.seconds(20)
    /// How often the database is asked what to serve, besides when it says so itself.
    package var lookTime = Duration.seconds(3)
    package var connections = 1000
    /// Whether the process ends when its standard input closes, because its parent is gone.
    package var endsWithStandardInput = true

    package init(socket: String) { self.socket = socket }
}
