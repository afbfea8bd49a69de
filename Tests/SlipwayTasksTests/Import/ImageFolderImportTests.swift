import Foundation
import KeelData
import KeelDecoders
import SlipwayDomain
import SlipwayTasks
import Testing

private func imported(_ zip: SampleZip, limits: ImportLimits = ImportLimits(), threads: Int = 2) throws -> Imported {
    try Imported(zip.bytes, task: .imageClassification, limits: limits, threads: threads)
}

private func problem(_ zip: SampleZip, limits: ImportLimits = ImportLimits()) throws -> Problem? {
    #expect(throws: Problem.self) { try imported(zip, limits: limits) }
}

/// `classes` folders of `count` pictures each.
private func sampleZip(classes: [String] = ["cat", "dog"], count: Int = 3, under folder: String = "") throws -> SampleZip {
    var zip = SampleZip()
    for (number, name) in classes.enumerated() {
        for picture in 0..<count { zip.add("\(folder)\(name)/\(picture).png", try samplePNG(10 * number + picture)) }
    }
    return zip
}

// MARK: - What is taken

@Test func aFolderIsAClassAndEveryPictureAnItem() throws {
    var zip = try sampleZip()
    zip.add("loose.png", try samplePNG(100))
    zip.add("unlabelled/x.jpg", try samplePicture(101, width: 30, height: 20).jpeg())
    let result = try imported(zip)
    #expect(
        result.items.map(\.name) == [
            "cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/2.png", "loose.png", "unlabelled/x.jpg",
        ])
    #expect(result.items.map(\.label) == ["cat", "cat", "cat", "dog", "dog", "dog", nil, nil])
    #expect(result.items.map(\.mediaType).last == "image/jpeg" && result.items.last?.width == 30 && result.items.last?.height == 20)
    #expect(Set(result.items.map(\.sha256)).count == 8 && result.stagedFiles == 8)
    let profile = try #require(result.summary?.profile)
    #expect(profile.items == 8 && profile.unlabelled == 2)
    #expect(profile.classes == [ClassCount(name: "cat", count: 3), ClassCount(name: "dog", count: 3)])
    #expect(profile.medianWidth == 12 && profile.medianHeight == 8)
}

@Test func theDigestIsThatOfTheBytes() throws {
    let picture = try samplePNG(1)
    let item = try #require(try imported(SampleZip([("a/x.png", picture), ("b/y.png", try samplePNG(2))])).items.first)
    #expect(item.sha256?.count == 64 && item.bytes == picture.count)
    // The digest's first 63 bits: the database's integers have a sign.
    let first = try #require(UInt64(item.sha256?.prefix(16) ?? "", radix: 16))
    #expect(item.splitHash == Int64(first >> 1))
}

@Test func whatSystemsLeaveBehindIsSkipped() throws {
    var zip = try sampleZip(under: "photos/")
    for name in [
        "__MACOSX/photos/cat/._0.png", "photos/.DS_Store", "photos/cat/Thumbs.db", "photos/dog/desktop.ini", "photos/.git/config",
        "photos/cat/._1.png",
    ] { zip.add(name, [1, 2, 3]) }
    zip.add("photos/", [])
    zip.add("photos/cat/", [])
    let result = try imported(zip)
    #expect(result.items.count == 6 && result.rejected.isEmpty)
    #expect(result.summary?.profile.classes.map(\.name) == ["cat", "dog"])
    #expect(result.summary?.warnings.contains { $0.contains("6 hidden and system files") } == true)
}

@Test func foldersAroundAllOthersAreTakenAway() throws {
    #expect(try imported(sampleZip(under: "a/b/")).summary?.profile.classes.map(\.name) == ["cat", "dog"])
    var one = try sampleZip(classes: ["cat"], under: "all/")
    #expect(try imported(one).summary?.profile.classes.map(\.name) == ["cat"])
    one = try sampleZip(classes: ["cat"])
    #expect(try imported(one).summary?.profile.classes.map(\.name) == ["cat"])
}

@Test func aNoteAtTheRootIsNoItem() throws {
    var zip = try sampleZip()
    zip.add("README.txt", Array("hello".utf8))
    let result = try imported(zip)
    #expect(result.items.count == 6 && result.rejected.isEmpty)
    #expect(result.summary?.warnings.contains { $0.contains("README.txt") } == true)
}

@Test func classesAreOrderedByUnicodeScalars() throws {
    let names = ["zebra", "Ant", "猫", "éclair", "🐦"]
    #expect(try imported(sampleZip(classes: names)).summary?.profile.classes.map(\.name) == ["Ant", "zebra", "éclair", "猫", "🐦"])
}

