// swift-tools-version: 6.2
import PackageDescription

// Keel and its tests alone, with the plain C that a processor without AVX2 gets: `make test-plain`. Its targets are those of the package
// above; only the setting differs.
let package = Package(
    name: "keel-plain",
    platforms: [.macOS(.v15)],
    targets: [
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas"),
        .systemLibrary(name: "COneDNN"),
        .target(name: "KeelKernels", cSettings: [.define("KEEL_PLAIN_C")], linkerSettings: [.linkedLibrary("gomp")]),
        .target(name: "Keel", dependencies: ["KeelKernels", "COpenBLAS", "COneDNN"]),
        .target(name: "BadInputs", path: "Tests/BadInputs"),
        .testTarget(name: "KeelTests", dependencies: ["Keel", "KeelKernels", "BadInputs"]),
    ],
    swiftLanguageModes: [.v6]
)
