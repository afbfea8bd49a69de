import Foundation
import Logging
import ServiceLifecycle
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwaySystem
import Synchronization

package struct WorkerConfiguration: Sendable {
    /// The program that trainers are: this binary.
    package var executable: String
    package var trainerArguments = ["trainer"]
    /// `<data-dir>/jobs`.
    package var jobsFolder: String
    package var slots: [JobLane: Int] = [.training: 1, .data: 1]
    package var threads = ProcessInfo.processInfo.activeProcessorCount
    package var leaseSeconds = 30.0
    /// Where pretrained weights are.
    package var modelsFolder: String?
    package var trainerMemoryBytes = Int(ProcessInfo.processInfo.physicalMemory) / 4 * 3
    package var drainSeconds = 20.0
    package var importSeconds = 3600.0
    /// Of a model: what takes longer to be made ready would keep the serve process from its other models as long.
    package var modelImportSeconds = 120.0
    package var importLimits = ImportLimits()
    /// How often to look for work that no notification told of, and for leases that have run out.
    package var lookSeconds = 1.5
    /// How long a blob that nothing refers to, or a file without a row, is kept.
    package var graceSeconds = 3600.0
    /// How long jobs that have ended, and the events of experiments that have, are kept.
    package var retentionSeconds = 30 * 86400.0
    /// Name and version. Lineage adds the executable's SHA-256.
    package var build: String
    /// Whether the process ends when its standard input closes, because its parent is gone.
    package var endsWithStandardInput = true

    package init(executable: String, jobsFolder: String, build: String) {
        self.executable = executable
        self.jobsFolder = jobsFolder
        self.build = build
    }
}