@Test(arguments: [
    (Array("猫咪/0.png".utf8), UInt16(1 << 11), [UInt8](), "猫咪"),  // marked as UTF-8
    (Array("猫咪/0.png".utf8), 0, [], "猫咪"),  // UTF-8 that doesn't say so, as macOS writes it
    ([0xC3, 0xA8, 0xDF, 0xE4] + Array("/0.png".utf8), 0, [], "猫咪"),  // GBK, as a Chinese Windows writes it
    (Array("cafe\u{301}/0.png".utf8), 0, [], "café"),  // decomposed, as macOS writes it
    (Array("Привет/0.png".utf8), 0, [], "Привет"),
])
func namesInAnyEncodingBecomeTheSameClass(_ name: [UInt8], _ flags: UInt16, _ extra: [UInt8], _ label: String) throws {
    var zip = SampleZip()
    zip.add("", try samplePNG(1)) {
        $0.name = name
        $0.flags = flags
        $0.extra = extra
    }
    zip.add("other/1.png", try samplePNG(2))
    let labels = try imported(zip).items.map(\.label)
    #expect(labels == [label, "other"])
    #expect(labels[0].map { Array($0.unicodeScalars) } == Array(label.precomposedStringWithCanonicalMapping.unicodeScalars))
}

@Test func infoZIPsUnicodeNameWinsOverTheStoredOne() throws {
    let stored = Array("??/0.png".utf8), unicode = Array("猫咪/0.png".utf8)
    var zip = SampleZip()
    let field = [1] + little(crc32(stored)) + unicode
    zip.add("", try samplePNG(1)) {
        $0.name = stored
        $0.extra = little(UInt16(0x7075)) + little(UInt16(field.count)) + field
    }
    #expect(try imported(zip).items.first?.label == "猫咪")
}

@Test func namesWhoseEncodingCantBeToldAreRefused() throws {
    for name in [[0x82, 0x91], [0xC3, 0xA8], [0xC9, 0xF8, 0x81]] as [[UInt8]] {
        var zip = SampleZip()
        zip.add("", try samplePNG(1)) { $0.name = name + Array("/0.png".utf8) }
        #expect(try problem(zip)?.code == "archive-bad-name", "\(name)")
    }
}

@Test func deflatedEntriesWithZip64FieldsAndSizesBehindTheDataAreRead() throws {
    // Written by Python's zipfile to a pipe: two deflated pictures, the second with zip64 fields.
    let base64 = """
        UEsDBBQACAAIAAAAIVgAAAAAAAAAAAAAAAAJAAAAY2F0LzEucG5n6wzwc+flkuJiYGDg9fRwCQLSIiDMwQQkmV53RTEwsJz3dHEM
        qWBkPMJi/ZuBiwIwqnlU86jmUc0DrHkvq97Dxh0Cc4ElHIOnq5/LOqeEJgBQSwcIEPAIQVAAAAAIBQAAUEsDBC0ACAAIAAAAIVgA
        AAAA//////////8JABQAZG9nLzIucG5nAQAQAAAAAAAAAAAAAAAAAAAAAADrDPBz5+WS4mJgYOD19HAJAtIiIMzBBCSZXndFMTCw
        nPd0cQypYGQ8wmL9m+EEBWBU86jmUc2jmgdYc9aqlevCBc5rAEs4Bk9XP5d1TglNAFBLBwjGs0fwUAAAAAAAAAAIBQAAAAAAAFBL
        AQIUAxQACAAIAAAAIVgQ8AhBUAAAAAgFAAAJAAAAAAAAAAAAAACkAQAAAABjYXQvMS5wbmdQSwECLQMtAAgACAAAACFYxrNH8FAA
        AAAIBQAACQAAAAAAAAAAAAAApAGHAAAAZG9nLzIucG5nUEsFBgAAAAACAAIAbgAAACoBAAAAAA==
        """
    let file = try #require(Data(base64Encoded: base64, options: .ignoreUnknownCharacters))
    let result = try Imported(Array(file), task: .imageClassification)
    #expect(result.items.map(\.label) == ["cat", "dog"] && result.items.allSatisfy { $0.width == 20 })
}

// MARK: - What is refused

@Test(arguments: [
    ("../x.png", "archive-path-escape"), ("a/../../x.png", "archive-path-escape"), ("/a/x.png", "archive-path-escape"),
    ("C:/a/x.png", "archive-path-escape"), ("c:x.png", "archive-path-escape"), ("a\\x.png", "archive-path-escape"),
    ("..\u{301}/../x.png", "archive-path-escape"), ("a/..", "archive-path-escape"), ("a/x\u{0}.png", "archive-bad-name"),
    ("a/x\n.png", "archive-bad-name"), ("", "archive-bad-name"), (".", "archive-bad-name"),
    ("a/inner.zip", "archive-nested"), ("a/inner.tar.gz", "archive-nested"), ("a/inner.7z", "archive-nested"),
    (String(repeating: "x", count: 5000), "archive-bad-name"),
])
func namesThatLeadAstrayAreRefused(_ name: String, _ code: String) throws {
    var zip = try sampleZip()
    zip.add(name, try samplePNG(50))
    let problem = try problem(zip)
    #expect(problem?.code == code && problem?.status == 422)
    #expect(problem?.errors.first?.entry != nil)
}

