import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

/// Photos as people have them: the same pixels however they were stored, and one preprocessing in training and serving.
@Suite(.platform) struct PhotoTests {
    let admin = Platform.current.admin

    private struct Photo {
        let name: String
        let bytes: [UInt8]
        var type: String { name.hasSuffix(".png") ? "image/png" : "image/jpeg" }
    }

    private let classes = ["猫", "狗", "鸟", "Äpfel & Birnen", "plain"]

    /// Twenty a class: eight orientations, all modes, from 9 to 1,200 pixels a side, one of twelve megapixels.
    private func photos() throws -> [Photo] {
        let pngModes = Picture.PNGMode.allCases
        let jpegModes = Picture.JPEGMode.allCases
        return try classes.enumerated().flatMap { kind, name in
            try (0..<20).map { number in
                let side = [9, 24, 33, 64, 120, 17, 48, 300][number % 8]
                let (width, height) = number == 19 && kind == 0 ? (4000, 3000) : (side, max(9, side * (2 + number % 3) / 3))
                let picture = samplePicture(kind: kind, width: width, height: height, seed: UInt64(kind * 100 + number))
                if number % 3 == 0 {
                    return Photo(name: "\(name)/照片 \(number).png", bytes: picture.png(pngModes[(number / 3 + kind) % pngModes.count]))
                }
                let orientation = number % 9 == 8 ? nil : UInt8(number % 8 + 1)
                let stored = picture.stored(as: orientation ?? 1)
                let mode = jpegModes[(number + kind) % jpegModes.count]
                return Photo(name: "\(name)/IMG_\(number).JPG", bytes: try stored.jpeg(mode, orientation: orientation))
            }
        }
    }

    @Test func deployedAnswersAreTheEvaluations() async throws {
        let photos = try photos()
        #expect(photos.count == 100)
        var archive = ZipArchive()
        for photo in photos { archive.add(photo.name, photo.bytes) }
        let (project, dataset) = try await admin.makeDataset(.imageClassification, archive.bytes, type: "application/zip")
        let version = try await admin.get("/v1/datasets/\(dataset)/versions/1")
        #expect(version["items"] == 100)
        #expect(version["rejected"] == 0)
        #expect(Set(version["classes"]?.array.compactMap { $0["name"]?.stringValue } ?? []) == Set(classes))

        let experiment = try await admin.train(
            in: project, ["dataset": .string(dataset), "budget": ["trials": 1], "preset": "fast", "seed": 3])
        let modelVersion = try experiment.text("model_version")
        let deployment = try await admin.deploy(modelVersion, in: project)

        let held = try await admin.list("/v1/datasets/\(dataset)/versions/1/items?split=test")
        #expect(held.count == 20)
        var right = 0
        for item in held {
            let name = try item.text("name")
            let photo = try #require(photos.first { $0.name.precomposedStringWithCanonicalMapping == name }, "\(name)")
            let answer = try await admin.post("/v1/deployments/\(deployment)/predict", .bytes(photo.bytes), type: photo.type)
            #expect(answer["model_version"]?.stringValue == modelVersion)
            let label = try #require(answer["predictions"]?[0]).text("label")
            #expect(classes.contains(label))
            if label == item["annotation"]?["label"]?.stringValue { right += 1 }
        }
        let accuracy = try #require(experiment["metrics"]).number("accuracy")
        #expect(abs(accuracy - Double(right) / Double(held.count)) < 1e-9)
        #expect(accuracy > 0.5, "five classes that differ in colour and pattern")
    }

    @Test func eightOrientationsOfOnePictureGetOneAnswer() async throws {
        let (project, dataset) = try await admin.makeDataset(
            .imageClassification, sampleArchive(classes: 5, picturesPerClass: 12, side: 32), type: "application/zip")
        let experiment = try await admin.train(in: project, ["dataset": .string(dataset), "budget": ["trials": 1], "preset": "fast"])
        let deployment = try await admin.deploy(experiment.text("model_version"), in: project)
        let picture = samplePicture(kind: 1, width: 40, height: 24, seed: 9)
        var answers: [[Double]] = []
        for orientation in UInt8(1)...8 {
            let bytes = try picture.stored(as: orientation).jpeg(.colour, orientation: orientation, quality: 100)
            let answer = try await admin.post("/v1/deployments/\(deployment)/predict", .bytes(bytes), type: "image/jpeg")
            answers.append(try #require(answer["predictions"]?[0]?["scores"]).array.map { try $0.number("score") })
        }
        // JPEG's own rounding differs when rows become columns.
        for answer in answers {
            #expect(zip(answer, answers[0]).allSatisfy { abs($0 - $1) < 0.02 }, "\(answers)")
        }
    }

    @Test(arguments: [
        ("no picture at all", "image/png"), ("GIF89a;", "image/png"), ("<svg xmlns='http://www.w3.org/2000/svg'/>", "image/jpeg"),
        ("", "image/png"),
    ])
    func whatIsNoPictureIsRefusedByPredict(text: String, type: String) async throws {
        let (project, dataset) = try await admin.makeDataset(
            .imageClassification, sampleArchive(classes: 2, picturesPerClass: 10), type: "application/zip")
        let experiment = try await admin.train(in: project, ["dataset": .string(dataset), "budget": ["trials": 1], "preset": "fast"])
        let deployment = try await admin.deploy(experiment.text("model_version"), in: project)
        let problem = try await admin.refusal {
            try await admin.post("/v1/deployments/\(deployment)/predict", .bytes(Array(text.utf8)), type: type)
        }
        #expect([415, 422].contains(problem.status), "\(problem)")
        let picture = samplePicture(kind: 0, width: 16, height: 16, seed: 1).png()
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", .bytes(picture), type: "image/png")
        #expect(answer["predictions"]?.array.count == 1)
    }
}
