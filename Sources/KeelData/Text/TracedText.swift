internal import Foundation

/// One change of a text before it is cut into tokens.
public enum TextStep: String, Sendable, Hashable, Codable, CaseIterable {
    /// The normalisation forms of Unicode Standard Annex 15.
    case nfc, nfd, nfkc, nfkd
    /// Each character by its own lower case (so a final sigma is like any other).
    case lowercased
    /// Form NFD without nonspacing marks: `é` becomes `e`.
    case withoutAccents
    /// Without control, format, private and unassigned characters and U+FFFD; every white space is a blank.
    case cleaned
    /// With a blank on both sides of each CJK ideograph, so that each is a word.
    case spacedIdeographs

    /// What BERT does to a text.
    ///
    /// - Source: Devlin, Chang, Lee and Toutanova, *BERT*, 2019, and the tokenisation published with it.
    public static func bert(lowercased: Bool) -> [TextStep] {
        [.cleaned, .spacedIdeographs] + (lowercased ? [.withoutAccents, .lowercased] : [])
    }
}

extension String {
    /// The text after these steps, in order.
    public func changed(by steps: [TextStep]) -> String { TracedText(self).changed(by: steps).text }
}

/// A text as scalars that know which bytes of the source they came from.
struct TracedText: Sendable {
    private(set) var scalars: [Unicode.Scalar] = []
    /// In bytes of the source's UTF-8.
    private(set) var sources: [Range<Int>] = []

    private init() {}

    init(_ text: String) {
        var start = 0
        for scalar in text.unicodeScalars {
            let end = start + UTF8.width(scalar)
            append(scalar, start..<end)
            start = end
        }
    }

    var text: String { scalars.text }

    mutating func append(_ scalar: Unicode.Scalar, _ source: Range<Int>) {
        scalars.append(scalar)
        sources.append(source)
    }

    /// The source of the scalars in `range`, which isn't empty.
    func source(of range: Range<Int>) -> Range<Int> {
        sources[range.lowerBound].lowerBound..<sources[range.upperBound - 1].upperBound
    }

    func changed(by steps: [TextStep]) -> TracedText {
        steps.reduce(self) { text, step in
            switch step {
            case .nfc: text.normalized(\.precomposedStringWithCanonicalMapping)
            case .nfd: text.normalized(\.decomposedStringWithCanonicalMapping)
            case .nfkc:
                // In two passes: characters apart may decompose compatibly into one that composes.
                text.normalized(\.decomposedStringWithCompatibilityMapping)
                    .normalized(\.precomposedStringWithCanonicalMapping)
            case .nfkd: text.normalized(\.decomposedStringWithCompatibilityMapping)
            case .lowercased: text.mapped { scalar in Array(scalar.properties.lowercaseMapping.unicodeScalars) }
            case .withoutAccents:
                text.normalized(\.decomposedStringWithCanonicalMapping)
                    .mapped { $0.properties.generalCategory == .nonspacingMark ? [] : [$0] }
            case .cleaned: text.mapped { $0.isBlank ? [" "] : $0.isOther || $0 == "\u{FFFD}" ? [] : [$0] }
            case .spacedIdeographs: text.mapped { $0.isIdeograph ? [" ", $0, " "] : [$0] }
            }
        }
    }

    private func mapped(_ change: (Unicode.Scalar) -> [Unicode.Scalar]) -> TracedText {
        var result = TracedText()
        for (scalar, source) in zip(scalars, sources) {
            for new in change(scalar) { result.append(new, source) }
        }
        return result
    }

    /// Character by character, as none composes canonically with its neighbours. What a character of several scalars
    /// became has all of it as its source.
    private func normalized(_ form: (String) -> String) -> TracedText {
        var result = TracedText()
        var start = 0
        for character in text {
            let end = start + character.unicodeScalars.count
            let new = character.isASCII ? Array(scalars[start..<end]) : Array(form(String(character)).unicodeScalars)
            let isSame = new.elementsEqual(scalars[start..<end])
            for (index, scalar) in new.enumerated() {
                result.append(scalar, isSame ? sources[start + index] : source(of: start..<end))
            }
            start = end
        }
        return result
    }
}

extension Sequence<Unicode.Scalar> {
    var text: String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: self)
        return String(view)
    }
}

extension Unicode.Scalar {
    var isBlank: Bool { properties.isWhitespace }

    var isLetter: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    var isNumber: Bool {
        switch properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: true
        default: false
        }
    }

    /// Unicode's P, and all of ASCII that is neither letter, digit nor blank.
    var isPunctuation: Bool {
        switch properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            true
        default: value > 32 && value < 127 && !isLetter && !isNumber
        }
    }

    fileprivate var isOther: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned: true
        default: false
        }
    }

    /// The blocks that BERT takes for CJK ideographs.
    fileprivate var isIdeograph: Bool {
        switch value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF,
            0xF900...0xFAFF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }
}