@Test func duplicatesInAnySpellingAreRefused() throws {
    for (first, second) in [
        ("a/x.png", "a/x.png"), ("a/X.png", "a/x.png"), ("é/x.png", "e\u{301}/x.png"), ("a/x", "a/x/"), ("./a/x.png", "a/x.png"),
    ] {
        let zip = SampleZip([(first, try samplePNG(1)), (second, try samplePNG(2))])
        #expect(try problem(zip)?.code == "archive-duplicate-entry", "\(first) \(second)")
    }
}

@Test(arguments: [
    (UInt16(0o120777), "archive-link-entry"), (0o020644, "archive-special-entry"), (0o060644, "archive-special-entry"),
    (0o010644, "archive-special-entry"), (0o140644, "archive-special-entry"),
])
func onlyFilesAndFoldersAreTaken(_ mode: UInt16, _ code: String) throws {
    var zip = try sampleZip()
    zip.add("cat/x.png", Array("/etc/passwd".utf8)) { $0.mode = mode }
    #expect(try problem(zip)?.code == code)
}

@Test func encryptedEntriesAndUnknownMethodsAreRefused() throws {
    for flags in [1, 1 << 6, 1 << 13] as [UInt16] {
        var zip = try sampleZip()
        zip.add("cat/x.png", try samplePNG(9)) { $0.flags = flags }
        #expect(try problem(zip)?.code == "archive-encrypted")
    }
    var zip = try sampleZip()
    zip.add("cat/x.png", try samplePNG(9)) { $0.method = 12 }
    #expect(try problem(zip)?.code == "archive-unsupported-method")
}

@Test func limitsHoldBeforeAnythingIsWritten() throws {
    var limits = ImportLimits()
    limits.archiveEntries = 5
    #expect(try problem(sampleZip(), limits: limits)?.code == "archive-too-many-entries")
    limits = ImportLimits()
    limits.archiveBytes = 500
    // Pictures hardly shrink: an archive of them may unpack to more than that.
    #expect(try imported(sampleZip(), limits: limits).items.count == 6)
    var padded = try sampleZip()
    padded.add("cat/zeros.png", [0]) { ($0.method, $0.declaredSize) = (8, 100_000) }
    let tooLarge = try problem(padded, limits: limits)
    #expect(tooLarge?.code == "archive-too-large" && tooLarge?.status == 413)
    limits = ImportLimits()
    limits.classes = 1
    #expect(try problem(sampleZip(), limits: limits)?.code == "dataset-too-many-classes")
}

@Test func headersThatLieAreFoundOut() throws {
    let changes: [(inout SampleZip.Entry) -> Void] = [
        { $0.declaredChecksum = 1 },
        { $0.localName = Array("dog/y.png".utf8) },
        { $0.headerOffset = 0 },  // the data of the first entry once more
        { $0.headerOffset = 0xFFFF_FF00 },
        { $0.method = 8 },  // says deflated, is stored
        { $0.declaredSize = 3; $0.method = 8 },
    ]
    for change in changes {
        var zip = try sampleZip()
        zip.add("cat/y.png", try samplePNG(9), change: change)
        #expect(try problem(zip)?.code == "archive-corrupt")
    }
    var zip = try sampleZip()
    zip.declaredCount = 7
    #expect(try problem(zip)?.code == "archive-corrupt")
}

@Test func anArchiveCutAnywhereIsCorrupt() throws {
    let file = try sampleZip().bytes
    for length in stride(from: 0, to: file.count, by: 13) {
        let problem = #expect(throws: Problem.self) { try Imported(Array(file[..<length]), task: .imageClassification) }
        #expect(["archive-corrupt", "archive-empty", "archive-unsupported"].contains(problem?.code), "\(length)")
    }
}

@Test func whatIsNoZipIsSaidToBeWhatItIs() throws {
    for (bytes, found) in [
        (try samplePNG(1), "PNG"), ([0x1F, 0x8B, 8, 0], "gzip"), (Array("Rar!\u{1A}".utf8), "RAR"),
        (Array("a,b\n1,2\n".utf8), "not an archive"),
    ] {
        let problem = #expect(throws: Problem.self) { try Imported(bytes, task: .imageClassification) }
        #expect(problem?.status == 415 && problem?.detail.contains(found) == true)
    }
}

