import CurlShims
import Foundation

/// One request on its way: the curl handle, what is still to be sent, and where the answer goes.
///
/// Invariant behind `@unchecked Sendable`: once it was handed to a `TransferThread`, only that thread touches it.
final class Transfer: @unchecked Sendable {
    enum Sink {
        case memory(limit: Int)
        case file(Int32, path: String)
        case stream(AsyncThrowingStream<[UInt8], any Error>.Continuation)
    }

    let handle: UnsafeMutableRawPointer
    private let url: String
    private let sink: Sink
    private let body: RequestBody
    private let headers: [(name: String, value: String)]
    private let silence: Duration?
    private var lastSign = ContinuousClock.now
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let reason: UnsafeMutablePointer<CChar>

    private var sent = 0
    private var response = HTTPClient.Response(status: 0, headers: [], body: [])
    private var failure: (any Error)?
    private var continuation: CheckedContinuation<HTTPClient.Response, any Error>?
    private(set) var isCancelled = false

    init(_ request: HTTPClient.Request, url: String, sink: Sink) throws {
        body = try RequestBody(request.body)
        guard let handle = curl_easy_init() else { throw HTTPClientError.outOfMemory }
        self.handle = handle
        self.url = url
        self.sink = sink
        headers = request.headers
        silence = request.silence
        reason = .allocate(capacity: Int(CURL_ERROR_SIZE))
        reason.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))

        curl_set_string(handle, CURLOPT_URL, url)
        curl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        curl_set_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, 10_000)
        if let timeout = request.timeout {
            curl_set_long(handle, CURLOPT_TIMEOUT_MS, max(1, Int(timeout / .milliseconds(1))))
        }
        curl_set_pointer(handle, CURLOPT_ERRORBUFFER, reason)

        switch request.body {
        case .none where request.method == "HEAD": curl_set_long(handle, CURLOPT_NOBODY, 1)
        case .none where request.method == "GET" || request.method == "DELETE": break
        case .none, .bytes, .file:
            curl_set_long(handle, CURLOPT_UPLOAD, 1)
            curl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(body.count))
        }
        curl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
    }

    deinit {
        curl_slist_free_all(headerList)
        curl_easy_cleanup(handle)
        reason.deallocate()
    }

    /// Sets what the client decides, and the callbacks. Called by the thread, once.
    func start(
        unixSocket: String?, defaults: [(name: String, value: String)],
        _ continuation: CheckedContinuation<HTTPClient.Response, any Error>
    ) {
        self.continuation = continuation
        lastSign = .now
        if let unixSocket {
            curl_set_string(handle, CURLOPT_UNIX_SOCKET_PATH, unixSocket)
        }
        let named = Set(headers.map { $0.name.lowercased() })
        // Without the empty `Expect` curl waits a second before it sends a large body.
        headerList = curl_slist_append(headerList, "Expect:")
        for (name, value) in defaults.filter({ !named.contains($0.name.lowercased()) }) + headers {
            // curl's way to say "an empty value" is a semicolon.
            headerList = curl_slist_append(headerList, value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        curl_set_list(handle, CURLOPT_HTTPHEADER, headerList)

        let context = Unmanaged.passUnretained(self).toOpaque()
        curl_set_pointer(handle, CURLOPT_READDATA, context)
        curl_set_transfer_callback(handle, CURLOPT_READFUNCTION) { buffer, size, count, context in
            Transfer.of(context).read(UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
        }
        curl_set_pointer(handle, CURLOPT_SEEKDATA, context)
        curl_set_seek_callback(handle, CURLOPT_SEEKFUNCTION) { context, offset, origin in
            guard origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
            Transfer.of(context).sent = Int(offset)
            return CURL_SEEKFUNC_OK
        }
        curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
        curl_set_transfer_callback(handle, CURLOPT_HEADERFUNCTION) { buffer, size, count, context in
            Transfer.of(context).received(headerLine: UnsafeRawBufferPointer(start: buffer, count: size * count))
            return size * count
        }
        curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
        curl_set_transfer_callback(handle, CURLOPT_WRITEFUNCTION) { buffer, size, count, context in
            let isTaken = Transfer.of(context).received(
                UnsafeRawBufferPointer(start: buffer, count: size * count))
            return isTaken ? size * count : Int(CURL_WRITEFUNC_ERROR)
        }
    }

    func cancel() {
        isCancelled = true
        failure = failure ?? CancellationError()
    }

    /// Whether nothing has come for longer than the request allows.
    var hasFallenSilent: Bool { silence.map { lastSign.duration(to: .now) > $0 } ?? false }

    /// The end, good or bad. Called by the thread, once, after the handle left the multi handle.
    func finish(_ code: CURLcode) {
        let error: (any Error)? =
            if let failure {
                failure
            } else if code != CURLE_OK {
                HTTPClientError.transport(code: Int(code.rawValue), reason: text(of: code), url: url)
            } else {
                nil
            }
        if case .stream(let feed) = sink { feed.finish(throwing: error) }
        guard let continuation = take() else { return }
        if let error { continuation.resume(throwing: error) } else { continuation.resume(returning: response) }
    }

    private static func of(_ context: UnsafeMutableRawPointer?) -> Transfer {
        guard let context else { preconditionFailure("curl calls back with the context that start gave it") }
        return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }

    private func take() -> CheckedContinuation<HTTPClient.Response, any Error>? {
        defer { continuation = nil }
        return continuation
    }

    private func text(of code: CURLcode) -> String {
        reason[0] == 0 ? String(cString: curl_easy_strerror(code)) : String(cString: reason)
    }

    private func read(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        switch body.read(into: buffer, from: sent) {
        case .success(let count):
            sent += count
            return count
        case .failure(let error):
            failure = error
            return Int(CURL_READFUNC_ABORT)
        }
    }

    private func received(headerLine line: UnsafeRawBufferPointer) {
        lastSign = .now
        let text = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        if text.hasPrefix("HTTP/") {
            response.status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            response.headers = []
        } else if let colon = text.firstIndex(of: ":") {
            let value = text[text.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            response.headers.append((String(text[..<colon]), value))
        } else if text.isEmpty, response.status >= 200, case .stream = sink {
            take()?.resume(returning: response)
        }
    }

    /// Hands a piece of the body on; false ends the transfer.
    private func received(_ bytes: UnsafeRawBufferPointer) -> Bool {
        lastSign = .now
        switch sink {
        case .stream(let feed):
            feed.yield(Array(bytes))
        case .file(let descriptor, let path) where 200..<300 ~= response.status:
            guard write(bytes, to: descriptor) else {
                failure = HTTPClientError.file(path: path, errno: errno)
                return false
            }
        case .file:
            return keep(bytes, limit: 1 << 20)
        case .memory(let limit):
            return keep(bytes, limit: limit)
        }
        return true
    }

    private func keep(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Bool {
        guard response.body.count + bytes.count <= limit else {
            failure = HTTPClientError.bodyTooLarge(limit: limit, url: url)
            return false
        }
        response.body.append(contentsOf: bytes)
        return true
    }

    private func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

/// What is sent: bytes, or an open file of a size that was looked up once.
private final class RequestBody {
    private enum Source {
        case bytes([UInt8])
        case file(Int32, path: String)
    }

    private let source: Source
    let count: Int

    init(_ body: HTTPClient.Request.Body) throws {
        switch body {
        case .none:
            source = .bytes([])
            count = 0
        case .bytes(let bytes):
            source = .bytes(bytes)
            count = bytes.count
        case .file(let path):
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            var status = stat()
            guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
                let error = HTTPClientError.file(path: path, errno: errno)
                if descriptor >= 0 { close(descriptor) }
                throw error
            }
            source = .file(descriptor, path: path)
            count = Int(status.st_size)
        }
    }

    deinit {
        if case .file(let descriptor, _) = source { close(descriptor) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, from offset: Int) -> Result<Int, HTTPClientError> {
        switch source {
        case .bytes(let bytes):
            let part = bytes[min(offset, count)..<min(offset + buffer.count, count)]
            buffer.copyBytes(from: part)
            return .success(part.count)
        case .file(let descriptor, let path):
            while true {
                let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
                if count >= 0 { return .success(count) }
                if errno != EINTR { return .failure(.file(path: path, errno: errno)) }
            }
        }
    }
}
