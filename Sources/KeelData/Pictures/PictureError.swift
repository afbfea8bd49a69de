/// Why bytes are not a usable picture. `code` and `status` are what a web service answers.
public enum PictureError: Error, Equatable, CustomStringConvertible {
    /// The header declares more pixels than the caller allows; nothing was inflated.
    case tooLarge(width: Int, height: Int, limit: Int)
    /// The bytes begin as a picture of this format and then are damaged or end early.
    case corrupt(PictureFormat?, reason: String)
    /// A valid file of a kind that isn't read: 12-bit, lossless or arithmetic JPEG and the like.
    case unsupported(PictureFormat, reason: String)
    /// The bytes are something else, whatever name or media type came with them.
    case mismatch(found: String)

    public var code: String {
        switch self {
        case .tooLarge: "image-too-large"
        case .corrupt: "image-corrupt"
        case .unsupported: "image-unsupported"
        case .mismatch: "media-type-mismatch"
        }
    }

    public var status: Int {
        switch self {
        case .tooLarge: 413
        case .corrupt, .unsupported: 422
        case .mismatch: 415
        }
    }

    public var description: String {
        switch self {
        case .tooLarge(let width, let height, let limit):
            "The picture is \(width) x \(height) pixels; at most \(limit) pixels are allowed."
        case .corrupt(let format?, let reason): "The \(format) file is damaged: \(reason)."
        case .corrupt(nil, let reason): "The picture is damaged: \(reason)."
        case .unsupported(let format, let reason): "This kind of \(format) file can't be read: \(reason)."
        case .mismatch(let found): "The bytes are \(found); a PNG or JPEG picture is expected."
        }
    }
}

public enum PictureFormat: String, Sendable, Equatable, CustomStringConvertible {
    case png, jpeg

    public var mediaType: String { "image/" + rawValue }
    public var description: String { rawValue.uppercased() }
}