@Test func deeperFoldersAreNamed() throws {
    var zip = try sampleZip()
    zip.add("cat/young/1.png", try samplePNG(70))
    let found = try problem(zip)
    #expect(found?.code == "archive-nested-folders" && found?.errors.first?.entry == "cat/young/1.png")
}

@Test func aFewBadPicturesAreListedAndSkipped() throws {
    var zip = try sampleZip(count: 30)
    zip.add("cat/bad.png", Array("not a picture".utf8))
    zip.add("dog/cut.png", Array(try samplePNG(3).dropLast(20)))
    let result = try imported(zip)
    #expect(result.items.count == 60)
    #expect(result.rejected.map(\.name) == ["cat/bad.png", "dog/cut.png"])
    #expect(result.rejected.map(\.code) == ["media-type-mismatch", "image-corrupt"])
    #expect(result.summary?.warnings.contains { $0.contains("2 of 62") } == true)
    #expect(result.stagedFiles == 60)
}

@Test func manyBadPicturesOrAnEmptiedClassFailTheImport() throws {
    var zip = try sampleZip(count: 10)
    for n in 0..<2 { zip.add("cat/bad\(n).png", Array("GIF89a".utf8)) }
    let many = try problem(zip)
    #expect(many?.code == "media-type-mismatch" && many?.status == 415)
    #expect(many?.errors.map(\.entry) == ["cat/bad0.png", "cat/bad1.png"])
    zip.add("cat/cut.png", Array(try samplePNG(3).dropLast(20)))
    #expect(try problem(zip)?.code == "dataset-rejected")

    var emptied = try sampleZip(count: 40)
    emptied.add("bird/1.png", Array("GIF89a".utf8))
    let lost = try problem(emptied)
    #expect(lost?.detail.contains("'bird'") == true)
}

@Test func aZipInAPicturesClothesIsNested() throws {
    var zip = try sampleZip()
    zip.add("cat/x.png", try sampleZip().bytes)
    #expect(try problem(zip)?.code == "archive-nested")
}

@Test func eventsDontDependOnThreads() throws {
    var zip = try sampleZip(count: 40)
    zip.add("cat/bad.png", [1, 2, 3])
    let one = try imported(zip, threads: 1), four = try imported(zip, threads: 4)
    #expect(one.items.map(\.name) == four.items.map(\.name) && one.items.map(\.sha256) == four.items.map(\.sha256))
    #expect(one.rejected == four.rejected)
}

@Test func copiesAndContradictionsAreWarnedOf() throws {
    var zip = try sampleZip()
    zip.add("cat/copy.png", try samplePNG(0))
    zip.add("dog/copy.png", try samplePNG(1))
    let warnings = try #require(try imported(zip).summary?.warnings)
    #expect(warnings.contains { $0.hasPrefix("2 pictures are exact copies of others") })
    #expect(warnings.contains { $0.hasPrefix("1 pictures are exact copies of pictures in another class") })
}

/// Damaged archives end in an import or a `Problem`: no crash, nothing else thrown.
@Test(arguments: 0..<300)
func mutatedArchivesNeverCrash(seed: Int) throws {
    var random = Mutations(seed: UInt64(seed + 1))
    var file = try sampleZip(classes: ["cat", "狗"], count: 2).bytes
    // Every other time in the directory at the end, which all else hangs on.
    let from = seed.isMultiple(of: 2) ? 0 : max(0, file.count - 300)
    file.replaceSubrange(from..., with: random.mutated(Array(file[from...])))
    do {
        _ = try Imported(file, task: .imageClassification)
    } catch {
        #expect(error is Problem, "\(error)")
    }
}

@Test func aNoteBesideOrInAFolderAroundAllIsNoClass() throws {
    for note in ["README.txt", "photos/README.txt", "photos/all/LICENSE"] {
        var zip = try sampleZip(under: "photos/all/")
        zip.add(note, Array("hello".utf8))
        let result = try imported(zip)
        #expect(result.summary?.profile.classes.map(\.name) == ["cat", "dog"], "\(note)")
        #expect(result.summary?.warnings.contains { $0.contains(note) } == true, "\(note)")
    }
}

@Test func aFileThatIsTooLargeForAPictureIsNotRead() throws {
    var zip = try sampleZip()
    // It says that it unpacks to more than 64 MiB; its bytes are no deflated ones at all.
    zip.add("cat/huge.png", [UInt8](repeating: 0xAB, count: 400_000)) {
        $0.method = 8
        $0.declaredSize = UInt32(64 << 20) + 1
    }
    let found = try problem(zip)
    #expect(found?.code == "image-too-large" && found?.status == 413 && found?.errors.first?.entry == "cat/huge.png")
}