/// The worker process: claims jobs, keeps their leases, runs their trainers, and keeps house.
package struct Worker: Sendable {
    private let configuration: WorkerConfiguration
    private let context: JobContext
    private let registration: WorkerRegistration
    private let keeper: LeaseKeeper
    private let logger: Logger
    private let wake = [JobLane.data: WakeBell(), .training: WakeBell()]
    private let isStopping = Stopping()

    private var id: WorkerID { registration.id }

    /// - Parameter decide: `ExperimentDecision.next` with the platform's templates.
    /// - Errors: `SystemError` where processes can't be told apart, because there is no `/proc`.
    package init(
        _ configuration: WorkerConfiguration, database: Database, blobs: BlobStore, decide: @escaping Decide, logger: Logger
    ) throws {
        self.configuration = configuration
        self.logger = logger
        let process = try ProcessIdentity.current
        registration = WorkerRegistration(
            id: WorkerID(UUID()), host: Host.name, place: process.place, pid: process.pid, startTime: process.startTime,
            build: configuration.build, slots: configuration.slots)
        keeper = LeaseKeeper(database.address, worker: registration, leaseSeconds: configuration.leaseSeconds, logger: logger)
        var trainer = TrainerSettings(executable: configuration.executable, memoryBytes: configuration.trainerMemoryBytes)
        trainer.arguments = configuration.trainerArguments
        trainer.drainSeconds = configuration.drainSeconds
        if let folder = configuration.modelsFolder { trainer.environment["SLIPWAY_MODELS"] = folder }
        // Imports decode what strangers send: they get less room.
        var dataTrainer = trainer
        dataTrainer.memoryBytes = min(configuration.trainerMemoryBytes, 8 << 30)
        dataTrainer.drainSeconds = 0.5
        context = JobContext(
            database: database, blobs: blobs, decide: decide, jobsFolder: "\(configuration.jobsFolder)/\(registration.id)",
            binary: "\(configuration.build), SHA-256 \(try SHA256.digest(ofFile: configuration.executable))",
            trainer: trainer, dataTrainer: dataTrainer, threads: configuration.threads,
            dataThreads: max(1, configuration.threads / 2), importSeconds: configuration.importSeconds,
            modelImportSeconds: configuration.modelImportSeconds,            importLimits: configuration.importLimits, logger: logger)
    }

    // MARK: The life of the process

    /// Works until SIGTERM, SIGINT, or the end of standard input; then gives its jobs back and returns.
    package func runProcess() async throws {
        let group = ServiceGroup(
            configuration: .init(services: [Life(worker: self)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        if configuration.endsWithStandardInput {
            whenParentIsGone { [logger] in
                logger.notice("the parent is gone")
                // From a thread, without a task to be the parent of this one.
                Task { await group.triggerGracefulShutdown() }
            }
        }
        try await group.run()
        await context.database.close()
    }

    private struct Life: Service {
        let worker: Worker

        func run() async throws {
            try await withGracefulShutdownHandler {
                try await worker.run()
            } onGracefulShutdown: {
                worker.stop()
            }
        }
    }

    /// Makes `run` return, once each attempt has been given back or ended.
    package func stop() {
        guard isStopping.begin() else { return }
        logger.notice("the worker stops")
        for attempt in keeper.held { attempt.stop(.draining) }
        for bell in wake.values { bell.ring() }
    }

    package func run() async throws {
        let folder = try JobsFolder(in: configuration.jobsFolder, of: id, logger)
        try await register()
        keeper.start()
        logger.notice("the worker runs", metadata: ["worker": "\(id)", "slots": "\(configuration.slots)"])
        await withTaskGroup { group in
            for (lane, count) in configuration.slots {
                for _ in 0..<count { group.addTask { await work(in: lane) } }
            }
            group.addTask { await listen(to: "slipway_job") { heard(job: $0) } }
            group.addTask { await listen(to: "slipway_cancel") { heard(cancel: $0) } }
            group.addTask { await Housekeeping(context: context, configuration: configuration).run(until: isStopping) }
            // The slots end when the worker stops; the listeners only when they're cancelled.
            await isStopping.wait()
            for attempt in keeper.held { attempt.stop(.draining) }
            let slots = configuration.slots.values.reduce(0, +) + 1
            for _ in 0..<slots { await group.next() }
            group.cancelAll()
        }
        await keeper.stop()
        withExtendedLifetime(folder) {}
        logger.notice("the worker has stopped")
    }

    private func register() async throws {
        while true {
            do {
                return try await context.database.transaction(as: .system) { [registration] in try $0.register(registration) }
            } catch let error as PostgresError where error.isOutage && !isStopping.hasBegun {
                logger.warning("the database is away", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    // MARK: Notifications

    private func listen(to channel: String, _ heard: @escaping @Sendable (NotificationEvent) -> Void) async {
        while !Task.isCancelled {
            do {
                for await event in try await context.database.listen(to: channel) { heard(event) }
            } catch {
                if Task.isCancelled { return }
                logger.warning("can't listen", metadata: ["channel": "\(channel)", "error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func heard(job event: NotificationEvent) {
        switch event {
        case .notification(let payload):
            if let lane = JobLane(rawValue: payload) { wake[lane]?.ring() }
        case .reconnected: for bell in wake.values { bell.ring() }
        }
    }

    private func heard(cancel event: NotificationEvent) {
        // What a broken connection missed is told by the next heartbeat.
        guard case .notification(let payload) = event, let job = JobID(payload) else { return }
        for attempt in keeper.held where attempt.job.id == job { attempt.stop(.cancelled) }
    }

    // MARK: Slots

    /// One slot: takes a job, does it, takes the next.
    private func work(in lane: JobLane) async {
        guard let bell = wake[lane] else { return }
        while !isStopping.hasBegun {
            let heard = bell.count
            let began = ContinuousClock.now
            let leased: LeasedJob?
            do {
                let (id, seconds) = (id, configuration.leaseSeconds)
                leased = try await context.database.transaction(as: .system) { try $0.leaseJob(in: lane, for: id, seconds: seconds) }
            } catch {
                // Two claims of one serial key meet in its unique index; the loser looks again.
                let isRace = (error as? PostgresError)?.sqlState == .uniqueViolation
                if !isRace { logger.warning("can't look for work", metadata: ["error": "\(error)"]) }
                await bell.wait(after: heard, seconds: isRace ? 0.05 : configuration.lookSeconds)
                continue
            }
            guard let leased else {
                await bell.wait(after: heard, seconds: configuration.lookSeconds)
                continue
            }
            let attempt = Attempt(
                leased, database: context.database, leaseSeconds: configuration.leaseSeconds, leasedAt: began, logger: logger)
            keeper.hold(attempt)
            // A job that was claimed just as the worker was told to stop goes back like the others.
            if isStopping.hasBegun { attempt.stop(.draining) }
            await perform(attempt)
            keeper.release(attempt)
        }
    }

    private func perform(_ attempt: Attempt) async {
        let job = attempt.job
        let began = ContinuousClock.now
        do {
            if let reason = attempt.stopReason { throw AttemptFailure.stopped(reason) }
            let work: JobWork
            do { work = try job.work.get() } catch {
                throw AttemptFailure.fault(
                    Problem(500, "payload-unknown", title: "This worker can't read the job", detail: "it comes from another version"))
            }
            attempt.logger.info("an attempt begins", metadata: ["kind": "\(work.kind.rawValue)"])
            switch work {
            case .importVersion(let version): try await ImportVersion(context: context).run(version, attempt)
            case .relabelVersion(let version): try await RelabelVersion().run(version, attempt)
            case .importModel(let work): try await ImportModel(context: context).run(work, attempt)
            case .trainRung(let rung): try await TrainRung(context: context).run(rung, attempt)
            case .evaluate(let evaluation): try await Evaluate(context: context).run(evaluation, attempt)
            }
            attempt.logger.info("an attempt succeeded", metadata: ["seconds": "\(began.elapsed)"])
        } catch {
            await settle(error, attempt)
        }
    }

    /// Ends an attempt that failed, and all that depends on it, in one fenced transaction.
    private func settle(_ error: any Error, _ attempt: Attempt) async {
        let logged = error as? LoggedFailure
        let failure = logged?.failure ?? AttemptFailure(error)
        let job = attempt.job
        attempt.logger.notice("an attempt failed", metadata: ["failure": "\(logged.map { "\($0.failure)" } ?? "\(error)")"])
        let next = end(
            after: failure, attempt: job.attempt, of: job.maximumAttempts, jitter: Double.random(in: 0...1))
        guard let next else { return }
        let (log, seconds, decide) = (logged?.log ?? "", logged?.seconds ?? 0, context.decide)
        do {
            let released = try await attempt.fenced { transaction in
                try transaction.finish(job.lease, as: next, log: log)
                return try transaction.settle(job, next, seconds: seconds, decide: decide)
            }
            await context.collect(released)
        } catch {
            // The sweeper ends what we couldn't.
            attempt.logger.error("an attempt's end isn't recorded", metadata: ["error": "\(error)"])
        }
    }
}
