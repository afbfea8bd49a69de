import Dispatch
import Logging
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwaySystem
import Synchronization

/// Keeps the leases of a worker's attempts, from threads of its own: no computation, no import and no slow query delays a
/// beat. One thread beats every third of a lease; another stops attempts whose lease couldn't be renewed in time.
final class LeaseKeeper: Sendable {
    private let address: PostgresAddress
    private let worker: WorkerRegistration
    private let leaseSeconds: Double
    private let logger: Logger
    private let attempts = Mutex<[Lease: Attempt]>([:])
    private let beatEnded = Stopping()
    private let beatWake = DispatchSemaphore(value: 0)
    private let watchWake = DispatchSemaphore(value: 0)

    init(_ address: PostgresAddress, worker: WorkerRegistration, leaseSeconds: Double, logger: Logger) {
        self.address = address
        self.worker = worker
        self.leaseSeconds = leaseSeconds
        self.logger = logger
    }

    var held: [Attempt] { attempts.withLock { Array($0.values) } }

    func hold(_ attempt: Attempt) { attempts.withLock { $0[attempt.job.lease] = attempt } }
    func release(_ attempt: Attempt) { attempts.withLock { _ = $0.removeValue(forKey: attempt.job.lease) } }

    func start() {
        _ = OSThread(name: "lease-beat") { [self] in
            beat()
            _ = beatEnded.begin()
        }
        _ = OSThread(name: "lease-watch") { [self] in
            while watchWake.wait(timeout: .now() + 0.25) == .timedOut {
                let now = ContinuousClock.now
                for attempt in held { attempt.checkLease(at: now) }
            }
        }
    }

    /// Returns after the last beat, when the worker's row is gone.
    func stop() async {
        beatWake.signal()
        watchWake.signal()
        await beatEnded.wait()
    }

    private func beat() {
        var settings = SessionSettings()
        settings.applicationName = "slipway lease"
        settings.statementTimeout = .seconds(max(1, leaseSeconds / 6))
        settings.lockTimeout = .seconds(1)
        settings.connectTimeout = .seconds(max(1, leaseSeconds / 6))
        let connection = Connection(address, settings: settings, logger: logger)
        defer { connection.close() }
        var pause = leaseSeconds / 3
        while beatWake.wait(timeout: .now() + pause) == .timedOut {
            let holding = attempts.withLock { $0 }
            let began = ContinuousClock.now
            do {
                let states = try connection.transaction(as: .system) { transaction in
                    try transaction.register(worker)
                    return holding.isEmpty ? [:] : try transaction.beat(Array(holding.keys), seconds: leaseSeconds)
                }
                for (lease, state) in states {
                    switch state {
                    case .renewed(let cancelRequested):
                        holding[lease]?.renewed(at: began)
                        if cancelRequested { holding[lease]?.stop(.cancelled) }
                    case .busy: break
                    // An attempt that has just ended itself is no longer held.
                    case .lost: attempts.withLock { $0[lease] }?.stop(.lost)
                    }
                }
                pause = leaseSeconds / 3
            } catch {
                logger.warning("a heartbeat failed", metadata: ["error": "\(error)"])
                pause = min(1, leaseSeconds / 6)
            }
        }
        do {
            try connection.transaction(as: .system) { try $0.unregister(worker: worker.id) }
        } catch {
            logger.warning("the worker's row is left to the others", metadata: ["error": "\(error)"])
        }
    }
}
