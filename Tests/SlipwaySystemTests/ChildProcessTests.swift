import Foundation
import Glibc
import SlipwaySystem
import Testing

private func shell(_ script: String, _ adjust: (inout ChildProcess.Command) -> Void = { _ in }) throws -> (
    ChildProcess.Exit, output: String
) {
    var command = ChildProcess.Command("/bin/sh", ["-c", script], environment: ["PATH": "/usr/bin:/bin"])
    adjust(&command)
    return try ChildProcess.run(command, withErrors: true)
}

@Suite struct ChildProcessTests {
    @Test func theExitIsTold() throws {
        #expect(try shell("exit 3").0.ending == .exited(code: 3))
        #expect(try shell("kill -9 $$").0.ending == .signalled(SIGKILL))
        #expect(try shell("true").0.ending.isSuccess)
    }

    @Test func argumentsEnvironmentAndDirectoryArrive() throws {
        var command = ChildProcess.Command(
            "/bin/sh", ["-c", "pwd; echo \"$GREETING|$HOME|$1\"", "sh", "a b\n'"], environment: ["GREETING": "hello, you"])
        command.directory = "/usr"
        #expect(try ChildProcess.run(command).output == "/usr\nhello, you||a b\n'\n")
    }

    @Test func aFailureBeforeTheProgramRunsIsTold() throws {
        #expect(throws: SystemError("executing /nonexistent/program", code: ENOENT)) {
            try ChildProcess.spawn(.init("/nonexistent/program"))
        }
        var command = ChildProcess.Command("/bin/true")
        command.directory = "/nonexistent"
        #expect(throws: SystemError("entering /nonexistent for /bin/true", code: ENOENT)) { try ChildProcess.spawn(command) }
        command.directory = nil
        command.descriptors = [nil, 9999, nil]
        #expect(throws: SystemError("handing descriptors to /bin/true", code: EBADF)) { try ChildProcess.spawn(command) }
    }

    @Test func onlyTheGivenDescriptorsReachTheChild() throws {
        // Without close-on-exec, as a careless library would leave them.
        let careless = (0..<5).map { _ in open("/dev/null", O_RDONLY) }
        defer { for descriptor in careless { close(descriptor) } }
        #expect(try shell("ls /proc/self/fd | tr '\\n' ' '").output == "0 1 2 3 ")  // 3 is the folder that ls reads
    }

    @Test func descriptorsMayCrossOver() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        // The parent's descriptor 1 becomes the child's 4, whatever stands at 4 here becomes another.
        var command = ChildProcess.Command("/bin/sh", ["-c", "echo three >&3; echo four >&4; echo one"])
        command.descriptors = [nil, ends[1], 2, ends[1], ends[1]]
        let child = try ChildProcess.spawn(command)
        close(ends[1])
        let output = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        #expect(try output.readToEnd().map { String(decoding: $0, as: UTF8.self) } == "three\nfour\none\n")
        #expect(try child.waitBlocking()?.ending.isSuccess == true)
    }

    @Test func limitsHold() throws {
        let output = try shell("ulimit -v; ulimit -t; ulimit -n; ulimit -f; ulimit -c") { command in
            command.limits = .init(addressSpaceBytes: 1 << 30, cpuSeconds: 60, descriptors: 32, fileBytes: 1 << 20)
        }.output
        #expect(output == "1048576\n60\n32\n2048\n0\n")
    }

    @Test func memoryKilledFirstIsSaid() throws {
        #expect(try shell("cat /proc/self/oom_score_adj") { $0.oomScoreAdjustment = 345 }.output == "345\n")
    }

    @Test(.enabled(if: geteuid() == 0)) func theUserIsSwitchedWithoutSupplementaryGroups() throws {
        let output = try shell("id -u; id -G; grep -h CapEff /proc/self/status") { $0.user = .init(uid: 65_534, gid: 65_534) }.output
        #expect(output == "65534\n65534\nCapEff:\t0000000000000000\n")
    }

    @Test func signalsOfTheChildHaveTheirDefaults() throws {
        let output = try ChildProcess.run(ChildProcess.Command("/bin/cat", ["/proc/self/status"])).output
        let lines = output.split(separator: "\n").filter { ["SigBlk", "SigIgn", "SigCgt"].contains($0.prefix(6)) }
        // 32 and 33 are the C library's own, which it lets nobody set.
        let masks = lines.compactMap { UInt64($0.split(separator: "\t")[1], radix: 16) }.map { $0 & ~(0b11 << 31) }
        #expect(masks == [0, 0, 0])
    }

    @Test func nothingOfTheGroupOutlivesTheChild() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        var command = ChildProcess.Command("/bin/sh", ["-c", "sleep 3600 & sleep 3600 & exit 0"], environment: ["PATH": "/usr/bin:/bin"])
        command.descriptors = [nil, ends[1], nil]
        let child = try ChildProcess.spawn(command)
        close(ends[1])
        #expect(try child.waitBlocking()?.ending.isSuccess == true)
        // The pipe ends when the last holder has gone.
        var byte: UInt8 = 0
        #expect(read(ends[0], &byte, 1) == 0)
        close(ends[0])
    }

    @Test func theGroupIsSignalledAsOne() throws {
        var command = ChildProcess.Command("/bin/sh", ["-c", "sleep 3600 | sleep 3600"], environment: ["PATH": "/usr/bin:/bin"])
        command.group = .newSession
        let child = try ChildProcess.spawn(command)
        #expect(try child.waitBlocking(timeout: .milliseconds(1)) == nil)
        child.signalGroup(SIGTERM)
        #expect(try child.waitBlocking()?.ending == .signalled(SIGTERM))
        child.signalGroup(SIGKILL)
        child.signal(SIGKILL)
    }

    @Test func manyWaitForOneChild() async throws {
        let child = try ChildProcess.spawn(.init("/bin/sh", ["-c", "exit 5"]))
        let exits = await withTaskGroup(of: ChildProcess.Exit.self) { group in
            for _ in 0..<10 { group.addTask { await child.wait() } }
            return await group.reduce(into: [ChildProcess.Exit]()) { $0.append($1) }
        }
        #expect(exits.allSatisfy { $0.ending == .exited(code: 5) })
        #expect(await child.wait().ending == .exited(code: 5))
        #expect(try child.poll()?.ending == .exited(code: 5))
    }

    @Test func manyChildrenStartAtOnce() async throws {
        let codes = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<64 {
                group.addTask {
                    guard
                        case .exited(let code) = await (try ChildProcess.spawn(.init("/bin/sh", ["-c", "exit \(number)"]))).wait()
                            .ending
                    else { return -1 }
                    return Int(code)
                }
            }
            return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(codes == Set(0..<64))
    }

    @Test func resourcesAreMeasured() throws {
        let (exit, _) = try shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        #expect(exit.cpuTime > .zero && exit.cpuTime < .seconds(60))
        #expect(exit.peakMemoryBytes > 100_000)
        let child = try ChildProcess.spawn(.init("/bin/sh", ["-c", "read line"]))
        child.signal(SIGKILL)
        _ = try child.waitBlocking()
        #expect(child.peakMemory == nil)
    }
}

@Suite struct FileLockTests {
    @Test func aLockIsHeldOnceAndFreeAfterwards() throws {
        let path = "/tmp/slipway-lock-\(UUID().uuidString)"
        defer { unlink(path) }
        var lock: FileLock? = try FileLock(path: path)
        #expect(lock?.path == path)
        do {
            _ = try FileLock(path: path)
            Issue.record("a lock was given twice")
        } catch let held as FileLock.Held {
            #expect(held.holder == getpid())
        }
        lock = nil
        _ = try FileLock(path: path)
    }

    @Test func aFolderThatIsMissingIsNamed() {
        #expect(throws: SystemError("opening /nonexistent/lock", code: ENOENT)) { try FileLock(path: "/nonexistent/lock") }
    }
}
