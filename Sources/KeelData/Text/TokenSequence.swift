/// Cuts texts into tokens of a vocabulary and puts them together again. Text never makes a special token, whatever it
/// says: those are added by a `TokenFrame`.
public protocol Tokenizer: Sendable {
    func encode(_ text: String) -> TokenSequence
    /// The text of these tokens; numbers that the vocabulary doesn't have are left out.
    func decode(_ ids: [Int]) -> String
    /// The number of a token by its name in the vocabulary's file, `[CLS]` or `<s>` say.
    func id(of token: String) -> Int?
}

/// Tokens, and where in the text each came from.
public struct TokenSequence: Sendable, Hashable {
    public internal(set) var ids: [Int] = []
    /// Bytes of the source's UTF-8, whole characters; nil for a special token.
    public internal(set) var sources: [Range<Int>?] = []
    /// 0 for the first text, 1 for the second of a pair.
    public internal(set) var segments: [Int] = []

    mutating func append(_ id: Int, _ source: Range<Int>?, segment: Int = 0) {
        ids.append(id)
        sources.append(source)
        segments.append(segment)
    }
}

/// The special tokens around a text or a pair of texts, such as BERT's `[CLS] a [SEP] b [SEP]`.
public struct TokenFrame: Sendable, Hashable, Codable {
    public var before, between, after: [Int]

    public init(before: [Int] = [], between: [Int] = [], after: [Int] = []) {
        self.before = before
        self.between = between
        self.after = after
    }

    /// The texts within the frame, cut at their ends so that there are at most `limit` tokens: of a pair, always the
    /// longer one is cut, and the second where both are equally long.
    ///
    /// `between` counts as the first text's, `after` as the last one's.
    /// - Precondition: the special tokens alone don't exceed `limit`.
    public func framed(_ first: TokenSequence, _ second: TokenSequence? = nil, limit: Int = .max) -> TokenSequence {
        let room = limit - before.count - after.count - (second == nil ? 0 : between.count)
        precondition(room >= 0, "the limit leaves room for the special tokens")
        var (a, b) = (first.ids.count, second?.ids.count ?? 0)
        if a + b > room {
            let half = room / 2
            if min(a, b) <= half {
                if a > b { a = room - b } else { b = room - a }
            } else {
                (a, b) = (room - half, half)
            }
        }
        var result = TokenSequence()
        func add(_ ids: [Int], segment: Int) { for id in ids { result.append(id, nil, segment: segment) } }
        add(before, segment: 0)
        for index in 0..<a { result.append(first.ids[index], first.sources[index]) }
        if let second {
            add(between, segment: 0)
            for index in 0..<b { result.append(second.ids[index], second.sources[index], segment: 1) }
        }
        add(after, segment: second == nil ? 0 : 1)
        return result
    }
}

/// Why a vocabulary's file isn't one.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// `line` counts from 1.
    case malformed(file: String, line: Int?, reason: String)
    case missingToken(String, file: String)

    public var description: String {
        switch self {
        case .malformed(let file, let line?, let reason): "\(file), line \(line): \(reason)."
        case .malformed(let file, nil, let reason): "\(file): \(reason)."
        case .missingToken(let token, let file): "\(file) has no token '\(token)'."
        }
    }
}
