import ArgumentParser
import SlipwayDomain

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks this machine and its platform; exit code 1 when something must be mended.")

    @OptionGroup(title: "Settings") var settings: SettingFlags
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let configuration = try settings.configuration()
        LogLines.bootstrap(configuration, isJSON: json)
        let checks = await Checkup(configuration: configuration).all()
        let terminal = Terminal.standard
        let failed = checks.filter { $0.state == .bad }
        if json {
            terminal.print(
                JSON.object([
                    "healthy": .bool(failed.isEmpty),
                    "checks": .array(
                        checks.map {
                            var row: [String: JSON] = [
                                "name": .string($0.name), "state": .string($0.state.rawValue), "found": .string($0.found),
                            ]
                            row["remedy"] = $0.remedy.map(JSON.string)
                            return .object(row)
                        }),
                ]).text())
        } else {
            let width = checks.map { $0.name.count }.max() ?? 0
            for check in checks {
                let name = check.name + String(repeating: " ", count: width - check.name.count)
                terminal.print("\(mark(check.state)) \(terminal.styled(name, .dim, onOutput: true))  \(check.found)")
                if let remedy = check.remedy { terminal.print("  \(String(repeating: " ", count: width))  \(remedy)") }
            }
        }
        if !failed.isEmpty { throw Failure.message("\(failed.count) of \(checks.count) checks failed") }
    }

    private func mark(_ state: Checkup.Check.State) -> String {
        let terminal = Terminal.standard
        return switch state {
        case .good: terminal.styled("✓", .green, onOutput: true)
        case .doubtful: terminal.styled("!", .yellow, onOutput: true)
        case .bad: terminal.styled("✗", .red, onOutput: true)
        }
    }
}
