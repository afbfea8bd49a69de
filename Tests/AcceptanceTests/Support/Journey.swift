import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

extension JSON {
    subscript(index: Int) -> JSON? { array.indices.contains(index) ? array[index] : nil }
    var array: [JSON] { if case .array(let values) = self { values } else { [] } }
    var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The member's text, which must be there.
    func text(_ key: String) throws -> String { try #require(self[key]?.stringValue, "no \(key) in \(self)") }
    func integer(_ key: String) throws -> Int { try #require(self[key]?.intValue, "no \(key) in \(self)") }
    func number(_ key: String) throws -> Double { try #require(self[key]?.doubleValue, "no \(key) in \(self)") }
}

/// The steps of a user's way, each a call or two, each waiting for what it started.
extension PlatformClient {
    func makeProject(_ name: String = "project-\(UUID())") async throws -> String {
        try await post("/v1/projects", ["name": .string(name)]).text("id")
    }

    func makeDataset(in project: String, _ task: LearningTask, name: String = "data") async throws -> String {
        try await post(
            "/v1/projects/\(project)/datasets", ["name": .string(name), "task": .string(task.rawValue)]
        ).text("id")
    }

    /// Uploads a version and waits for the end of its import, good or bad.
    func upload(_ bytes: [UInt8], type: String, to dataset: String, query: String = "") async throws -> JSON {
        let accepted = try await post("/v1/datasets/\(dataset)/versions\(query)", .bytes(bytes), type: type)
        return try await importEnd(of: dataset, version: accepted.integer("version"))
    }

    func importEnd(of dataset: String, version: Int, within limit: Duration = .seconds(120)) async throws -> JSON {
        try await settled("/v1/datasets/\(dataset)/versions/\(version)", within: limit) {
            $0["status"]?.stringValue != "importing"
        }
    }

    /// A project with one data set that is ready.
    func makeDataset(_ task: LearningTask, _ bytes: [UInt8], type: String) async throws -> (project: String, dataset: String) {
        let project = try await makeProject()
        let dataset = try await makeDataset(in: project, task)
        let version = try await upload(bytes, type: type, to: dataset)
        try #require(version["status"] == "ready", "\(version)")
        return (project, dataset)
    }

    func startExperiment(in project: String, _ body: JSON) async throws -> String {
        try await post("/v1/projects/\(project)/experiments", body).text("id")
    }

    /// Waits for an experiment's end, good or bad.
    func experimentEnd(_ id: String, within limit: Duration = .seconds(240)) async throws -> JSON {
        try await settled("/v1/experiments/\(id)", within: limit) {
            !["queued", "running"].contains($0["status"]?.stringValue)
        }
    }

    /// Trains and waits; the experiment must succeed.
    func train(in project: String, _ body: JSON) async throws -> JSON {
        let experiment = try await experimentEnd(startExperiment(in: project, body))
        try #require(experiment["status"] == "succeeded", "\(experiment)")
        return experiment
    }

    /// Deploys and waits until the deployment answers.
    func deploy(_ modelVersion: String, in project: String, name: String = "endpoint-\(UUID())") async throws -> String {
        let id = try await post(
            "/v1/projects/\(project)/deployments", ["name": .string(name), "model_version": .string(modelVersion)]
        ).text("id")
        let deployment = try await settled("/v1/deployments/\(id)", within: .seconds(60)) {
            $0["status"]?.stringValue != "deploying"
        }
        try #require(deployment["status"] == "ready", "\(deployment)")
        return id
    }

    /// The resource once `condition` holds.
    func settled(
        _ path: String, within limit: Duration, _ condition: (JSON) throws -> Bool
    ) async throws -> JSON {
        var last = JSON.null
        try await eventually(within: limit, path) {
            last = try await get(path)
            return try condition(last)
        }
        return last
    }

    /// The problem document of a call that must be refused.
    func refusal(_ call: () async throws -> JSON) async throws -> Problem {
        do {
            let answer = try await call()
            Issue.record("accepted: \(answer)")
            throw AcceptanceError.accepted
        } catch let problem as Problem {
            return problem
        }
    }
}

/// A table with two well-separated classes and a number that follows from the features, from a seed.
func sampleTable(rows: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SplitMix(seed: seed)
    var text = "length,width,colour,kind\n"
    for _ in 0..<rows {
        let isLong = random.next() & 1 == 0
        let length = (isLong ? 8.0 : 4.0) + random.uniform() * 3
        let width = random.uniform() * 5
        text += "\(length),\(width),\(["red", "green", "blue"][Int(random.next() % 3)]),\(isLong ? "long" : "short")\n"
    }
    return Array(text.utf8)
}

/// A class's pictures differ from another's in pattern and colour, and among themselves in phase and noise.
func samplePicture(kind: Int, width: Int, height: Int, seed: UInt64) -> Picture {
    var random = SplitMix(seed: seed)
    let phase = Int(random.next() % 8)
    let tint = [(220, 60, 60), (60, 200, 80), (70, 90, 220), (220, 200, 60), (180, 80, 200)][kind % 5]
    let period = max(4, min(width, height) / 6)
    return Picture(width: width, height: height) { x, y in
        let isLit =
            switch kind % 5 {
            case 0: (x + phase) / period % 2 == 0
            case 1: (y + phase) / period % 2 == 0
            case 2: ((x + phase) / period + y / period) % 2 == 0
            case 3: (x + y + phase) / period % 2 == 0
            default: (x - width / 2) * (x - width / 2) + (y - height / 2) * (y - height / 2) < width * height / 8
            }
        let noise = Int(random.next() % 32)
        func shade(_ value: Int) -> UInt8 { UInt8(min(255, (isLit ? value : value / 4) + noise)) }
        return (shade(tint.0), shade(tint.1), shade(tint.2))
    }
}

/// A zip with a folder a class, of small PNG pictures.
func sampleArchive(classes: Int, picturesPerClass count: Int, side: Int = 16) -> [UInt8] {
    var archive = ZipArchive()
    for kind in 0..<classes {
        for number in 0..<count {
            let picture = samplePicture(kind: kind, width: side, height: side, seed: UInt64(kind * 1000 + number))
            archive.add("kind-\(kind)/\(number).png", picture.png())
        }
    }
    return archive.bytes
}

/// Sebastiano Vigna's SplitMix64: a stream of numbers from a seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    mutating func uniform() -> Double { Double(next() >> 11) / Double(1 << 53) }
}
