import CurlShims
import Foundation
import Synchronization

/// The thread that owns a curl multi handle: transfers are handed to it, and it alone calls curl for them.
///
/// Invariant behind `@unchecked Sendable`: `multi` is used by the thread, and by others only to wake it, under the lock
/// and before `isFinished`.
final class TransferThread: @unchecked Sendable {
    private enum Command {
        case start(Transfer, CheckedContinuation<HTTPClient.Response, any Error>)
        case cancel(Transfer)
    }
    private struct State {
        var commands: [Command] = []
        var isStopping = false
        var isFinished = false
    }

    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    private let multi: UnsafeMutableRawPointer
    private let unixSocket: String?
    private let headers: [(name: String, value: String)]
    private let state = Mutex(State())

    init(unixSocket: String?, headers: [(name: String, value: String)]) throws {
        guard Self.isReady, let multi = curl_multi_init() else { throw HTTPClientError.outOfMemory }
        self.multi = multi
        self.unixSocket = unixSocket
        self.headers = headers
        let thread = Thread { [self] in loop() }
        thread.name = "http-client"
        thread.start()
    }

    /// Runs the transfer to its end, or to the head of a streamed answer.
    func run(_ transfer: Transfer) async throws -> HTTPClient.Response {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { tell(.start(transfer, $0)) }
        } onCancel: {
            cancel(transfer)
        }
    }

    func cancel(_ transfer: Transfer) { tell(.cancel(transfer)) }

    /// Fails what still runs and ends the thread.
    func stop() {
        state.withLock {
            $0.isStopping = true
            if !$0.isFinished { curl_multi_wakeup(multi) }
        }
    }

    private func tell(_ command: Command) {
        let isTaken = state.withLock {
            guard !$0.isFinished else { return false }
            $0.commands.append(command)
            curl_multi_wakeup(multi)
            return true
        }
        if !isTaken, case .start(_, let continuation) = command { continuation.resume(throwing: CancellationError()) }
    }

    private func loop() {
        var active: [UnsafeMutableRawPointer: Transfer] = [:]

        func end(_ transfer: Transfer, _ code: CURLcode) {
            curl_multi_remove_handle(multi, transfer.handle)
            active[transfer.handle] = nil
            transfer.finish(code)
        }

        while true {
            let (commands, isStopping) = state.withLock { state in
                defer { state.commands = [] }
                // Set in the same breath: a command is either in this batch or refused.
                state.isFinished = state.isStopping
                return (state.commands, state.isStopping)
            }
            for command in commands {
                switch command {
                case .start(let transfer, let continuation):
                    transfer.start(unixSocket: unixSocket, defaults: headers, continuation)
                    if transfer.isCancelled {
                        transfer.finish(CURLE_OK)
                    } else {
                        active[transfer.handle] = transfer
                        curl_multi_add_handle(multi, transfer.handle)
                    }
                case .cancel(let transfer):
                    transfer.cancel()
                    if active[transfer.handle] != nil { end(transfer, CURLE_OK) }
                }
            }
            if isStopping { break }

            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            var left: Int32 = 0
            while let message = curl_multi_info_read(multi, &left) {
                guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle,
                    let transfer = active[handle]
                else { continue }
                end(transfer, message.pointee.data.result)
            }
            for transfer in Array(active.values) where transfer.hasFallenSilent { end(transfer, CURLE_OPERATION_TIMEDOUT) }
            curl_multi_poll(multi, nil, 0, 1_000, nil)
        }
        for transfer in active.values {
            transfer.cancel()
            end(transfer, CURLE_OK)
        }
        curl_multi_cleanup(multi)
    }
}
