import Foundation
import KeelDecoders
import SlipwayDecoders

/// `fuzz DECODER FILE...` runs a decoder over files. As `make fuzz` builds it, `fuzz DECODER FOLDER FLAG...` gives it over to libFuzzer, which
/// makes new files from those of the folder, to begin with the decoder's seeds, for as long as they reach new code.
@main
struct Fuzz {
    static let decoders = keelDecoders + slipwayDecoders

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count > 1, let decoder = decoders.first(where: { $0.name == arguments.first }) else {
            print("usage: fuzz DECODER FILE...\ndecoders: \(decoders.map(\.name).joined(separator: ", "))")
            exit(2)
        }
        #if FUZZING
        for (place, seed) in try decoder.seeds().enumerated() {
            try Data(seed).write(to: URL(filePath: arguments[2]).appending(path: "seed-\(place)"))
        }
        chosen = decoder
        var count = CommandLine.argc - 1
        var rest = CommandLine.unsafeArgv + 1
        exit(runFuzzer(&count, &rest, testOneInput))
        #else
        for path in arguments.dropFirst() { run(decoder, Array(try Data(contentsOf: URL(filePath: path)))) }
        #endif
    }
}

private func run(_ decoder: ByteDecoder, _ bytes: [UInt8]) {
    do { try decoder.decode(bytes) } catch { fatalError("\(decoder): \(error)") }
}

#if FUZZING
/// Set before the first file.
private nonisolated(unsafe) var chosen: ByteDecoder?

/// Its name is the one that libFuzzer's own `main`, which is linked and never called, refers to.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    if let chosen { run(chosen, Array(UnsafeBufferPointer(start: start, count: count))) }
    return 0
}

/// libFuzzer's `int LLVMFuzzerRunDriver(int *, char ***, int (*)(const uint8_t *, size_t))`.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32
#endif
