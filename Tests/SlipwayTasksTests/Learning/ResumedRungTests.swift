import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

@Suite struct ResumedRungTests {
    @Test func aRungThatGoesOnCountsWhatItHasTaken() throws {
        try Learning.with(.tabularClassification, sampleTable(task: .tabularClassification)) { learning in
            let recipe = try learning.recipe("table-network-classifier", ["epochs": 4])
            let first = try learning.rung(recipe, pieces: 1)
            let second = try learning.rung(recipe, until: 2, from: first.checkpoint, pieces: 1)
            let rest = try learning.rung(recipe, from: second.checkpoint)
            #expect(try #require(rest.result?.earlierSeconds) > 0)
            // The next rung has a time of its own.
            #expect(try learning.rung(recipe, number: 1, from: rest.checkpoint).result?.earlierSeconds == 0)
        }
    }
}
