internal import Foundation
internal import SlipwayDomain

/// Small pictures of held-out items.
struct Thumbnails {
    init(_ items: [DataItem]) {}
}

struct ReportPage {
    let report: Report
    init(_ report: Report, thumbnails: Thumbnails) { self.report = report }
    var html: String { "" }
}
