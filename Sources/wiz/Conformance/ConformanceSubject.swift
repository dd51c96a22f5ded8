// The plugin that is looked at: how its processes are started, what it declares, and which calls tell something about it.

import ConfigDocument
import Glibc
import Manifest
import MeshClient
import MeshProtocol
import PluginHost

/// A plugin's folder, and how it is started.
struct ConformanceSubject: Sendable {
    let folder: String
    let manifest: PluginManifest
    /// Its settings.
    let config: JSON
    /// What starts its processes.
    let launcher: any ProcessLauncher

    /// The bound from start to ready: the manifest's, else the host's.
    var initTimeout: Duration { manifest.lifecycle.initTimeout ?? .seconds(10) }
    /// The bound from SIGTERM to the end: the manifest's drain, and what the host allows for teardown and last words.
    var stopBound: Duration { (manifest.lifecycle.drainTimeout ?? .seconds(5)) + .seconds(3) }

    /// What the manifest says for these checks under `x-conformance`.
    var hints: JSON { manifest.extensions.first { $0.key == "x-conformance" }?.value ?? .mapping([]) }

    /// Starts a process of it; without a ticket it comes as the user who runs this.
    func start(in mesh: ConformanceMesh, ticket: String?, number: Int = 1, generation: Int = 1) async -> PluginJob {
        var environment: [String: String] = [:]
        let data = "\(mesh.folder)/data-\(manifest.name)"
        mkdir(data, 0o700)
        environment["WIZ_HOST"] = "1"
        environment["WIZ_ENDPOINT"] = mesh.endpoint
        environment["WIZ_PLUGIN_FOLDER"] = folder
        environment["WIZ_PLUGIN_NAME"] = manifest.name
        environment["WIZ_INSTANCE"] = "\(number)"
        environment["WIZ_GENERATION"] = "\(generation)"
        environment["WIZ_DATA"] = data
        environment["WIZ_SETTINGS"] = "stdin"
        let variables: [JSON.Entry] = ticket.map { [.init(key: "WIZ_TICKET", value: .string($0))] } ?? []
        let (program, arguments) = self.program
        return await PluginJob(
            LaunchOrder(
                label: "\(manifest.name)#\(number)@\(generation)",
                program: program,
                arguments: arguments,
                folder: folder,
                environment: environment,
                input: JSON.object(["config": config, "variables": .mapping(variables)]).json,
                permissions: LaunchPermissions(
                    networking: .all,
                    storage: manifest.permissionRequest(PermissionRequest.storage) != nil
                ),
                enforcement: .off,
                meshFolder: mesh.folder + "/run",
                dataFolder: data,
                // What is deaf to SIGTERM is to be seen so: the launcher ends it only when the check is long over.
                grace: stopBound + ConformanceRun.bound
            ),
            launcher
        )
    }

    private var program: (path: String, arguments: [String]) {
        let main = manifest.main
        if let path = try? main.resolve(in: folder) { return (path, main.arguments) }
        switch main.program {
        case .inFolder(let path): return (folder + "/" + path, main.arguments)
        case .onPath(let name): return (name, main.arguments)
        }
    }

    /// The methods that may be called: all but those that destroy something, and those that the manifest asks to leave out.
    var probes: [ConformanceProbe] {
        let skipped = Set(hints.texts("skip"))
        let samples = hints["samples"]
        return manifest.provides.flatMap { service in
            service.methods.compactMap { method in
                let title = "\(service.service).\(method.name)"
                guard !method.isDestructive, !skipped.contains(title) else { return nil }
                return ConformanceProbe(
                    target: .service(service.service, range: "\(service.version)", method: method.name),
                    title: title,
                    directions: StreamDirections(method.stream),
                    isIdempotent: method.isIdempotent || method.isReadOnly,
                    timeout: method.timeout ?? .seconds(5),
                    input: .json(text: (samples?[title] ?? SampleInput.value(for: method.input)).json)
                )
            }
        }
    }

    /// A call that lasts, as the manifest names one: `"slow": {"method": "echo.sleep", "input": {…}}`.
    var slowProbe: ConformanceProbe? {
        guard let slow = hints["slow"], var probe = probes.first(where: { $0.title == slow.text("method") }) else {
            return nil
        }
        if let input = slow["input"] { probe.input = .json(text: input.json) }
        return probe
    }
}

/// A method, with input that its schema allows.
struct ConformanceProbe: Sendable {
    var target: CallTarget
    var title: String
    var directions: StreamDirections
    var isIdempotent: Bool
    var timeout: Duration
    var input: Payload

    /// Calls it and reads what comes; of a long stream only the beginning.
    func call(on mesh: MeshConnection, with input: Payload? = nil) async throws {
        let options = CallOptions(deadline: timeout)
        guard !directions.isEmpty else {
            _ = try await mesh.call(target, payload: input ?? self.input, options: options)
            return
        }
        let stream = try await mesh.openStream(
            target,
            payload: input ?? self.input,
            directions: directions,
            options: options
        )
        if directions.contains(.requests) { try await stream.finish() }
        var count = 0
        for try await _ in stream {
            count += 1
            if count == 16 { return stream.cancel() }
        }
        _ = try await stream.reply()
    }
}

extension StreamDirections {
    init(_ stream: MethodStream) {
        switch stream {
        case .none: self = []
        case .request: self = .requests
        case .reply: self = .replies
        case .both: self = .both
        }
    }
}
