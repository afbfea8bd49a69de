import Foundation
import Logging
import SlipwayPostgres
import SlipwaySystem

/// Stands in for a platform in tests that kill one: `ClusterHost DATA-DIRECTORY` starts the cluster, prints the server's
/// process id, and stops the cluster when its input ends.
@main enum ClusterHost {
    static func main() {
        do {
            let directory = CommandLine.arguments[1]
            let lock = try FileLock(path: directory + "/lock")
            var logger = Logger(label: "cluster-host")
            logger.logLevel = .error
            let cluster = try Cluster.start(in: directory, lock: lock, logger: logger)
            print(cluster.process.pid)
            fflush(nil)
            while readLine() != nil {}
            try cluster.stop()
        } catch {
            print("error: \(error)")
            exit(1)
        }
    }
}
