import Testing

// Keel's tests as a program, which can be built without the rest of the package; arguments as `swift test` has them.
await Testing.__swiftPMEntryPoint() as Never
