internal import Foundation
internal import Keel
internal import KeelData
internal import KeelModels
internal import SlipwayDomain

/// What a learner learns from, prepared once as far as memory allows: features, or the pictures themselves.
struct NetworkSource: Sendable {
    let input: NetworkInput
    let features: Features
    let pictures: Pictures
    let augmentation: PictureAugmentation?
    let seed: UInt64

    enum Pictures: Sendable {
        case decoded([Picture])
        /// Too many to be kept: decoded whenever they are learned from.
        case files([URL], PicturePreparation)

        subscript(item: Int) -> Picture {
            get throws {
                switch self {
                case .decoded(let pictures): pictures[item]
                case .files(let files, let preparation): try preparation.picture(decoding: [UInt8](try Data(contentsOf: files[item])))
                }
            }
        }
    }

    enum Features: Sendable {
        /// One item after the other.
        case prepared([Float])
        /// Rows that are encoded whenever they are learned from.
        case rows([[String?]], TableEncoder.Batches)
        case none
    }

    /// Features beyond so many bytes aren't kept: one indicator a category makes much of a long table.
    private static let mostPreparedBytes = 512 << 20

    init(_ data: TrainingData, _ recipe: Recipe, directory: URL, models: ModelStore?, base: BaseModel?, threads: Int, lane: Lane) throws {
        seed = recipe.seed
        switch recipe.template.network {
        case .boostedTrees: preconditionFailure("trees aren't a network of Keel's")
        case .tableNetwork, .tableLinear, .importedTable:
            let rows = data.train.map { $0.row ?? [] }
            let encoder = if recipe.template.network.hasBase {
                try BaseModel.required(base).encoder(data.columns, rows)
            } else {
                TableEncoder(profiles: data.columns, target: data.target, rows: rows)
            }
            let waves = recipe.template.network == .tableNetwork ? recipe.integer("frequencies") : 0
            guard encoder.networkWidth(waves: waves) > 0 else { throw Problem.nothingToLearnFrom }
            input = .rows(encoder, waves: waves)
            let batches = TableEncoder.Batches(encoder, waves: waves)
            let bytes = 4 * rows.count * encoder.networkWidth(waves: waves)
            features = bytes <= Self.mostPreparedBytes ? .prepared(batches.networkMatrix(rows)) : .rows(rows, batches)
            (pictures, augmentation) = (.decoded([]), nil)
        case .imported:
            let files = data.train.map { URL(fileURLWithPath: $0.path ?? "", relativeTo: directory) }
            let preparation = try BaseModel.required(base).preparation
            input = .planes(preparation)
            features = .none
            let isSmall = preparation.count * files.count <= Self.mostPreparedBytes
            pictures = isSmall ? .decoded(try Self.load(files, threads: threads) { try preparation.picture(decoding: $0) }) : .files(files, preparation)
            augmentation = PictureAugmentation(recipe)
        case .resnet, .pictureFeatures:
            let files = data.train.map { URL(fileURLWithPath: $0.path ?? "", relativeTo: directory) }
            let preparation = try Self.preparation(of: files, recipe.template.input)
            let loaded = try Self.load(files, threads: threads) { try preparation.picture(decoding: $0) }
            if recipe.template.network == .resnet {
                input = .planes(preparation)
                features = .none
                pictures = .decoded(loaded)
                augmentation = PictureAugmentation(recipe)
            } else {
                let rows = loaded.map(PictureFeatures.of)
                let scale = PictureFeatures.Scale(rows)
                input = .features(preparation, scale)
                features = .prepared(rows.flatMap(scale.scaled))
                (pictures, augmentation) = (.decoded([]), nil)
            }
        case .pretrainedFeatures:
            let files = data.train.map { URL(fileURLWithPath: $0.path ?? "", relativeTo: directory) }
            guard let encoder = try recipe.template.network.encoder(from: models) else { preconditionFailure("the template has an encoder") }
            let encode: @Sendable () throws -> [[Float]] = {
                Threads.count = threads
                return try Self.encoded(files, encoder, threads: threads)
            }
            guard let rows = try Lane.run([(lane, encode)]).first else { preconditionFailure("a lane gives what it was handed") }
            let scale = PictureFeatures.Scale(rows)
            input = .encoded(NetworkInput.encoderPreparation, scale)
            features = .prepared(rows.flatMap(scale.scaled))
            (pictures, augmentation) = (.decoded([]), nil)
        }
    }

