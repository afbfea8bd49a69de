internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// A zip of pictures, a folder for each class.
///
/// - `cat/1.jpg` is a picture of class `cat`. Pictures at the root, or in a folder `unlabelled`, have no label yet.
/// - One folder around everything is taken away.
/// - Every picture is decoded here, so that training can't meet one that doesn't decode. A picture that doesn't is
///   rejected and named; too many of them, or a class without any that does, fail the import.
struct ImageFolderImport {
    let plan: ImportPlan
    let directory: String
    let threads: Int

    private struct Candidate: Sendable {
        let entry: ZipArchive.Entry
        let name: String
        let label: String?
    }

    private enum Outcome: Sendable {
        case item(ImportedItem, hasColour: Bool)
        case rejected(RejectedItem, status: Int)
    }

    /// A larger file is no photograph, and isn't read.
    static let mostBytes = 64 << 20

    func run(_ emit: (TrainerEvent) throws -> Void) throws {
        do {
            let archive = try ZipArchive(path: plan.upload, limits: plan.limits)
            var warnings: [String] = []
            let candidates = try candidates(of: archive, warnings: &warnings)
            try read(candidates, of: archive, warnings: &warnings, emit)
        } catch let error as ArchiveError {
            if case .unreadable = error { throw error }
            throw error.problem
        }
    }

    // MARK: Names

    /// The pictures with their labels, from the names alone.
    private func candidates(of archive: ZipArchive, warnings: inout [String]) throws -> [Candidate] {
        var files = archive.entries.map { (entry: $0, parts: $0.name.split(separator: "/").map(String.init)) }
        var notes: [String] = []
        while true {
            let (left, others) = (files.filter { isNote($0.parts) }, files.filter { !isNote($0.parts) })
            if !others.isEmpty {
                notes += left.map(\.entry.name)
                files = others
            }
            // A folder around all others: the only one at the root, with folders in it.
            guard let wrapper = files.first?.parts.first, files.allSatisfy({ $0.parts.count > 1 && $0.parts[0] == wrapper }),
                files.contains(where: { $0.parts.count > 2 }), wrapper.lowercased() != "unlabelled"
            else { break }
            files = files.map { ($0.entry, Array($0.parts.dropFirst())) }
        }
        if !notes.isEmpty { warnings.append("Left out as notes: " + notes.prefix(5).joined(separator: ", ") + ".") }
        if let deep = files.first(where: { $0.parts.count > 2 }) {
            let places = files.filter { $0.parts.count > 2 }.prefix(5)
            throw Problem(
                422, "archive-nested-folders", title: "The folders are too deep",
                detail: """
                    '\(deep.entry.name)' lies in a folder within the folder '\(deep.parts[0])'. A class is one folder with its \
                    pictures directly in it; put each class's pictures together (train and test are split by us).
                    """,
                errors: places.map {
                    .init(entry: $0.entry.name, code: "archive-nested-folders", detail: "\($0.parts.count - 1) folders deep")
                })
        }
        let candidates = files.map { entry, parts in
            let isUnlabelled = parts.count == 1 || ["unlabelled", "_unlabelled"].contains(parts[0].lowercased())
            return Candidate(entry: entry, name: parts.joined(separator: "/"), label: isUnlabelled ? nil : parts[0])
        }
        let classes = Set(candidates.compactMap(\.label))
        guard classes.count <= plan.limits.classes else {
            throw Problem(
                422, "dataset-too-many-classes", title: "Too many classes",
                detail: "The archive has \(classes.count) class folders; at most \(plan.limits.classes) are allowed.")
        }
        return candidates
    }

    /// A text at the root that explains the data set, not an item of it.
    private func isNote(_ parts: [String]) -> Bool {
        guard parts.count == 1 else { return false }
        let lower = parts[0].lowercased()
        return [".txt", ".md", ".csv", ".json", ".html", ".pdf"].contains { lower.hasSuffix($0) }
            || lower == "readme" || lower == "license" || lower == "licence"
    }

    // MARK: Pictures

    private func read(
        _ candidates: [Candidate], of archive: ZipArchive, warnings: inout [String],
        _ emit: (TrainerEvent) throws -> Void
    ) throws {
        let staged = directory + "/staged"
        try FileManager.default.createDirectory(atPath: staged, withIntermediateDirectories: true)
        let outcomes = Prefetcher(count: candidates.count, threads: threads, ahead: 2 * threads) { [limits = plan.limits] in
            try outcome(of: candidates[$0], number: $0, archive, limits: limits, staged: staged)
        }
        var tally = Tally()
        var progress = ImportProgress()
        while let outcome = try outcomes.next() {
            tally.add(outcome)
            switch outcome {
            case .item(let item, _): try emit(.item(item))
            case .rejected(let item, _): try emit(.rejected(item))
            }
            try progress.report(tally.total, of: candidates.count, emit)
        }
        try tally.check(classes: Set(candidates.compactMap(\.label)), rejectedShare: plan.limits.rejectedShare)
        warnings += tally.warnings
        if archive.skipped > 0 { warnings.append("Left out: \(archive.skipped) hidden and system files.") }
        try emit(.imported(ImportSummary(format: "image-folder", profile: tally.profile, warnings: warnings)))
    }

