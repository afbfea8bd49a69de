/// Why bytes are not usable sound. `code` and `status` are what a web service answers.
public enum WaveformError: Error, Equatable, CustomStringConvertible {
    /// Longer than the caller allows; `declaredSeconds` is what the header says, nil when it leaves that open.
    case tooLong(limitSeconds: Double, declaredSeconds: Double?)
    /// The bytes begin as a file of this format and then are damaged or end early.
    case corrupt(WaveformFormat?, reason: String)
    /// A valid file of a kind that isn't read: another codec, a rate or a number of channels that isn't allowed.
    case unsupported(WaveformFormat, reason: String)
    /// The bytes are something else, whatever name or media type came with them.
    case mismatch(found: String)

    public var code: String {
        switch self {
        case .tooLong: "audio-too-long"
        case .corrupt: "audio-corrupt"
        case .unsupported: "audio-unsupported"
        case .mismatch: "media-type-mismatch"
        }
    }

    public var status: Int {
        switch self {
        case .tooLong: 413
        case .corrupt, .unsupported: 422
        case .mismatch: 415
        }
    }

    public var description: String {
        switch self {
        case .tooLong(let limit, let declared?):
            "The recording lasts \(declared) seconds; with its rate and channels, at most \(limit) are allowed."
        case .tooLong(let limit, nil): "The recording lasts more than the \(limit) seconds that are allowed."
        case .corrupt(let format?, let reason): "The \(format) file is damaged: \(reason)."
        case .corrupt(nil, let reason): "The recording is damaged: \(reason)."
        case .unsupported(let format, let reason): "This kind of \(format) file can't be read: \(reason)."
        case .mismatch(let found): "The bytes are \(found); a WAV or FLAC recording is expected."
        }
    }
}

public enum WaveformFormat: String, Sendable, Equatable, CustomStringConvertible {
    case wav, flac

    public var mediaType: String { "audio/" + rawValue }
    public var description: String { rawValue.uppercased() }

    /// By a file's first bytes. A WAV file's chunks are looked through, too.
    init(of file: ByteReading) throws(WaveformError) {
        if file.count == 0 { throw .corrupt(nil, reason: "it has no bytes") }
        if file.starts(with: Array("fLaC".utf8)) {
            self = .flac
        } else if file.starts(with: Array("RIFF".utf8)), file.part(8..<12)?.starts(with: Array("WAVE".utf8)) ?? true {
            self = .wav
            try WaveformFormat.checkChunks(of: file)
        } else {
            throw .mismatch(found: contentName(file))
        }
    }

    /// Refuses other codecs, before libsndfile looks for their decoders, and a file that was cut, of which libsndfile
    /// would take what is left.
    ///
    /// - Source: IBM and Microsoft, *Multimedia Programming Interface and Data Specifications 1.0*, 1991.
    private static func checkChunks(of file: ByteReading) throws(WaveformError) {
        var at = 12
        while let name = file.part(at..<at + 4), let size = file.long(at + 4, bigEndian: false) {
            if name.starts(with: Array("fmt ".utf8)) {
                // An extended header has the codec's number at the beginning of a longer name.
                let isExtended = file.word(at + 8, bigEndian: false) == 0xFFFE
                let codec = file.word(at + (isExtended ? 32 : 8), bigEndian: false)
                // PCM, floating point, A-law, µ-law.
                guard let codec, [1, 3, 6, 7].contains(codec) else {
                    throw .unsupported(.wav, reason: "its codec isn't PCM or G.711")
                }
            }
            if name.starts(with: Array("data".utf8)) {
                let rest = file.count - at - 8
                // What writes to a pipe doesn't know the size, and says the largest one.
                guard size <= rest || size >= 0x7FFF_0000 else {
                    throw .corrupt(.wav, reason: "it ends after \(rest) of the \(size) bytes of its samples")
                }
                return
            }
            at += 8 + size + size % 2
        }
        throw .corrupt(.wav, reason: "it ends before its samples")
    }
}
