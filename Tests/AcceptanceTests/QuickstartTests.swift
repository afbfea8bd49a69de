import Foundation
import SlipwayDomain
import Testing

/// What a newcomer runs first.
@Suite struct QuickstartTests {
    @Test func everythingIsShownOnADataDirectoryThatIsNew() async throws {
        try await Platform.with(isStarted: false) { platform in
            let place = platform.folder + "/new/place"
            let (ending, output) = try await platform.run(["quickstart", "--json", "--data-dir", place], within: .seconds(240))
            #expect(ending.isSuccess, "\(output)")
            let result = try JSONDecoder().decode(JSON.self, from: Data(output.utf8))
            for name in ["digits", "breast_cancer"] {
                let shown = try #require(result["data_sets"]?[name], "\(output)")
                #expect(try #require(shown["metrics"]).number("accuracy") > 0.9, "\(shown)")
                #expect(shown["prediction"]?["label"]?.stringValue?.isEmpty == false, "\(shown)")
            }
            #expect(FileManager.default.fileExists(atPath: place + "/admin.key"), "a data directory that was named is kept")
            #expect(!FileManager.default.fileExists(atPath: place + "/url"), "the platform is stopped")
        }
    }
}
