// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "my-plugin",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "wizmesh", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "my-plugin",
            dependencies: [.product(name: "WizPlugin", package: "wizmesh")]
        ),
        .testTarget(
            name: "MyPluginTests",
            dependencies: ["my-plugin", .product(name: "MeshTesting", package: "wizmesh")]
        ),
    ]
)
