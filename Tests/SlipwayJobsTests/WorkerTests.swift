import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayJobs
import SlipwayPostgres
import SlipwayStore
import Testing

/// Trainers are real processes: shell scripts, so that they can misbehave.
@Suite struct WorkerTests {
    private func script(_ text: String, _ site: Site) throws -> String {
        let path = site.folder + "/trainer.sh"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func worker(
        _ site: Site, _ script: String, leaseSeconds: Double = 6, modelImportSeconds: Double = 120, decide: @escaping Decide = { _ in [] }
    ) throws -> Worker {
        var configuration = WorkerConfiguration(executable: "/bin/sh", jobsFolder: site.folder + "/jobs", build: "test")
        configuration.trainerArguments = [script]
        configuration.leaseSeconds = leaseSeconds
        configuration.modelImportSeconds = modelImportSeconds
        configuration.lookSeconds = 0.2
        configuration.threads = 1
        configuration.drainSeconds = 2
        configuration.endsWithStandardInput = false
        var logger = Logger(label: "worker")
        logger.logLevel = .error
        return try Worker(configuration, database: site.database, blobs: site.blobs, decide: decide, logger: logger)
    }

    /// Runs a worker while `body` looks on, and stops it.
    private func running(_ worker: Worker, _ body: () async throws -> Void) async throws {
        async let life: Void = worker.run()
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        worker.stop()
        try await life
        try result.get()
    }

    private func upload(_ site: Site, _ task: LearningTask = .tabularClassification) async throws -> (DatasetID, AcceptedVersion, Digest) {
        let dataset = try await site.makeDataset(task)
        let staged = try await site.blobs.stage(Array("a,b\n1,x\n".utf8))
        let accepted = try await site.tenant { transaction in
            let version = NewVersion(dataset: dataset, mode: .new, mediaType: "text/csv", requestID: "test")
            return try transaction.acceptUpload(staged.digest, bytes: staged.bytes, as: version) { try site.blobs.place([staged]) }
        }
        return (dataset, accepted, staged.digest)
    }

    private func status(_ dataset: DatasetID, _ site: Site) async throws -> VersionStatus {
        try await site.value("SELECT status AS value FROM dataset_version WHERE dataset_id = \(dataset)")
    }

    private func state(_ job: JobID, _ site: Site) async throws -> JobState {
        try await site.value("SELECT state AS value FROM job WHERE id = \(job)")
    }

    private static let importScript = """
        for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
          if [ $((i % 2)) = 0 ]; then label=x; else label=y; fi
          echo '{"item":{"_0":{"name":"row '$i'","splitHash":'$i',"label":"'$label'","row":["'$i'","'$label'"]}}}'
        done
        echo '{"rejected":{"_0":{"name":"row 13","code":"bad","reason":"it is bad"}}}'
        echo '{"imported":{"_0":{"format":"csv","warnings":["careful"],"profile":{"items":12,"unlabelled":0,"classes":[],"target":"b","columns":[{"name":"a","type":"number","missing":0,"distinct":12,"top":[],"is_identifier":false},{"name":"b","type":"category","missing":0,"distinct":2,"top":[],"is_identifier":false}]}}}}'
        """

    @Test func anImportBecomesAVersionInOneStep() async throws {
        try await withSite { site in
            let (dataset, accepted, digest) = try await upload(site)
            try await running(try worker(site, try script(Self.importScript, site))) {
                try await require { try await state(accepted.job, site) == .succeeded }
            }
            #expect(try await status(dataset, site) == .ready)
            #expect(try await site.value("SELECT items AS value FROM dataset_version WHERE dataset_id = \(dataset)") == 12)
            #expect(try await site.value("SELECT rejected AS value FROM dataset_version WHERE dataset_id = \(dataset)") == 1)
            let profile: DatasetProfile = try await site.tenant {
                try $0.labelledVersion(1, of: dataset, target: nil, task: .tabularClassification).profile
            }
            #expect(profile.classes == [ClassCount(name: "x", count: 6), ClassCount(name: "y", count: 6)])
            // Another column as the target: its fields are the labels.
            let other: DatasetProfile = try await site.tenant {
                try $0.labelledVersion(1, of: dataset, target: "a", task: .tabularClassification).profile
            }
            #expect(other.classes.count == 12)
            #expect(!FileManager.default.fileExists(atPath: site.blobs.path(of: digest)))
            #expect(try FileManager.default.contentsOfDirectory(atPath: site.folder + "/jobs") == [])
        }
    }

    @Test func theUsersFaultFailsTheVersionAtOnceAndLeavesNothing() async throws {
        try await withSite { site in
            let (dataset, accepted, digest) = try await upload(site)
            let text = """
                echo '{"item":{"_0":{"name":"row 1","splitHash":1,"label":"x","row":["1","x"]}}}'
                echo '{"problem":{"_0":{"type":"urn:x","title":"Bad","status":422,"code":"csv-ragged","detail":"line 3","errors":[]}}}'
                """
            try await running(try worker(site, try script(text, site))) {
                try await require { try await state(accepted.job, site) == .failed }
            }
            #expect(try await status(dataset, site) == .failed)
            #expect(try await site.value("SELECT problem ->> 'code' AS value FROM dataset_version") == "csv-ragged")
            #expect(try await site.value("SELECT attempt AS value FROM job") == 1)
            #expect(try await site.value("SELECT count(*) AS value FROM item") == 0)
            #expect(!FileManager.default.fileExists(atPath: site.blobs.path(of: digest)))
        }
    }

    @Test(arguments: [
        ("echo nonsense; sleep 60", "trainer-output"), ("kill -SEGV $$", "trainer-crashed"), ("exit 3", "trainer-crashed"),
        ("exit 0", "trainer-output"), ("kill -KILL $$", "out-of-memory"),
    ])
    func aMisbehavingTrainerIsADeadLetterInTheEnd(text: String, code: String) async throws {
        try await withSite { site in
            let (dataset, accepted, _) = try await upload(site)
            try await running(try worker(site, try script("echo working >&2\n" + text, site))) {
                try await require { try await state(accepted.job, site) == .failed }
            }
            #expect(try await status(dataset, site) == .failed)
            #expect(try await site.value("SELECT problem ->> 'code' AS value FROM job") == code)
            #expect(try await site.value("SELECT attempt AS value FROM job") == (code == "out-of-memory" ? 2 : 3))
            let log: String = try await site.value("SELECT log AS value FROM job")
            #expect(log.contains("working"))
        }
    }

    /// A trainer that ignores SIGTERM and has children of its own ends within the grace time, with all of them.
    @Test func cancellingKillsTheWholeGroup() async throws {
        try await withSite { site in
            let (dataset, accepted, _) = try await upload(site)
            let pids = site.folder + "/pids"
            let text = "trap '' TERM\nsleep 300 & echo $! > \(pids).new\necho $$ >> \(pids).new\nmv \(pids).new \(pids)\nwait\nsleep 300"
            try await running(try worker(site, try script(text, site))) {
                try await require { FileManager.default.fileExists(atPath: pids) }
                let began = ContinuousClock.now
                _ = try await site.tenant { try $0.cancel(accepted.job) }
                try await require { try await state(accepted.job, site) == .cancelled }
                #expect(began.duration(to: .now) < .seconds(10))
            }
            for pid in try String(contentsOfFile: pids, encoding: .utf8).split(separator: "\n").compactMap({ pid_t($0) }) {
                try await require { kill(pid, 0) != 0 }
            }
            #expect(try await status(dataset, site) == .failed)
        }
    }

    @Test func aStoppedWorkerGivesItsJobBack() async throws {
        try await withSite { site in
            let (_, accepted, _) = try await upload(site)
            let marker = site.folder + "/started"
            try await running(try worker(site, try script("touch \(marker)\nsleep 300", site))) {
                try await require { FileManager.default.fileExists(atPath: marker) }
            }
            #expect(try await state(accepted.job, site) == .queued)
            #expect(try await site.value("SELECT max_attempts - attempt AS value FROM job") == 3)
        }
    }

    @Test func aVanishedWorkersJobIsTakenOver() async throws {
        try await withSite { site in
            let (dataset, accepted, _) = try await upload(site)
            let lost = try #require(try await site.system { try $0.leaseJob(in: .data, for: WorkerID(UUID()), seconds: 1) })
            try await running(try worker(site, try script(Self.importScript, site))) {
                try await require { try await state(accepted.job, site) == .succeeded }
            }
            #expect(try await status(dataset, site) == .ready)
            #expect(try await site.value("SELECT attempt AS value FROM job") == 2)
            await #expect(throws: LeaseLost.self) { try await site.finish(lost) }
        }
    }

    @Test func oneLostJobThatCanNotBeReadKeepsNobodyFromTheNext() async throws {
        try await withSite { site in
            let (first, second) = (try await site.enqueue(), try await site.enqueue())
            for _ in 0..<2 { _ = try #require(try await site.system { try $0.leaseJob(in: .data, for: WorkerID(UUID()), seconds: -1) }) }
            // Of a newer build.
            _ = try await site.tenant {
                try $0.execute(
                    "UPDATE job SET kind = 'prune-version', lease_expires_at = now() - interval '1 h' WHERE id = \(first)")
            }
            try await running(try worker(site, try script("exit 0", site))) {
                try await require { try await site.value("SELECT attempt AS value FROM job WHERE id = \(second)") > 1 }
                try await require { try await state(first, site) == .queued }
            }
        }
    }

    @Test func aLivingWorkerComesBackToTheList() async throws {
        try await withSite { site in
            let workers: SQL = "SELECT count(*) AS value FROM worker"
            func count() async throws -> Int { try await site.system { try $0.queryOne(workers, decode: { try $0["value"] }) } }
            try await running(try worker(site, try script("exit 0", site), leaseSeconds: 1)) {
                try await require { try await count() == 1 }
                try await site.system { try $0.forgetWorkers(unseenForSeconds: -60) }
                try await require { try await count() == 1 }
            }
            #expect(try await count() == 0)
        }
    }

    @Test func aSecondWorkerLeavesTheFoldersOfTheFirst() async throws {
        try await withSite { site in
            let killed = site.folder + "/jobs/\(UUID())/1-1"
            try FileManager.default.createDirectory(atPath: killed, withIntermediateDirectories: true)
            let (_, accepted, _) = try await upload(site)
            let (marker, end) = (site.folder + "/started", site.folder + "/end")
            let text = "touch \(marker); until [ -e \(end) ]; do sleep 0.1; done\ncat plan.json > /dev/null || exit 1\n" + Self.importScript
            let path = try script(text, site)
            try await running(try worker(site, path)) {
                try await require { FileManager.default.fileExists(atPath: marker) }
                #expect(!FileManager.default.fileExists(atPath: killed))
                try await running(try worker(site, path)) {
                    try await require {
                        try await site.system { try $0.queryOne("SELECT count(*) AS value FROM worker", decode: { try $0["value"] }) } == 2
                    }
                }
                _ = FileManager.default.createFile(atPath: end, contents: nil)
                try await require { try await state(accepted.job, site) == .succeeded }
            }
            #expect(try await site.value("SELECT attempt AS value FROM job") == 1)
        }
    }

    // MARK: Models

    /// A model version that waits to be imported.
    private func modelUpload(_ site: Site) async throws -> (ModelVersionID, JobID, Digest) {
        let staged = try await site.blobs.stage(Array("model".utf8)), (organisation, project) = (site.organisation, site.project)
        return try await site.tenant { transaction in
            try transaction.publish(staged.digest, bytes: staged.bytes) { try site.blobs.place([staged]) }
            let model: ModelID = try transaction.queryOne(
                "INSERT INTO model (organisation_id, project_id, name) VALUES (\(organisation), \(project), 'm') RETURNING id",
                decode: { try $0["id"] })
            let version: ModelVersionID = try transaction.queryOne(
                """
                INSERT INTO model_version (organisation_id, model_id, number, status, upload, classes, inputs, metrics, lineage)
                VALUES (\(organisation), \(model), 1, 'importing', \(staged.digest), '[]', 'null', '{}', '{}') RETURNING id
                """,
                decode: { try $0["id"] })
            let job = try transaction.enqueue(
                .importModel(ModelImportWork(modelVersion: version)), organisation: organisation, project: project, requestID: "test")
            return (version, job, staged.digest)
        }
    }

    private func failure(_ version: ModelVersionID, _ site: Site) async throws -> String {
        try await site.value("SELECT status || ' ' || coalesce(problem ->> 'code', '') AS value FROM model_version WHERE id = \(version)")
    }

    /// Each further attempt would take the only slot for as long again.
    @Test func aModelThatTakesTooLongIsNotTriedAgain() async throws {
        try await withSite { site in
            let (version, job, _) = try await modelUpload(site)
            try await running(try worker(site, try script("sleep 300", site), modelImportSeconds: 0.5)) {
                try await require { try await state(job, site) == .failed }
            }
            #expect(try await failure(version, site) == "failed inference-timeout")
            #expect(try await site.value("SELECT attempt AS value FROM job") == 1)
        }
    }

    /// Whether it can be trained further is looked for after its result is told.
    @Test func aModelWhoseTrainerDiesAfterItsResultIsImported() async throws {
        try await withSite { site in
            let (version, job, _) = try await modelUpload(site)
            let text = """
                echo '{"importedModel":{"_0":{"inputs":[],"outputs":[],"facts":{"why":"unknown"},"files":[{"name":"model.onnx"}]}}}'
                sleep 0.2
                kill -9 $$
                """
            try await running(try worker(site, try script(text, site))) {
                try await require { try await state(job, site) == .succeeded }
            }
            #expect(try await failure(version, site) == "ready ")
            #expect(try await site.value("SELECT count(*) AS value FROM model_file") == 1)
        }
    }

    /// The payload names the version in a member that all builds have.
    @Test func aVersionDoesNotWaitForAJobThatNobodyHereCanRead() async throws {
        try await withSite { site in
            let (version, job, digest) = try await modelUpload(site)
            _ = try #require(try await site.lease(seconds: 60))
            // Of a newer build, whose worker is gone.
            _ = try await site.tenant {
                try $0.execute(
                    "UPDATE job SET kind = 'quantise-model', attempt = max_attempts, lease_expires_at = now() - interval '1 h' WHERE id = \(job)")
            }
            try await running(try worker(site, try script("exit 0", site))) {
                try await require { try await state(job, site) == .failed }
            }
            #expect(try await failure(version, site) == "failed worker-lost")
            #expect(!FileManager.default.fileExists(atPath: site.blobs.path(of: digest)))
        }
    }

    // MARK: Experiments

    private static let trainScript = """
        if grep -q importUpload plan.json; then
        \(importScript)
        elif grep -q trainRung plan.json; then
          echo '{"log":{"level":"info","message":"training"}}'
          echo '{"metric":{"name":"loss","value":0.5,"step":1}}'
          echo checkpoint > checkpoint.bin
          echo '{"checkpoint":{"file":"checkpoint.bin","resource":1}}'
          echo '{"progress":{"fraction":1}}'
          echo '{"rung":{"_0":{"score":0.9,"metrics":{"accuracy":0.9},"resource":1,"finished":true}}}'
        else
          trial=$(grep -o '"trial":"[^"]*"' plan.json | head -1 | cut -d'"' -f4)
          echo weights > model.safetensors
          cp items.jsonl seen.jsonl
          echo '{"evaluated":{"_0":{"metrics":{"accuracy":0.8},"classes":["x","y"],"inputs":{"kind":"row"},"files":[{"name":"model.safetensors","path":"model.safetensors"},{"name":"items.jsonl","path":"seen.jsonl"}],"trials":["'$trial'"]}}}'
        fi
        """

    private func experiment(_ site: Site, _ dataset: DatasetID, decide: @escaping Decide) async throws -> ExperimentID {
        let new = NewExperiment(
            project: site.project, name: "try", dataset: dataset, version: 1, task: .tabularClassification, objective: "accuracy",
            preset: .fast, target: nil, template: nil, seed: 7, budgetSeconds: 60, budgetTrials: nil,
            considered: [ConsideredTemplate(template: "plain", fits: true, why: "it fits")], requestID: "test")
        return try await site.tenant { try $0.startExperiment(new, decide: decide) }
    }

    /// Two trials one after the other, then the evaluation.
    private static let decide: Decide = { state in
        let recipe = TrialRecipe(template: "plain", source: "name: plain", hyperparameters: ["depth": 3], seed: 1)
        guard !state.trials.contains(where: { $0.status == .queued || $0.status == .running }) else { return [] }
        if state.trials.count < 2 { return [.startTrial(recipe, untilResource: nil, seconds: 20)] }
        let scored = state.trials.filter { $0.score != nil }
        guard !scored.isEmpty else { return [.fail(Problem(422, "train-no-result", title: "None", detail: "none"))] }
        return [.evaluate(scored.map(\.id), seconds: 20, why: "enough")]
    }

    @Test func anExperimentGoesFromItsFirstRungToAModelVersion() async throws {
        try await withSite { site in
            let (dataset, accepted, _) = try await upload(site)
            try await running(try worker(site, try script(Self.trainScript, site), decide: Self.decide)) {
                try await require { try await state(accepted.job, site) == .succeeded }
                let experiment = try await experiment(site, dataset, decide: Self.decide)
                try await require { try await site.tenant { try $0.experiment(experiment).status.isFinal } }
                let record = try await site.tenant { try $0.experiment(experiment) }
                let logs: String = try await site.value("SELECT string_agg(concat(kind, problem, log), ' ') AS value FROM job")
                #expect(record.status == .succeeded, "\(logs)")
                let version = try #require(record.modelVersion)
                let model = try await site.tenant { try $0.modelVersion(version) }
                #expect(model.files.map(\.name) == ["items.jsonl", "model.safetensors"])
                for file in model.files { try await site.blobs.verify(file.blob) }
                let executable = try SHA256.digest(ofFile: "/bin/sh")
                #expect(model.lineage.text.contains("\"test, SHA-256 \(executable)\""), "\(model.lineage.text)")
                let trials = try await site.tenant { try $0.trials(of: experiment) }
                #expect(trials.map(\.status) == [.succeeded, .succeeded])
                #expect(try await site.value("SELECT count(*) AS value FROM checkpoint") == 0)
                // Events have no gaps, and the last one says how it ended.
                let events = try await site.tenant { try $0.events(of: experiment, after: 0, limit: 1000) }
                #expect(events.events.map(\.sequence) == Array(1...Int64(events.events.count)))
                #expect(!events.mayGrow)
                #expect(events.events.last?.data.text.contains("succeeded") == true)
                #expect(Set(events.events.map(\.kind)) == ["status", "log", "metric", "progress"])
            }
        }
    }

    @Test func failedTrialsEndTheExperimentOnlyWhenTheDecisionSaysSo() async throws {
        try await withSite { site in
            let (dataset, accepted, _) = try await upload(site)
            let text = Self.trainScript.replacing("echo '{\"log\":{\"level\":\"info\",\"message\":\"training\"}}'", with: """
                echo '{"problem":{"_0":{"type":"urn:x","title":"Bad","status":422,"code":"bad","detail":"bad","errors":[]}}}'; exit 0
                """)
            try await running(try worker(site, try script(text, site), decide: Self.decide)) {
                try await require { try await state(accepted.job, site) == .succeeded }
                let experiment = try await experiment(site, dataset, decide: Self.decide)
                try await require { try await site.tenant { try $0.experiment(experiment).status.isFinal } }
                let trials = try await site.tenant { try $0.trials(of: experiment) }
                #expect(trials.map(\.status) == [.failed, .failed])
                let record = try await site.tenant { try $0.experiment(experiment) }
                #expect(record.status == .failed)
                // It says why, and whose fault it was.
                let problem = try JSONDecoder().decode(Problem.self, from: Data(try #require(record.problem).text.utf8))
                #expect(problem.code == "train-no-result" && problem.status == 422)
                #expect(problem.detail.contains("trial 1 (plain) failed: bad"))
                #expect(problem.errors.first?.code == "bad")
            }
        }
    }

    @Test func cancellingAnExperimentEndsItWithinSeconds() async throws {
        try await withSite { site in
            let (dataset, accepted, _) = try await upload(site)
            let marker = site.folder + "/started"
            let text = Self.trainScript.replacing("echo checkpoint >", with: "touch \(marker); sleep 300; echo checkpoint >")
            try await running(try worker(site, try script(text, site), decide: Self.decide)) {
                try await require { try await state(accepted.job, site) == .succeeded }
                let experiment = try await experiment(site, dataset, decide: Self.decide)
                try await require { FileManager.default.fileExists(atPath: marker) }
                try await site.tenant { try $0.requestCancel(of: experiment) }
                try await site.tenant { try $0.finishCancelling(experiment) }
                try await require { try await site.tenant { try $0.experiment(experiment).status } == .cancelled }
                #expect(try await site.tenant { try $0.trials(of: experiment) }.map(\.status) == [.cancelled])
            }
        }
    }
}
