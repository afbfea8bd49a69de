import ArgumentParser
import SlipwayDomain

struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the effective settings and where each came from; secrets are masked.")

    @OptionGroup(title: "Settings") var settings: SettingFlags
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let configuration = try settings.configuration()
        let rows = Settings.all.map { setting in (setting, configuration.entry(of: setting)) }
        func shown(_ setting: any SettingRow, _ entry: Configuration.Entry) -> String? {
            setting.isSecret ? entry.text.map { _ in "********" } : entry.text
        }
        let terminal = Terminal.standard
        guard !json else {
            let settings = rows.map { setting, entry -> JSON in
                var row: [String: JSON] = [
                    "name": .string(setting.name), "value": shown(setting, entry).map(JSON.string) ?? .null,
                    "source": .string(entry.source.description), "flag": .string(setting.flag),
                    "environment": .string(setting.environmentVariable), "doc": .string(setting.doc),
                ]
                row["unit"] = setting.unit.map(JSON.string)
                row["default"] = (setting.fallbackDoc ?? setting.fallbackText).map(JSON.string)
                return .object(row)
            }
            return terminal.print(JSON.object(["file": configuration.file.map(JSON.string) ?? .null, "settings": .array(settings)]).text())
        }
        let lines = table(
            ["setting", "value", "from"],
            rows.map { [$0.name, (shown($0, $1) ?? "") + ($0.unit.map { " \($0)" } ?? ""), $1.source.description] })
        for (index, line) in lines.enumerated() {
            terminal.print(index == 0 ? terminal.styled(line, .dim, onOutput: true) : line)
        }
    }
}

extension Configuration.Source: CustomStringConvertible {
    var description: String {
        switch self {
        case .flag(let name): name
        case .environment(let name): name
        case .file(let path): path
        case .fallback: "default"
        }
    }
}
