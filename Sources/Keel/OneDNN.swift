import COneDNN
import Synchronization

/// oneDNN behind the few functions that Keel needs of it: prepared convolutions, and the layouts that they like.
///
/// Preparing compiles code, so what was prepared is kept, by all that it depends on; of pictures in ever new sizes the latest.
enum OneDNN {
    /// More than a network of any size has; each is some tens of kilobytes of code.
    private static let limit = 1024

    enum Pass: Hashable { case forward, inputGradient, weightGradient }

    struct Convolution: Hashable {
        let pass: Pass
        let window: Window
        let hasBias: Bool
        /// What follows forwards, in the same pass: whether what the output's memory held is added, and the rectifier.
        let adds: Bool
        let rectifier: Rectifier
        let threads: Int
    }

    /// A convolution that is ready to run any number of times, on any thread.
    final class Prepared: @unchecked Sendable {
        // Unchecked: the handles are only read after `init`, which oneDNN allows from any thread.
        fileprivate let primitive: dnnl_primitive_t
        fileprivate let arguments: [Argument]
        fileprivate let scratchpad: dnnl_memory_desc_t
        fileprivate let scratchpadBytes: Int
        /// Whether it reads what the output held.
        fileprivate let adds: Bool
        /// Where the activation that it makes lies best.
        let layout: Layout

        fileprivate init(
            _ primitive: dnnl_primitive_t, _ arguments: [Argument], scratchpad: dnnl_memory_desc_t, adds: Bool = false, layout: Layout
        ) {
            self.primitive = primitive
            self.adds = adds
            self.arguments = arguments
            self.scratchpad = scratchpad
            var scratchpad = scratchpad
            scratchpadBytes = dnnl_memory_desc_get_size(&scratchpad)
            self.layout = layout
        }

        deinit { dnnl_primitive_destroy(primitive) }
    }

    /// One of a primitive's tensors: how the primitive wants it.
    fileprivate struct Argument {
        let index: Int32
        let isOutput: Bool
        let isActivation: Bool
        let wanted: dnnl_memory_desc_t
        /// The weights' own dimensions, grouped if they are.
        let plain: dnnl_memory_desc_t
    }

    private struct Engine: @unchecked Sendable { let handle: dnnl_engine_t }
    private static let engine: Engine = {
        var handle: dnnl_engine_t?
        let status = dnnl_engine_create(&handle, dnnl_cpu, 0)
        guard status == dnnl_success, let handle else { preconditionFailure("oneDNN has no CPU engine: status \(status.rawValue)") }
        return Engine(handle: handle)
    }()

    private static let prepared = Mutex(BoundedCache<Convolution, Prepared>(limit: limit))
    private struct Move: Hashable {
        let from: [Int64]
        let to: [Int64]
        let threads: Int
    }
    private final class Reorder: @unchecked Sendable {
        // Unchecked as `Prepared` is.
        let handle: dnnl_primitive_t
        let scratchpad: dnnl_memory_desc_t

        init(_ handle: dnnl_primitive_t, scratchpad: dnnl_memory_desc_t) {
            self.handle = handle
            self.scratchpad = scratchpad
        }

        deinit { dnnl_primitive_destroy(handle) }
    }
    private static let reorders = Mutex(BoundedCache<Move, Reorder>(limit: limit))

    static func convolution(
        _ pass: Pass, _ window: Window, hasBias: Bool = false, adds: Bool = false, _ rectifier: Rectifier = .none
    ) throws(TensorError) -> Prepared {
        let key = Convolution(pass: pass, window: window, hasBias: hasBias, adds: adds, rectifier: rectifier, threads: Threads.count)
        if let found = prepared.withLock({ $0.value(for: key) }) { return found }
        let made = try make(key)
        return prepared.withLock { $0.keep(made, for: key) }
    }

