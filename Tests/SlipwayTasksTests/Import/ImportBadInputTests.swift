import BadInputs
import SlipwayDomain
import SlipwayTasks
import Testing

@Test(arguments: BadInputs.cases(via: "dataset-archive"))
func archiveOfTheCatalogueIsAnsweredAsItSays(_ row: BadInputs.Case) throws {
    try expectAnswer(row) { try Imported(file: BadInputs.path(of: row), task: .imageClassification) }
}

@Test(arguments: BadInputs.cases(via: "table"))
func tableOfTheCatalogueIsAnsweredAsItSays(_ row: BadInputs.Case) throws {
    try expectAnswer(row) { try Imported(file: BadInputs.path(of: row), task: .tabularClassification) }
}

private func expectAnswer(_ row: BadInputs.Case, _ body: () throws -> Imported) throws {
    do {
        let imported = try body()
        #expect(row.expect != "reject", "taken")
        #expect(!imported.items.isEmpty)
        if row.expect == "accept-warn" || row.expect == "reject-or-warn" {
            #expect(imported.summary?.warnings.isEmpty == false)
        }
    } catch let problem as Problem {
        #expect(["reject", "accept-or-reject", "reject-or-warn"].contains(row.expect), "\(problem)")
        #expect(problem.code == row.code && problem.status == row.status, "\(problem)")
        #expect(!problem.detail.contains("slipway-badinputs"), "a path of this machine is shown")
    }
}
