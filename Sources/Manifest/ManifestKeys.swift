// The keys that each mapping of a manifest knows. The validator and the published JSON Schema both follow these lists; a
// test holds them together.

enum ManifestKeys {
    static let root = [
        "$schema", "manifestVersion", "name", "version", "description", "main", "build", "engines", "provides",
        "dependencies", "permissions", "optionalPermissions", "capabilities", "config", "limits", "lifecycle",
        "restart",
        "activation", "instances",
    ]
    static let engines = ["wizmesh"]
    static let service = ["service", "version", "description", "methods", "attributes", "capabilities"]
    static let method = [
        "description", "input", "output", "timeoutMs", "idempotent", "readOnly", "destructive", "stream", "permissions",
    ]
    static let dependencies = ["required", "optional"]
    static let dependency = ["service", "range", "reason"]
    static let networking = ["hosts"]
    static let limits = ["memoryMB", "cpuPercent", "pids", "openFiles", "concurrency", "queue"]
    static let lifecycle = ["initTimeoutMs", "drainTimeoutMs", "reload"]
    static let instances = ["min", "max"]
}

/// Bounds of a manifest's values, each wide enough for anything sensible.
enum ManifestBounds {
    /// What PROVIDE can carry (docs/PROTOCOL.md, "Limits").
    static let methods = 256
    static let attributes = 64
    static let capabilities = 64
    static let methodPermissions = 16
    static let attributeBytes = 512
    /// A screenful each.
    static let services = 64
    static let dependencies = 256
    static let permissions = 64
    static let hosts = 256
    static let arguments = 64
    /// A paragraph.
    static let sentenceBytes = 2048
    static let pathBytes = 1024

    static let memoryMB = 1...1_048_576
    static let cpuPercent = 1...102_400
    static let pids = 1...32_768
    static let openFiles = 16...1_048_576
    static let concurrency = 1...65_536
    static let queue = 0...1_048_576
    static let instances = 0...1024
    /// An hour.
    static let milliseconds = 1...3_600_000
}