    /// Runs a prepared convolution on tensors in the order of its arguments.
    static func run(_ prepared: Prepared, _ tensors: [Tensor]) throws(TensorError) {
        let stream = try threadStream()
        var arguments: [dnnl_exec_arg_t] = []
        var memories: [dnnl_memory_t] = []
        var temporaries: [Storage] = []
        var results: [(from: dnnl_memory_t, to: dnnl_memory_t, Argument, dnnl_memory_desc_t)] = []
        defer { for memory in memories { dnnl_memory_destroy(memory) } }

        func memory(_ description: dnnl_memory_desc_t, at pointer: UnsafeMutableRawPointer) throws(TensorError) -> dnnl_memory_t {
            var description = description
            var handle: dnnl_memory_t?
            try check(dnnl_memory_create(&handle, &description, engine.handle, pointer), "dnnl_memory_create")
            guard let handle else { throw TensorError(.numericLibrary("oneDNN gave no memory object")) }
            memories.append(handle)
            return handle
        }

        for (argument, given) in zip(prepared.arguments, tensors) {
            // The library's code for SSE4.1 reads a bias as if it were aligned.
            let tensor = argument.index == DNNL_ARG_BIAS && UInt(bitPattern: given.bytes) % 64 != 0 ? try given.copied() : given
            temporaries.append(tensor.storage)
            var wanted = argument.wanted
            var lies = argument.plain
            if argument.isActivation {
                // One way of lying may have two names, as when all channels make one block.
                let names = try activation(tensor)
                lies = names.first { name in
                    var name = name
                    return dnnl_memory_desc_equal(&name, &wanted) != 0
                } ?? names[0]
            }
            let own = try memory(lies, at: tensor.bytes)
            if dnnl_memory_desc_equal(&lies, &wanted) != 0 {
                arguments.append(dnnl_exec_arg_t(arg: argument.index, memory: own))
                continue
            }
            let bytes = dnnl_memory_desc_get_size(&wanted)
            if !argument.isOutput, !argument.isActivation {
                // Weights, which a program's are the same each time.
                let own = own, lies = lies, wanted = wanted
                let packed = try tensor.packed(.oneDNN(signature(wanted)), bytes: bytes) { start throws(TensorError) in
                    try reorder(own, lies, to: try memory(wanted, at: start), wanted, stream)
                }
                temporaries.append(packed)
                arguments.append(dnnl_exec_arg_t(arg: argument.index, memory: try memory(wanted, at: packed.base)))
                continue
            }
            let storage = try Storage(bytes: bytes, on: .cpu)
            temporaries.append(storage)
            let moved = try memory(wanted, at: storage.base)
            arguments.append(dnnl_exec_arg_t(arg: argument.index, memory: moved))
            if argument.isOutput {
                if prepared.adds { try reorder(own, lies, to: moved, wanted, stream) }
                results.append((from: moved, to: own, argument, lies))
            } else {
                try reorder(own, lies, to: moved, wanted, stream)
            }
        }
        let scratch = try Storage(bytes: max(prepared.scratchpadBytes, 64), on: .cpu)
        temporaries.append(scratch)
        arguments.append(dnnl_exec_arg_t(arg: DNNL_ARG_SCRATCHPAD, memory: try memory(prepared.scratchpad, at: scratch.base)))
        try check(dnnl_primitive_execute(prepared.primitive, stream, Int32(arguments.count), &arguments), "dnnl_primitive_execute")
        for result in results { try reorder(result.from, result.2.wanted, to: result.to, result.3, stream) }
        withExtendedLifetime((temporaries, prepared)) {}
    }

