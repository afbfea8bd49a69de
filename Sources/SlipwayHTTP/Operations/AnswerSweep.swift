internal import Logging
internal import ServiceLifecycle
internal import SlipwayPostgres
internal import SlipwayStore

/// Forgets the answers that were kept for an `Idempotency-Key` once their 24 hours are over.
struct AnswerSweep: Service {
    let database: Database
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    _ = try await database.transaction(as: .system) { try $0.forgetOldAnswers() }
                    try await Task.sleep(for: .seconds(600))
                } catch is CancellationError {
                    return
                } catch {
                    logger.warning("can't forget old answers", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(60))
                }
            }
        }
    }
}
