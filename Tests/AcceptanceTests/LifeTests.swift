import Foundation
import SlipwayClient
import SlipwayDomain
import SlipwaySystem
import Testing

/// Starting, stopping, and what is left when there was no time to stop.
@Suite(.platformsOfItsOwn, .serialized) struct LifeTests {
    @Test func theFirstStartTakesUnderTenSecondsAndLaterOnesUnderTwo() async throws {
        try await Platform.with(isStarted: false) { platform in
            let first = try await ContinuousClock().measure { try await platform.start() }
            #expect(first < .seconds(10))
            #expect(try await platform.stop().ending.isSuccess)
            let second = try await ContinuousClock().measure { try await platform.start() }
            #expect(second < .seconds(2))
        }
    }

    @Test func aSecondPlatformOnOneDataDirectoryIsRefused() async throws {
        try await Platform.with { platform in
            let (ending, output) = try await platform.run(["up", "--data-dir", platform.dataDirectory, "--port", "0"])
            #expect(!ending.isSuccess)
            #expect(output.contains(platform.dataDirectory), "\(output)")
            #expect(try await platform.admin.with(key: nil).send("GET", "/readyz").status == 200)
        }
    }

    @Test func aKilledPlatformLeavesNoProcessAndStartsAgain() async throws {
        try await Platform.with { platform in
            let project = try await platform.admin.makeProject()
            let all = platform.processes
            #expect(all.count >= 4)  // postgres, api, worker, serve
            await platform.kill()
            try await eventually(within: .seconds(10), "every process of the killed platform is gone") {
                !all.contains { Foundation.kill($0, 0) == 0 }
            }
            try await platform.start()
            #expect(try await platform.admin.get("/v1/projects/\(project)")["id"]?.stringValue == project)
        }
    }

    @Test(arguments: [Platform.Role.api, .worker, .serve])
    func aKilledChildIsReplaced(role: Platform.Role) async throws {
        try await Platform.with { platform in
            let before = platform.processes(role)
            #expect(before.count == 1)
            for pid in before { Foundation.kill(pid, SIGKILL) }
            try await eventually(within: .seconds(2), "another \(role) runs") {
                let now = platform.processes(role)
                return now.count == 1 && Set(now).isDisjoint(with: before)
            }
            try await eventually(within: .seconds(10), "the platform is ready again") {
                (try? await platform.admin.with(key: nil).send("GET", "/readyz").status) == 200
            }
        }
    }

    @Test(.enabled(if: getuid() == 0, "the cluster has another user only when the platform runs as root"))
    func aFolderThatTheClustersUserCannotEnterIsNamed() async throws {
        try await Platform.with(isStarted: false) { platform in
            let closed = platform.folder + "/closed"
            try FileManager.default.createDirectory(
                atPath: closed, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            let (ending, output) = try await platform.run(["up", "--data-dir", closed + "/data", "--port", "0"])
            #expect(!ending.isSuccess)
            #expect(output.contains(closed), "\(output)")
        }
    }

    @Test func aDataDirectoryWhosePathIsTooLongForASocketWorks() async throws {
        try await Platform.with(dataName: String(repeating: "long-", count: 24) + "data") { platform in
            _ = try await platform.admin.makeProject()
        }
    }
}
