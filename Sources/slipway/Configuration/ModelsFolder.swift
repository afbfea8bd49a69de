import Foundation
import KeelModels

extension ModelStore {
    /// The setting's folder, or where the environment says.
    init(_ configuration: Configuration) {
        if let folder = configuration[Settings.models] {
            self.init(folder: folder)
        } else {
            self.init(environment: ProcessInfo.processInfo.environment)
        }
    }
}