    /// What the encoder sees in each picture; a few of them are in memory at once.
    private static func encoded(_ files: [URL], _ encoder: PictureEncoder, threads: Int) throws -> [[Float]] {
        let prefetcher = Prefetcher(count: files.count, threads: threads, ahead: 64) { index in
            try NetworkInput.encoderPreparation.picture(decoding: [UInt8](try Data(contentsOf: files[index])))
        }
        var rows: [[Float]] = [], few: [Picture] = []
        while let picture = try prefetcher.next() {
            few.append(picture)
            if few.count < 16 { continue }
            rows += try encoder.rows(of: few)
            few = []
        }
        return rows + (try encoder.rows(of: few))
    }

    /// Pictures are scaled to about their own size, within the template's bounds: a multiple of 8.
    private static func preparation(of files: [URL], _ bounds: PictureInput?) throws -> PicturePreparation {
        let bounds = bounds ?? PictureInput(minimumSide: 16, maximumSide: 64)
        var sides: [Int] = []
        for file in files.prefix(200) {
            let bytes = try Data(contentsOf: file)
            if let header = try? bytes.withUnsafeBytes({ try PictureHeader($0, limits: PictureLimits()) }) {
                sides.append(max(header.width, header.height))
            }
        }
        let median = sides.sorted()[safe: sides.count / 2] ?? bounds.maximumSide
        let side = min(max((median + 7) / 8 * 8, bounds.minimumSide), bounds.maximumSide)
        return PicturePreparation(width: side, height: side, fit: .letterbox(fill: 128), scaling: .symmetric)
    }

    private static func load(
        _ files: [URL], threads: Int, _ decode: @escaping @Sendable ([UInt8]) throws -> Picture
    ) throws -> [Picture] {
        let prefetcher = Prefetcher(count: files.count, threads: threads, ahead: 64) { index in
            try decode([UInt8](try Data(contentsOf: files[index])))
        }
        var pictures: [Picture] = []
        while let picture = try prefetcher.next() { pictures.append(picture) }
        return pictures
    }

    /// The inputs of some training items, changed at random when an epoch is given.
    func values(_ items: ArraySlice<Int>, epoch: Int? = nil) throws -> [Float] {
        if case .planes(let preparation) = input {
            let chosen = try items.map { item -> Picture in
                guard let epoch, let augmentation else { return try pictures[item] }
                var generator = SeededGenerator(seed &+ UInt64(epoch) &* 0x1_0000_01B3, UInt64(item))
                return augmentation.augmented(try pictures[item], using: &generator)
            }
            return NetworkInput.planes(chosen, preparation)
        }
        switch features {
        case .rows(let rows, let batches): return batches.networkMatrix(items.map { rows[$0] })
        case .prepared(let matrix):
            let width = input.sizes.reduce(1, *)
            var values: [Float] = []
            values.reserveCapacity(items.count * width)
            for item in items { values += matrix[item * width..<(item + 1) * width] }
            return values
        case .none: return []
        }
    }
}

extension PictureAugmentation {
    fileprivate init(_ recipe: Recipe) {
        self.init(
            flip: recipe.number("flip") > 0 ? min(recipe.number("flip"), 1) : 0, shift: recipe.number("shift"),
            rotation: recipe.number("rotation"), zoom: recipe.number("zoom"),
            brightness: recipe.number("contrast") / 2, contrast: recipe.number("contrast"))
    }
}
