import ArgumentParser
import Hummingbird

@main struct Slipway: AsyncParsableCommand {
    func run() async throws { print("hello") }
}
