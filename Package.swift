// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "slipway",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "slipway", targets: ["slipway"]),
        .library(name: "Keel", targets: ["Keel"]),
        .library(name: "KeelNN", targets: ["KeelNN"]),
        .library(name: "KeelData", targets: ["KeelData"]),
        .library(name: "KeelProgram", targets: ["KeelProgram"]),
        .library(name: "KeelModels", targets: ["KeelModels"]),
    ],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: [
        // C libraries of the system, a module map each.
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-openmp-dev"])]),
        .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
        .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
        .systemLibrary(name: "CSndfile", pkgConfig: "sndfile", providers: [.apt(["libsndfile1-dev"])]),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "CXGBoost", pkgConfig: "xgboost", providers: [.apt(["libxgboost-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // Keel: the deep-learning framework. Knows nothing of Slipway.
        .target(name: "KeelKernels", linkerSettings: [.linkedLibrary("gomp")]),
        .target(name: "Keel", dependencies: ["KeelKernels", "COpenBLAS", "COneDNN"]),
        .target(name: "KeelProgram", dependencies: ["Keel", "CCrypto"]),
        .target(name: "KeelNN", dependencies: ["Keel"]),
        .target(
            name: "KeelDataKernels", dependencies: ["CPNG", "CSndfile"],
            linkerSettings: [.linkedLibrary("png16"), .linkedLibrary("sndfile")]),
        .target(name: "KeelData", dependencies: ["Keel", "KeelNN", "KeelDataKernels", "CJPEG"]),
        .target(name: "KeelModels", dependencies: ["Keel", "KeelProgram", "KeelNN", "KeelData"]),

        // Slipway: the platform.
        .target(name: "CSlipwaySystem"),
        .target(name: "SlipwaySystem", dependencies: ["CSlipwaySystem"]),
        .target(name: "SlipwayDomain", dependencies: ["CCrypto"]),
        .target(
            name: "SlipwayPostgres",
            dependencies: ["SlipwaySystem", "CPostgres", .product(name: "Logging", package: "swift-log")]),
        .target(name: "SlipwayStore", dependencies: ["SlipwayDomain", "SlipwayPostgres", "CCrypto"]),
        .target(name: "SlipwayBlobs", dependencies: ["SlipwayDomain", "SlipwaySystem"]),
        .target(
            name: "SlipwayTasks",
            dependencies: [
                "SlipwayDomain", "SlipwaySystem", "Keel", "KeelProgram", "KeelNN", "KeelData", "KeelModels", "CXGBoost", "CArchive",
                .product(name: "Yams", package: "Yams"),
            ]),
        .target(
            name: "SlipwayJobs",
            dependencies: [
                "SlipwaySystem", "SlipwayStore", "SlipwayBlobs",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "SlipwayServing",
            dependencies: [
                "SlipwaySystem", "SlipwayStore", "SlipwayBlobs", "SlipwayTasks", "Keel", "KeelKernels",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "SlipwayHTTP",
            dependencies: [
                "SlipwaySystem", "SlipwayStore", "SlipwayBlobs", "SlipwayTasks",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(name: "KeelBenchNetworks", dependencies: ["Keel", "KeelNN"], path: "Benchmarks/Networks"),
        .executableTarget(name: "keel-bench", dependencies: ["Keel", "KeelNN", "KeelProgram", "KeelBenchNetworks"], path: "Benchmarks/KeelBench"),
        .executableTarget(name: "experiment", dependencies: ["SlipwayTasks"], path: "Benchmarks/Experiment"),
        .target(name: "CurlShims", dependencies: ["CCurl"]),
        .target(name: "SlipwayClient", dependencies: ["CurlShims"]),
        .executableTarget(
            name: "slipway",
            dependencies: [
                "SlipwayHTTP", "SlipwayServing", "SlipwayJobs", "SlipwayTasks", "SlipwayClient", "SlipwaySystem", "CArchive", "Keel", "KeelProgram",
                "KeelModels",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ]),

        .testTarget(name: "SlipwayBlobsTests", dependencies: ["SlipwayBlobs", "SlipwayDomain", "SlipwaySystem"]),
        .testTarget(
            name: "SlipwayClientTests",
            dependencies: ["SlipwayClient", .product(name: "Hummingbird", package: "hummingbird")]),
        .target(name: "BadInputs", path: "Tests/BadInputs"),
        .target(name: "KeelDecoders", dependencies: ["Keel", "KeelData", "KeelProgram"], path: "Tests/KeelDecoders"),
        // Keel's tests are plain targets: `KeelAPITests` brings them into the test bundle and two programs run them alone.
        .target(name: "KeelTestSupport", dependencies: ["Keel"], path: "Tests/KeelTestSupport"),
        .target(name: "KeelTests", dependencies: ["Keel", "KeelKernels", "KeelTestSupport", "BadInputs"], path: "Tests/KeelTests"),
        .target(name: "KeelNNTests", dependencies: ["Keel", "KeelNN"], path: "Tests/KeelNNTests"),
        .target(
            name: "KeelDataTests", dependencies: ["KeelData", "KeelDecoders", "BadInputs"], path: "Tests/KeelDataTests",
            exclude: ["golden.py", "Golden"]),
        .target(name: "KeelProgramTestSupport", dependencies: ["Keel", "KeelProgram"], path: "Tests/KeelProgramTestSupport"),
        .testTarget(
            name: "KeelProgramTests",
            dependencies: ["Keel", "KeelNN", "KeelProgram", "KeelProgramTestSupport", "KeelTestSupport", "KeelBenchNetworks", "BadInputs"],
            exclude: ["ONNX/Cases", "ONNX/Networks", "ONNX/networks.py", "ONNX/check_exports.py", "ModelFolder/Golden", "Quantisation/Models", "Quantisation/models.py"]),
        .testTarget(name: "KeelModelsTests", dependencies: ["Keel", "KeelNN", "KeelData", "KeelModels", "KeelProgram", "KeelProgramTestSupport"]),
        .testTarget(
            name: "KeelAPITests", dependencies: ["Keel", "KeelNN", "KeelData", "KeelProgram", "KeelModels", "KeelTests", "KeelNNTests", "KeelDataTests"], exclude: ["Golden"]),
        .executableTarget(
            name: "keel-tests", dependencies: ["KeelTests", "KeelNNTests", "KeelDataTests"], path: "Tests/KeelRunner"),
        .target(name: "KeelPlainProcessor", path: "Tests/KeelPlainProcessor"),
        .executableTarget(name: "keel-plain-tests", dependencies: ["KeelTests", "KeelPlainProcessor"], path: "Tests/KeelPlainRunner"),
        .testTarget(name: "KeelGoldenTests", dependencies: ["Keel", "KeelNN"], exclude: ["Golden"]),
        .target(name: "SlipwayDecoders", dependencies: ["KeelDecoders", "SlipwayTasks", "SlipwayDomain"], path: "Tests/SlipwayDecoders"),
        .executableTarget(name: "fuzz", dependencies: ["KeelDecoders", "SlipwayDecoders"], path: "Tests/Fuzz"),
        .target(
            name: "SlipwayTestSupport",
            dependencies: ["SlipwayStore", "SlipwaySystem", .product(name: "Logging", package: "swift-log")], path: "Tests/Support"),
        .testTarget(
            name: "SlipwayServingTests",
            dependencies: [
                "SlipwayServing", "SlipwayStore", "SlipwayBlobs", "SlipwayDomain", "SlipwayClient", "SlipwayTestSupport",
                .product(name: "Logging", package: "swift-log"),
            ]),
        .testTarget(
            name: "slipwayTests",
            dependencies: [
                "SlipwayDomain", "SlipwaySystem", "SlipwayPostgres", "SlipwayTestSupport",
                .product(name: "Hummingbird", package: "hummingbird"),
            ]),
        .testTarget(name: "SlipwaySystemTests", dependencies: ["SlipwaySystem"]),
        .executableTarget(
            name: "ClusterHost", dependencies: ["SlipwayPostgres", .product(name: "Logging", package: "swift-log")],
            path: "Tests/ClusterHost"),
        .testTarget(name: "SlipwayPostgresTests", dependencies: ["SlipwayPostgres", "SlipwayTestSupport", "ClusterHost"]),
        .testTarget(
            name: "SlipwayHTTPTests",
            dependencies: [
                "SlipwayHTTP", "SlipwayStore", "SlipwayBlobs", "SlipwayTasks", "SlipwayDomain", "SlipwayClient", "SlipwayTestSupport",
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        .testTarget(
            name: "SlipwayJobsTests",
            dependencies: [
                "SlipwayJobs", "SlipwayBlobs", "SlipwayStore", "SlipwayDomain", "SlipwaySystem", "SlipwayTestSupport",
            ]),
        .testTarget(
            name: "SlipwayTasksTests", dependencies: ["SlipwayTasks", "SlipwayDomain", "Keel", "KeelProgram", "KeelNN", "KeelData", "KeelModels", "KeelDecoders", "BadInputs"],
            exclude: ["Learning/Golden"]),
        .testTarget(name: "SlipwayStoreTests", dependencies: ["SlipwayStore", "SlipwayTestSupport"]),
        .testTarget(name: "ExamplesTests", dependencies: ["SlipwaySystem"]),
        .testTarget(
            name: "AcceptanceTests", dependencies: ["SlipwayClient", "SlipwayDomain", "SlipwaySystem", "CJPEG", "BadInputs"], exclude: ["Models"]),
    ],
    swiftLanguageModes: [.v6]
)

// Tests are compiled without optimisation: it would take minutes, and what they test is optimised.
for target in package.targets where target.type == .test || target.path?.hasPrefix("Tests/") == true {
    target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-Onone"])]
}
