// swift-tools-version: 6.2
import PackageDescription

let programs = [
    "classifier", "custom-layer", "custom-loss", "gan", "multi-input", "pictures", "profiling", "resume", "second-order", "sequences",
    "transfer", "two-optimizers",
]

// A package of its own that uses Keel. In your package, write the repository's address and a version for the path.
let package = Package(
    name: "keel-examples",
    dependencies: [.package(name: "slipway", path: "../..")],
    targets: programs.map { name in
        .executableTarget(
            name: name,
            dependencies: ["Keel", "KeelNN", "KeelData"].map { .product(name: $0, package: "slipway") })
    },
    swiftLanguageModes: [.v6]
)
