import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

/// What is wrong with an upload is named, and nothing of it stays.
@Suite(.platform) struct UploadTests {
    let admin = Platform.current.admin

    /// Uploads and returns the failed version's problem, having seen that nothing half-made is left.
    private func failure(of bytes: [UInt8], type: String, task: LearningTask) async throws -> Problem {
        let project = try await admin.makeProject()
        let dataset = try await admin.makeDataset(in: project, task)
        let problem: Problem
        do {
            let version = try await admin.upload(bytes, type: type, to: dataset)
            #expect(version["status"] == "failed", "\(version)")
            problem = try decode(version["problem"])
            // It stays readable by number, without items.
            #expect(version["items"] == 0)
        } catch let refused as Problem {
            problem = refused
        }
        let after = try await admin.get("/v1/datasets/\(dataset)")
        #expect(after["latest_version"].map { $0 == .null } ?? true)
        #expect(400..<500 ~= problem.status, "\(problem)")
        #expect(!problem.detail.contains(Platform.current.folder))
        return problem
    }

    @Test func anEmptyArchive() async throws {
        let problem = try await failure(of: ZipArchive().bytes, type: "application/zip", task: .imageClassification)
        #expect(problem.status == 422)
        #expect(problem.code == "archive-empty")
    }

    @Test func aPathOutOfTheArchive() async throws {
        var archive = ZipArchive()
        archive.add("cat/1.png", samplePicture(kind: 0, width: 8, height: 8, seed: 1).png())
        archive.add("../../ESCAPED", Array("x".utf8))
        let problem = try await failure(of: archive.bytes, type: "application/zip", task: .imageClassification)
        #expect(problem.code == "archive-path-escape")
        #expect(problem.errors.map(\.entry) == ["../../ESCAPED"])
    }

    @Test func anArchiveWithoutPictures() async throws {
        var archive = ZipArchive()
        for kind in ["cat", "dog"] {
            for number in 0..<10 { archive.add("\(kind)/\(number).png", Array("this is no picture".utf8)) }
        }
        let problem = try await failure(of: archive.bytes, type: "application/zip", task: .imageClassification)
        // All entries have one fault, which is the upload's: text is no format of pictures.
        #expect(problem.status == 415, "\(problem)")
        #expect(problem.errors.contains { $0.entry == "cat/0.png" }, "\(problem)")
    }

    @Test func anArchiveWithOneClassIsKeptButTrainsNothing() async throws {
        let (project, dataset) = try await admin.makeDataset(
            .imageClassification, sampleArchive(classes: 1, picturesPerClass: 20), type: "application/zip")
        let problem = try await admin.refusal {
            try await admin.post("/v1/projects/\(project)/experiments", ["dataset": .string(dataset)])
        }
        #expect(problem.status == 422)
        #expect(problem.code == "train-single-class")
        #expect(try await admin.list("/v1/projects/\(project)/experiments") == [])
    }

    @Test func raggedRows() async throws {
        let table = Array("a,b,kind\n1,2,x\n3,4\n5,6,7,y\n8,9,z\n".utf8)
        let problem = try await failure(of: table, type: "text/csv", task: .tabularClassification)
        #expect(problem.code == "table-ragged")
        #expect(problem.errors.contains { $0.row == 3 }, "\(problem)")
    }

    @Test func aTargetThatIsNoColumn() async throws {
        let (project, dataset) = try await admin.makeDataset(.tabularClassification, sampleTable(rows: 60), type: "text/csv")
        let problem = try await admin.refusal {
            try await admin.post(
                "/v1/projects/\(project)/experiments", ["dataset": .string(dataset), "target": "colour of the sky"])
        }
        #expect(problem.status == 422)
        #expect(problem.code == "train-no-label-column")
        #expect(problem.errors.contains { $0.pointer == "/target" }, "\(problem)")
    }

    @Test func anUnknownMember() async throws {
        let problem = try await admin.refusal {
            try await admin.post("/v1/projects", ["name": "zoo", "descriptoin": "a typo"])
        }
        #expect(problem.status == 422)
        #expect(problem.errors.map(\.pointer) == ["/descriptoin"])
        #expect(try await admin.list("/v1/projects").allSatisfy { $0["name"] != "zoo" })
    }

    @Test func aGoodUploadAfterABadOneIsVersionTwo() async throws {
        let dataset = try await admin.makeDataset(in: admin.makeProject(), .tabularClassification)
        let bad = try await admin.upload(Array("a,b\n1\n".utf8), type: "text/csv", to: dataset)
        #expect(bad["status"] == "failed")
        let good = try await admin.upload(sampleTable(rows: 60), type: "text/csv", to: dataset)
        #expect(good["status"] == "ready", "\(good)")
        #expect(try await admin.get("/v1/datasets/\(dataset)")["latest_version"] == good["version"])
    }

    @Test func anArchiveAsWindowsAndMacOSWriteIt() async throws {
        var archive = ZipArchive()
        let names: [(class: [UInt8], number: Int)] = (0..<10).flatMap { [([0xc3, 0xa8], $0), ([0xb9, 0xb7], $0)] }  // 猫, 狗
        for (index, (name, number)) in names.enumerated() {
            let picture = samplePicture(kind: index % 2, width: 12, height: 12, seed: UInt64(number))
            archive.add(name: Array("photos/".utf8) + name + Array("/\(number).png".utf8), picture.png(), flags: 0, mode: 0)
        }
        archive.add("__MACOSX/photos/._1.png", [0, 5, 22, 7])
        archive.add("photos/.DS_Store", [0, 0, 0, 1])
        archive.add("photos/Thumbs.db", [0xd0, 0xcf, 0x11, 0xe0])
        let (_, dataset) = try await admin.makeDataset(.imageClassification, archive.bytes, type: "application/zip")
        let version = try await admin.get("/v1/datasets/\(dataset)/versions/1")
        #expect(Set(version["classes"]?.array.compactMap { $0["name"]?.stringValue } ?? []) == ["猫", "狗"])
        #expect(version["items"] == 20)
        #expect(version["rejected"] == 0)
    }
}

func decode(_ problem: JSON?) throws -> Problem {
    try JSONDecoder().decode(Problem.self, from: JSONEncoder().encode(try #require(problem)))
}
