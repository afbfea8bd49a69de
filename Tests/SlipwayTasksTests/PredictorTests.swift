import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

@Suite struct PredictorTests {
    private func body(_ inputs: [JSON]) throws -> Data { try JSONEncoder().encode(["inputs": JSON.array(inputs)]) }

    @Test func aCallOfRowsHasALimitAndEndsWhenNobodyWaits() throws {
        try Learning.with(.tabularClassification, sampleTable(rows: 60, task: .tabularClassification)) { learning in
            let predictor = try Predictor(folder: learning.model(learning.recipe("linear-classifier", ["epochs": 1])))
            let most = [JSON](repeating: ["length": 3], count: Predictor.mostRows)
            // Batches are put together in order, and a fault keeps its place.
            var mixed = most
            mixed[Predictor.mostRows - 1] = ["length": 9]
            let answers = try JSONDecoder().decode(
                JSON.self, from: predictor.predict(json: body(mixed)).json(modelVersion: "v"))["predictions"]?.elements ?? []
            #expect(answers.count == Predictor.mostRows && Set(answers.dropLast()).count == 1 && answers.first != answers.last)
            mixed[700] = ["length": "long"]
            let wrong = #expect(throws: Problem.self) { try predictor.predict(json: body(mixed)) }
            #expect(wrong?.errors.first?.pointer == "/inputs/700/length")

            let tooMany = #expect(throws: Problem.self) { try predictor.predict(json: body(most + most)) }
            #expect(tooMany?.status == 413 && tooMany?.errors.first?.pointer == "/inputs")

            var asked = 0
            #expect(throws: CancellationError.self) {
                try predictor.predict(json: body(most)) {
                    asked += 1
                    return asked > 2
                }
            }
            #expect(asked == 3)
        }
    }

    @Test func aCallOfPicturesHasALimitAndARawOneNoPlaces() throws {
        try Learning.with(.imageClassification, samplePictures(perClass: 12)) { learning in
            let predictor = try Predictor(folder: learning.model(learning.recipe("picture-features", ["epochs": 1])))
            let picture: JSON = ["base64": .string(Data(try samplePicture(lies: true, seed: 3)).base64EncodedString())]
            let most = [JSON](repeating: picture, count: Predictor.mostPictures)
            #expect(try predictor.predict(json: body(most)).count == most.count)
            #expect(#expect(throws: Problem.self) { try predictor.predict(json: body(most + [picture])) }?.status == 413)
            let broken = #expect(throws: Problem.self) { try predictor.predict(json: body(most.dropLast() + [["base64": "AAAA"]])) }
            #expect(broken?.errors.first?.pointer == "/inputs/\(most.count - 1)")
            // The body is the picture: it has no place to point to.
            #expect(#expect(throws: Problem.self) { try predictor.predict(pictureBytes: [0, 1, 2]) }?.errors == [])
        }
    }

    /// A model folder is a file like others: what its parts say of each other is checked before anything is computed.
    @Test func aScaleThatDoesNotFitItsFeaturesIsRefused() throws {
        try Learning.with(.imageClassification, samplePictures(perClass: 12)) { learning in
            let folder = try learning.model(learning.recipe("picture-features", ["epochs": 1])), file = folder.appending(path: "model.json")
            let written = try String(contentsOf: file, encoding: .utf8)
            // The first is the preparation's, of three channels.
            for (place, fault) in [("deviation", "[]"), ("mean", "[0.5]")] {
                let found = try #require(written.ranges(of: try Regex("\"\(place)\":\\[[^\\]]*\\]")).last)
                try written.replacingCharacters(in: found, with: "\"\(place)\":\(fault)").write(to: file, atomically: true, encoding: .utf8)
                #expect(throws: ModelFault.self) { try Predictor(folder: folder) }
            }
            try written.write(to: file, atomically: true, encoding: .utf8)
            try Predictor(folder: folder).warmUp()
        }
    }
}
