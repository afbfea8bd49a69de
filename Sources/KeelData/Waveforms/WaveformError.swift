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

    /// By a file's first bytes. The samples of a WAV file that was cut are missed here, because libsndfile takes what
    /// is left.
    init(of file: ByteReading) throws(WaveformError) {
        if file.count == 0 { throw .corrupt(nil, reason: "it has no bytes") }
        if file.starts(with: Array("fLaC".utf8)) {
            self = .flac
        } else if file.starts(with: Array("RIFF".utf8)), file.part(8..<12)?.starts(with: Array("WAVE".utf8)) ?? true {
            self = .wav
            try WaveformFormat.checkDataChunk(of: file)
        } else {
            throw .mismatch(found: contentName(file))
        }
    }

    /// - Source: IBM and Microsoft, *Multimedia Programming Interface and Data Specifications 1.0*, 1991.
    private static func checkDataChunk(of file: ByteReading) throws(WaveformError) {
        var at = 12
        while let size = file.long(at + 4, bigEndian: false) {
            if file.part(at..<at + 4)?.starts(with: Array("data".utf8)) == true {
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