    private static func reorder(
        _ source: dnnl_memory_t, _ from: dnnl_memory_desc_t, to target: dnnl_memory_t, _ to: dnnl_memory_desc_t, _ stream: dnnl_stream_t
    ) throws(TensorError) {
        let key = Move(from: signature(from), to: signature(to), threads: Threads.count)
        var found = reorders.withLock { $0.value(for: key) }
        if found == nil {
            var (from, to) = (from, to)
            var description: dnnl_primitive_desc_t?
            // A scratchpad of the library's own belongs to the thread that made the primitive: others that ran it would write
            // past theirs.
            var attributes: dnnl_primitive_attr_t?
            try check(dnnl_primitive_attr_create(&attributes), "attributes")
            defer { dnnl_primitive_attr_destroy(attributes) }
            try check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "scratchpad mode")
            try check(
                dnnl_reorder_primitive_desc_create(&description, &from, engine.handle, &to, engine.handle, attributes), "reorder description")
            defer { dnnl_primitive_desc_destroy(description) }
            guard let scratchpad = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0)?.pointee else {
                throw TensorError(.numericLibrary("oneDNN doesn't say what a reorder needs"))
            }
            var handle: dnnl_primitive_t?
            try check(dnnl_primitive_create(&handle, description), "reorder")
            guard let handle else { throw TensorError(.numericLibrary("oneDNN gave no reorder")) }
            let made = Reorder(handle, scratchpad: scratchpad)
            found = reorders.withLock { $0.keep(made, for: key) }
        }
        guard let found else { return }
        var scratchpad = found.scratchpad
        let scratch = try Storage(bytes: max(dnnl_memory_desc_get_size(&scratchpad), 64), on: .cpu)
        var memory: dnnl_memory_t?
        try check(dnnl_memory_create(&memory, &scratchpad, engine.handle, scratch.base), "dnnl_memory_create")
        defer { dnnl_memory_destroy(memory) }
        var arguments = [
            dnnl_exec_arg_t(arg: DNNL_ARG_FROM, memory: source), dnnl_exec_arg_t(arg: DNNL_ARG_TO, memory: target),
            dnnl_exec_arg_t(arg: DNNL_ARG_SCRATCHPAD, memory: memory),
        ]
        try check(dnnl_primitive_execute(found.handle, stream, 3, &arguments), "reorder")
        withExtendedLifetime((scratch, found)) {}
    }

    /// What makes two memory descriptions the same to a reorder.
    private static func signature(_ description: dnnl_memory_desc_t) -> [Int64] {
        var copy = description
        return withUnsafeBytes(of: &copy) { bytes in
            var words = Array(bytes.bindMemory(to: Int64.self))
            for place in bytes.count / 8 * 8..<bytes.count { words.append(Int64(bytes[place])) }
            return words
        }
    }

    private static func threadStream() throws(TensorError) -> dnnl_stream_t {
        let state = ThreadState.current
        if let stream = state.stream { return stream }
        var stream: dnnl_stream_t?
        try check(dnnl_stream_create(&stream, engine.handle, UInt32(dnnl_stream_default_flags.rawValue)), "dnnl_stream_create")
        guard let stream else { throw TensorError(.numericLibrary("oneDNN gave no stream")) }
        state.stream = stream
        return stream
    }

    private static func check(_ status: dnnl_status_t, _ what: String) throws(TensorError) {
        guard status == dnnl_success else { throw TensorError(.numericLibrary("oneDNN: \(what) failed with status \(status.rawValue)")) }
    }

    private static func description(_ sizes: [Int], _ tag: dnnl_format_tag_t) throws(TensorError) -> dnnl_memory_desc_t {
        var description = dnnl_memory_desc_t()
        var dimensions = sizes.map { Int64($0) }
        try check(dnnl_memory_desc_init_by_tag(&description, Int32(sizes.count), &dimensions, dnnl_f32, tag), "memory description")
        return description
    }

    /// The names of how an activation `[n, c, h, w]` lies.
    private static func activation(_ tensor: Tensor) throws(TensorError) -> [dnnl_memory_desc_t] {
        let sizes = (0..<4).map { tensor.size($0) }
        guard case .blocked(let block) = tensor.layout else { return [try description(sizes, dnnl_abcd)] }
        var names: [dnnl_memory_desc_t] = []
        if Int(block) == sizes[1] { names.append(try description(sizes, dnnl_acdb)) }
        if block == 16 { names.append(try description(sizes, dnnl_aBcd16b)) }
        if block == 8 { names.append(try description(sizes, dnnl_aBcd8b)) }
        return names
    }

    /// In blocks of 16 or 8 channels, or with all channels as one block, which is channels-last.
    private static func layout(_ wanted: dnnl_memory_desc_t, _ sizes: [Int]) throws(TensorError) -> Layout {
        var wanted = wanted
        for (tag, layout) in [
            (dnnl_abcd, Layout.strided), (dnnl_aBcd16b, .blocked(16)), (dnnl_aBcd8b, .blocked(8)), (dnnl_acdb, .blocked(Int32(sizes[1]))),
        ] {
            var known = try description(sizes, tag)
            if dnnl_memory_desc_equal(&wanted, &known) != 0 { return layout }
        }
        return .strided
    }

    private static func make(_ key: Convolution) throws(TensorError) -> Prepared {
        let w = key.window
        let source = [w.n, w.c, w.h, w.w], target = [w.n, w.k, w.oh, w.ow]
        let isGrouped = w.groups > 1
        let weights = isGrouped ? [w.groups, w.k / w.groups, w.c / w.groups, w.kernelHeight, w.kernelWidth] : [w.k, w.c, w.kernelHeight, w.kernelWidth]
        var sourceAny = try description(source, dnnl_format_tag_any)
        var targetAny = try description(target, dnnl_format_tag_any)
        var weightsAny = try description(weights, dnnl_format_tag_any)
        let weightsPlain = try description(weights, isGrouped ? dnnl_abcde : dnnl_abcd)
        var bias = try description([w.k], dnnl_a)
        var strides = [Int64(w.strideHeight), Int64(w.strideWidth)]
        var dilates = [Int64(w.dilationHeight - 1), Int64(w.dilationWidth - 1)]
        var before = [Int64(w.top), Int64(w.left)], after = [Int64(w.bottom), Int64(w.right)]
        var attributes: dnnl_primitive_attr_t?
        try check(dnnl_primitive_attr_create(&attributes), "attributes")
        defer { dnnl_primitive_attr_destroy(attributes) }
        try check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "scratchpad mode")
        var following: dnnl_post_ops_t?
        try check(dnnl_post_ops_create(&following), "what follows")
        defer { dnnl_post_ops_destroy(following) }
        if key.adds { try check(dnnl_post_ops_append_sum(following, 1), "sum") }
        switch key.rectifier {
        case .none: break
        case .relu: try check(dnnl_post_ops_append_eltwise(following, 1, dnnl_eltwise_relu, 0, 0), "rectifier")
        case .relu6: try check(dnnl_post_ops_append_eltwise(following, 1, dnnl_eltwise_clip, 0, 6), "rectifier")
        }
        try check(dnnl_primitive_attr_set_post_ops(attributes, following), "what follows")

        func forward(_ kind: dnnl_prop_kind_t) throws(TensorError) -> dnnl_primitive_desc_t {
            var operation = dnnl_convolution_desc_t()
            if key.hasBias {
                try check(
                    dnnl_dilated_convolution_forward_desc_init(
                        &operation, kind, dnnl_convolution_direct, &sourceAny, &weightsAny, &bias, &targetAny, &strides, &dilates, &before,
                        &after), "convolution")
            } else {
                try check(
                    dnnl_dilated_convolution_forward_desc_init(
                        &operation, kind, dnnl_convolution_direct, &sourceAny, &weightsAny, nil, &targetAny, &strides, &dilates, &before,
                        &after), "convolution")
            }
            return try describe(&operation, nil)
        }

        func describe(_ operation: inout dnnl_convolution_desc_t, _ hint: dnnl_primitive_desc_t?) throws(TensorError) -> dnnl_primitive_desc_t {
            var result: dnnl_primitive_desc_t?
            try check(dnnl_primitive_desc_create(&result, &operation, attributes, engine.handle, hint), "convolution description")
            guard let result else { throw TensorError(.numericLibrary("oneDNN gave no convolution")) }
            return result
        }

        func query(_ description: dnnl_primitive_desc_t, _ what: dnnl_query_t) throws(TensorError) -> dnnl_memory_desc_t {
            guard let found = dnnl_primitive_desc_query_md(description, what, 0) else {
                throw TensorError(.numericLibrary("oneDNN doesn't say how a convolution's tensor lies"))
            }
            return found.pointee
        }

        func primitive(_ description: dnnl_primitive_desc_t) throws(TensorError) -> dnnl_primitive_t {
            var handle: dnnl_primitive_t?
            try check(dnnl_primitive_create(&handle, description), "convolution")
            guard let handle else { throw TensorError(.numericLibrary("oneDNN gave no convolution")) }
            return handle
        }

        func activation(_ index: Int32, _ wanted: dnnl_memory_desc_t, isOutput: Bool = false) -> Argument {
            Argument(index: index, isOutput: isOutput, isActivation: true, wanted: wanted, plain: wanted)
        }

        let plan = try forward(dnnl_forward_training)
        defer { dnnl_primitive_desc_destroy(plan) }
        switch key.pass {
        case .forward:
            let target = try query(plan, dnnl_query_dst_md)
            var arguments = [
                activation(DNNL_ARG_SRC, try query(plan, dnnl_query_src_md)),
                Argument(
                    index: DNNL_ARG_WEIGHTS, isOutput: false, isActivation: false, wanted: try query(plan, dnnl_query_weights_md),
                    plain: weightsPlain),
            ]
            if key.hasBias { arguments.append(Argument(index: DNNL_ARG_BIAS, isOutput: false, isActivation: false, wanted: bias, plain: bias)) }
            arguments.append(activation(DNNL_ARG_DST, target, isOutput: true))
            return Prepared(
                try primitive(plan), arguments, scratchpad: try query(plan, dnnl_query_scratchpad_md), adds: key.adds,
                layout: try layout(target, [w.n, w.k, w.oh, w.ow]))
        case .inputGradient:
            var operation = dnnl_convolution_desc_t()
            try check(
                dnnl_dilated_convolution_backward_data_desc_init(
                    &operation, dnnl_convolution_direct, &sourceAny, &weightsAny, &targetAny, &strides, &dilates, &before, &after),
                "convolution backwards")
            let back = try describe(&operation, plan)
            defer { dnnl_primitive_desc_destroy(back) }
            let result = try query(back, dnnl_query_diff_src_md)
            return Prepared(
                try primitive(back),
                [
                    activation(DNNL_ARG_DIFF_DST, try query(back, dnnl_query_diff_dst_md)),
                    Argument(
                        index: DNNL_ARG_WEIGHTS, isOutput: false, isActivation: false, wanted: try query(back, dnnl_query_weights_md),
                        plain: weightsPlain),
                    activation(DNNL_ARG_DIFF_SRC, result, isOutput: true),
                ], scratchpad: try query(back, dnnl_query_scratchpad_md), layout: try layout(result, source))
        case .weightGradient:
            var operation = dnnl_convolution_desc_t()
            try check(
                dnnl_dilated_convolution_backward_weights_desc_init(
                    &operation, dnnl_convolution_direct, &sourceAny, &weightsAny, nil, &targetAny, &strides, &dilates, &before, &after),
                "convolution backwards")
            let back = try describe(&operation, plan)
            defer { dnnl_primitive_desc_destroy(back) }
            return Prepared(
                try primitive(back),
                [
                    activation(DNNL_ARG_SRC, try query(back, dnnl_query_src_md)),
                    activation(DNNL_ARG_DIFF_DST, try query(back, dnnl_query_diff_dst_md)),
                    Argument(
                        index: DNNL_ARG_DIFF_WEIGHTS, isOutput: true, isActivation: false,
                        wanted: try query(back, dnnl_query_diff_weights_md), plain: weightsPlain),
                ], scratchpad: try query(back, dnnl_query_scratchpad_md), layout: .strided)
        }
    }
}
