import Keel
import KeelModels
import KeelNN
import Testing

@Test func namesAreUniqueAndPlain() {
    let names = NamedNetwork.all.map(\.name)
    #expect(Set(names).count == names.count)
    #expect(names.allSatisfy { $0.allSatisfy { $0.isNumber || $0 == "-" || "a"..."z" ~= $0 } })
}

@Test func thereAreNetworksOfEachArea() {
    #expect(NamedNetwork.all.count >= 100)
    #expect(Set(NamedNetwork.all.map(\.area)) == Set(NamedNetwork.Area.allCases))
    #expect(NamedNetwork.all.allSatisfy { !$0.paper.isEmpty })
}

@Test(arguments: NamedNetwork.all.map(\.name))
func eachNetworkHasThePublishedParametersAndTheListedShapes(_ name: String) throws {
    let entry = try NamedNetwork(name), description = try entry.described()
    #expect(description.parameters == entry.parameters)
    if let published = entry.published {
        // Within half a unit of its last digit.
        #expect(abs(entry.parameters - published.parameters) <= published.rounding / 2, "\(published)")
    }
    #expect(description.outputs == entry.outputs.map(\.spec))
    #expect(Set(description.parts.map(\.name)).count == description.parts.count)
}

@Test func aNetworkCanBeMadeForOtherClasses() throws {
    let entry = try NamedNetwork("resnet-18"), description = try entry.described(classes: 7)
    #expect(description.outputs == [TensorSpec(Shape(.symbol("batch"), Dimension(7)), .float32)])
    #expect(description.parameters == entry.parameters - 993 * 513)
    #expect(throws: TensorError.self) { try entry.described(classes: 0) }
}

@Test func anUnknownNameIsRefusedWithThoseLikeIt() throws {
    let error = #expect(throws: TensorError.self) { try NamedNetwork("resnet-51") }
    #expect("\(try #require(error))".contains("resnet-50"))
}