    private func outcome(
        of candidate: Candidate, number: Int, _ archive: ZipArchive, limits: ImportLimits, staged: String
    ) throws -> Outcome {
        guard candidate.entry.size <= Self.mostBytes else {
            let reason = "The file has \(candidate.entry.size) bytes; a picture may have \(Self.mostBytes)."
            return .rejected(RejectedItem(name: candidate.name, code: "image-too-large", reason: reason), status: 413)
        }
        let bytes = try archive.contents(of: candidate.entry)
        if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) { throw ArchiveError.nested(entry: candidate.entry.name) }
        let header: PictureHeader
        let picture: Picture
        do throws(PictureError) {
            // At reduced scale every byte of a JPEG is still read; only the arithmetic is less.
            picture = try Picture(decoding: bytes, limits: PictureLimits(pixels: limits.imagePixels), minimumSide: 64)
            header = try PictureHeader(bytes)
        } catch {
            let rejected = RejectedItem(name: candidate.name, code: error.code, reason: error.description)
            return .rejected(rejected, status: error.status)
        }
        let digest = SHA256.digest(of: bytes)
        let path = "\(staged)/\(number)"
        try Data(bytes).write(to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        let item = ImportedItem(
            name: candidate.name, splitHash: digest.splitHash, label: candidate.label, file: "staged/\(number)",
            sha256: digest.description, bytes: bytes.count, mediaType: header.format.mediaType, width: header.width,
            height: header.height)
        return .item(item, hasColour: picture.hasColour)
    }
}

extension ImageFolderImport {
    /// What is known of all items once they were read.
    private struct Tally {
        private(set) var total = 0
        private var unlabelled = 0
        private var classes: [String: Int] = [:]
        private var rejected: [(item: RejectedItem, status: Int)] = []
        private var rejectedCount = 0
        private var widths: [Int] = [], heights: [Int] = []
        private var coloured = 0
        private var labels: [String: String?] = [:]
        private var twins = 0, contradictions = 0
        private var firstContradiction: String?

        mutating func add(_ outcome: Outcome) {
            total += 1
            switch outcome {
            case .rejected(let item, let status):
                rejectedCount += 1
                if rejected.count < 20 { rejected.append((item, status)) }
                codes.insert(item.code)
            case .item(let item, let hasColour):
                if let label = item.label { classes[label, default: 0] += 1 } else { unlabelled += 1 }
                widths.append(item.width ?? 0)
                heights.append(item.height ?? 0)
                coloured += hasColour ? 1 : 0
                guard let digest = item.sha256 else { return }
                guard let twin = labels.updateValue(item.label, forKey: digest) else { return }
                twins += 1
                if twin != item.label, twin != nil, item.label != nil {
                    contradictions += 1
                    firstContradiction = firstContradiction ?? item.name
                }
            }
        }

        private var codes: Set<String> = []

        /// Refuses a version that lost too much. When all the faults are one, the problem is that one.
        func check(classes expected: Set<String>, rejectedShare: Double) throws {
            let emptied = expected.subtracting(classes.keys).sorted()
            let isTooMany = Double(rejectedCount) > rejectedShare * Double(total)
            guard isTooMany || !emptied.isEmpty, let first = rejected.first else { return }
            let places = rejected.map { Problem.Place(entry: $0.item.name, code: $0.item.code, detail: $0.item.reason) }
            let named = rejected.prefix(3).map { "'\($0.item.name)': \($0.item.reason)" }.joined(separator: " ")
            var detail = "\(rejectedCount) of \(total) files can't be used. \(named)"
            if !emptied.isEmpty {
                detail = "No picture of the class '\(emptied[0])' can be used. " + detail
            }
            throw Problem(
                codes.count == 1 ? first.status : 422, codes.count == 1 ? first.item.code : "dataset-rejected",
                title: "Too many files can't be used", detail: detail, errors: places)
        }

        var warnings: [String] {
            var warnings: [String] = []
            if rejectedCount > 0 { warnings.append("\(rejectedCount) of \(total) files were rejected.") }
            if twins > 0 { warnings.append("\(twins) pictures are exact copies of others.") }
            if let firstContradiction {
                warnings.append(
                    "\(contradictions) pictures are exact copies of pictures in another class, '\(firstContradiction)' for one.")
            }
            if unlabelled > 0 { warnings.append("\(unlabelled) pictures have no label; training leaves them out.") }
            return warnings
        }

        var profile: DatasetProfile {
            let items = widths.count
            return DatasetProfile(
                items: items, unlabelled: unlabelled,
                classes: classes.map { ClassCount(name: $0.key, count: $0.value) }.sorted {
                    $0.name.unicodeScalars.lexicographicallyPrecedes($1.name.unicodeScalars)
                },
                medianWidth: median(widths), medianHeight: median(heights),
                colourShare: items > 0 ? Double(coloured) / Double(items) : nil)
        }

        private func median(_ values: [Int]) -> Int? {
            values.isEmpty ? nil : values.sorted()[values.count / 2]
        }
    }
}
