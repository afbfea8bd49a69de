import KeelPlainProcessor
import Testing

// Runs Keel's tests with every kernel as plain C; arguments as `swift test` has them. See `KeelPlainProcessor`.
precondition(keel_processor_is_plain() != 0, "the linker has taken the processor's features from the compiler's archive")
await Testing.__swiftPMEntryPoint() as Never
