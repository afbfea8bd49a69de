internal import Foundation
internal import KeelData
package import SlipwayDomain

/// What may stand as a label, wherever it comes from.
package enum Label {
    /// The label that a target's field is; nil when it is none: of regression, whatever is no number counts as missing.
    static func text(_ field: String, isClassification: Bool) -> String? {
        let text = TableValue.category(field)
        return isClassification || Field.number(text) != nil ? text : nil
    }

    /// Why a label can't be given to an item; nil when it can.
    package static func fault(in label: String, for task: LearningTask) -> (code: String, detail: String)? {
        if label.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return ("label-invalid", "a label has no control characters")
        }
        let text = TableValue.category(label)
        guard !text.isEmpty else { return ("label-empty", "a label has a character at least; null takes a label away") }
        guard text == label else { return ("label-invalid", "a label has no spaces around it") }
        guard task.isClassification || Field.number(label) != nil else {
            return ("label-not-numeric", "'\(label.prefix(64))' is no number, and numbers are learned here")
        }
        return nil
    }
}
