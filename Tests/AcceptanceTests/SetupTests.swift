import Foundation
import SlipwaySystem
import Testing

/// `make` runs ops/setup each time, so it must not be felt when there is nothing to do.
@Suite(.enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/dpkg-query"), "ops/setup knows Debian's packages"))
struct SetupTests {
    private func setup(_ arguments: [String], path: String = "/usr/bin:/bin") async throws -> (ChildProcess.Ending, String) {
        let file = FileManager.default.temporaryDirectory.path + "/slipway-setup-\(UUID())"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("opening \(file)") }
        defer {
            close(descriptor)
            unlink(file)
        }
        var command = ChildProcess.Command(repository + "/ops/setup", arguments, environment: ["PATH": path])
        command.descriptors = [nil, descriptor, descriptor]
        let ending = try await ChildProcess.spawn(command).wait().ending
        return (ending, try String(contentsOfFile: file, encoding: .utf8))
    }

    @Test(arguments: [[], ["--runtime"]]) func nothingMissingIsSilent(mode: [String]) async throws {
        let (ending, output) = try await setup(mode)
        #expect(ending.isSuccess)
        #expect(output == "")
    }

    @Test func theListIsForOtherTools() async throws {
        let (ending, output) = try await setup(["--runtime", "--list"])
        #expect(ending.isSuccess)
        let packages = output.split(separator: "\n")
        #expect(packages.contains("postgresql") && packages.contains("libpq5"))
        #expect(!packages.contains { $0.contains("-dev") })
    }

    @Test func anUnknownArgumentIsAUsageError() async throws {
        #expect(try await setup(["--everything"]).0 == .exited(code: 2))
    }
}
