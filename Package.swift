// swift-tools-version: 6.2
// The rooms of Wizmesh and the arrows between them: see docs/ARCHITECTURE.md; Scripts/check-imports.sh enforces them.

import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// A plugin that ships with the mesh: its folder holds plugin.json, README.md and Sources/.
func plugin(_ name: String, dependencies: [Target.Dependency] = [], sources: String = "Sources") -> Target {
    .executableTarget(
        name: name,
        dependencies: ["WizPlugin"] + dependencies,
        path: "plugins/\(name)/\(sources)",
        swiftSettings: settings
    )
}

func room(_ name: String, dependencies: [Target.Dependency] = [], extra: [SwiftSetting] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings + extra)
}

func tests(_ name: String, dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "wizmesh",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "WizPlugin", targets: ["WizPlugin"]),
        .library(name: "MeshClient", targets: ["MeshClient"]),
        .library(name: "MeshTesting", targets: ["MeshTesting"]),
        .library(name: "SemanticVersion", targets: ["SemanticVersion"]),
        .library(name: "MeshInternals", targets: ["ZeroMQ", "MeshProtocol", "BrokerCore", "Broker"]),
        .executable(name: "wiz", targets: ["wiz"]),
        .executable(name: "wizmesh-broker", targets: ["wizmesh-broker"]),
        .executable(name: "wizmesh-launch", targets: ["wizmesh-launch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0", traits: []),
    ],
    targets: [
        .systemLibrary(name: "CZeroMQ", pkgConfig: "libzmq", providers: [.apt(["libzmq3-dev"])]),
        .target(name: "CLinuxShims"),
        room(
            "ZeroMQ",
            dependencies: ["CZeroMQ", "CLinuxShims"],
            extra: [.enableExperimentalFeature("Lifetimes")]
        ),
        room("MeshProtocol"),
        room("SemanticVersion"),
        room("ConfigDocument", dependencies: [yams]),
        room("Manifest", dependencies: ["ConfigDocument", "SemanticVersion"]),
        room("BrokerCore", dependencies: ["MeshProtocol", "SemanticVersion", deque, histogram]),
        room(
            "Broker",
            dependencies: [
                "BrokerCore", "MeshProtocol", "SemanticVersion", "ZeroMQ", "CLinuxShims", "ConfigDocument", "Manifest",
                log,
            ]
        ),
        room("MeshClient", dependencies: ["MeshProtocol", "SemanticVersion", "ZeroMQ", "CLinuxShims", deque, log]),
        room("WizPlugin", dependencies: ["MeshClient", "MeshProtocol", "SemanticVersion", "CLinuxShims", log]),
        room(
            "PluginHost",
            dependencies: [
                "Manifest", "ConfigDocument", "SemanticVersion", "MeshClient", "MeshProtocol", "CLinuxShims",
                subprocess,
                systemPackage, log,
            ]
        ),
        room("BrokerSimulation", dependencies: ["BrokerCore", "MeshProtocol", heap]),
        room("MeshTesting", dependencies: ["Broker", "MeshClient", "MeshProtocol", "WizPlugin", "CLinuxShims", log]),
        .executableTarget(
            name: "wiz",
            dependencies: [
                "Broker", "MeshClient", "MeshProtocol", "PluginHost", "Manifest", "ConfigDocument", "SemanticVersion",
                "CLinuxShims", arguments, histogram, log,
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "wizmesh-broker",
            dependencies: ["Broker", arguments, log],
            path: "broker/Sources",
            swiftSettings: settings
        ),
        plugin("echo"),
        .target(name: "NGramModel", path: "plugins/ngram-llm/Sources/Model", swiftSettings: settings),
        plugin("ngram-llm", dependencies: ["NGramModel"], sources: "Sources/Plugin"),
        plugin("ui"),
        plugin("midnight-theme"),
        plugin("filesystem-access", dependencies: ["CLinuxShims"]),
        plugin("sandbox-probe"),
        .executableTarget(name: "wizmesh-launch", dependencies: ["CLinuxShims"], swiftSettings: settings),
        .executableTarget(
            name: "hostile-program",
            dependencies: ["CLinuxShims"],
            path: "Tests/Fixtures/hostile-program/Sources",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "sandbox-host",
            dependencies: ["PluginHost"],
            path: "Tests/Fixtures/sandbox-host/Sources",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "rogue-plugin",
            dependencies: ["WizPlugin", "MeshProtocol", "ZeroMQ", "CLinuxShims"],
            path: "Tests/Fixtures/rogue-plugin/Sources",
            swiftSettings: settings
        ),
        tests(
            "BrokerTests",
            dependencies: [
                "Broker", "BrokerCore", "ConfigDocument", "Manifest", "MeshProtocol", "ZeroMQ", "CLinuxShims", log,
            ]
        ),
        tests("ZeroMQTests", dependencies: ["ZeroMQ", "CLinuxShims"]),
        tests("MeshClientTests", dependencies: ["MeshClient", "MeshProtocol", "ZeroMQ", "CLinuxShims", log]),
        tests("BrokerCoreTests", dependencies: ["BrokerCore", "MeshProtocol", "SemanticVersion"]),
        tests("BrokerCorePartsTests", dependencies: ["BrokerCore", "MeshProtocol"]),
        tests("MeshProtocolTests", dependencies: ["MeshProtocol"]),
        tests("NGramModelTests", dependencies: ["NGramModel"]),
        tests(
            "WizPluginTests",
            dependencies: [
                "WizPlugin", "Broker", "Manifest", "SemanticVersion", "CLinuxShims", log,
                "echo", "filesystem-access", "midnight-theme", "ngram-llm", "rogue-plugin", "ui",
            ]
        ),
        tests("MeshSimulationTests", dependencies: ["BrokerSimulation"]),
        tests("MeshTestingTests", dependencies: ["MeshTesting", "WizPlugin"]),
        tests("SemanticVersionTests", dependencies: ["SemanticVersion"]),
        tests("ConfigDocumentTests", dependencies: ["ConfigDocument"]),
        tests("ManifestTests", dependencies: ["Manifest", "ConfigDocument", "SemanticVersion"]),
        tests(
            "PluginHostTests",
            dependencies: [
                "PluginHost", "Manifest", "ConfigDocument", "SemanticVersion", "CLinuxShims", "wizmesh-launch",
                "hostile-program", "sandbox-host",
            ]
        ),
        tests(
            "PluginHostIntegrationTests",
            dependencies: [
                "PluginHost", "Manifest", "Broker", "MeshClient", "MeshProtocol", "ConfigDocument", "CLinuxShims",
                "rogue-plugin", "wizmesh-launch", log,
            ]
        ),
        tests(
            "WizTests",
            dependencies: [
                "wiz", "ConfigDocument", "Manifest", "MeshClient", "MeshProtocol", "PluginHost",
                "echo", "filesystem-access", "midnight-theme", "rogue-plugin", "ui", "wizmesh-launch",
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)
