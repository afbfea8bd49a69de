import Foundation
import KeelDecoders
import SlipwayDecoders

// `fuzz DECODER FILE...` runs a decoder over files. As `make fuzz` builds it, `fuzz DECODER FOLDER FLAG...` is libFuzzer's program, which makes
// new files from those of the folder, to begin with the decoder's seeds, for as long as they reach new code.

/// The decoder that the first argument names.
private func decoder(named name: String?) -> ByteDecoder {
    let decoders = keelDecoders + slipwayDecoders
    guard let found = decoders.first(where: { $0.name == name }) else {
        print("usage: fuzz DECODER FILE...\ndecoders: \(decoders.map(\.name).joined(separator: ", "))")
        exit(2)
    }
    return found
}

private func run(_ decoder: ByteDecoder, _ bytes: [UInt8]) {
    do { try decoder.decode(bytes) } catch { fatalError("\(decoder): \(error)") }
}

#if FUZZING
/// Set before the first file.
private nonisolated(unsafe) var chosen: ByteDecoder?

/// Takes the decoder's name from the arguments, and writes the seeds.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> Int32 {
    let words = CommandLine.arguments, named = decoder(named: words.dropFirst().first)
    chosen = named
    do {
        for (place, seed) in try named.seeds().enumerated() where words.count > 2 {
            try Data(seed).write(to: URL(filePath: words[2]).appending(path: "seed-\(place)"))
        }
    } catch { fatalError("\(error)") }
    arguments.pointee[1] = arguments.pointee[0]
    arguments.pointee += 1
    count.pointee -= 1
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    if let chosen { run(chosen, Array(UnsafeBufferPointer(start: start, count: count))) }
    return 0
}
#else
@main
struct Fuzz {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst(), chosen = decoder(named: arguments.first)
        for path in arguments.dropFirst() { run(chosen, Array(try Data(contentsOf: URL(filePath: path)))) }
    }
}
#endif
