// Reads a document into a manifest: every field is read whatever is wrong with the others, so that all problems are told
// at once. The larger parts have files of their own.

internal import ConfigDocument
internal import SemanticVersion

struct ManifestReader {
    let fields: ConfigMapping

    /// `main`, known even if the rest is wrong.
    let main: EntryPoint?

    init(_ root: ConfigField) {
        fields = root.mapping(ManifestKeys.root)
        main = EntryPoint(fields["main"].required())
    }

    func manifest() -> PluginManifest? {
        let schema = fields["$schema"].string(allowsEmpty: false, maximumLength: ManifestBounds.pathBytes)
        let manifestVersion = readManifestVersion()
        let name = fields["name"].required().pluginName()
        let version = fields["version"].required().version()
        let description = fields["description"].sentence()
        let build = readBuild()
        let engine = fields["engines"].mapping(ManifestKeys.engines)["wizmesh"].range()
        let provides = ServiceReader(pluginVersion: version).services(fields["provides"])
        let dependencies = DependencyReader.read(fields["dependencies"].mapping(ManifestKeys.dependencies))
        let permissions = PermissionReader.read(fields["permissions"], optional: fields["optionalPermissions"])
        let capabilities = fields["capabilities"].names("capability", atMost: ManifestBounds.capabilities)
        let config = ConfigSchema(fields["config"])
        let limits = readLimits()
        let lifecycle = readLifecycle()
        let restart = fields["restart"].oneOf(RestartPolicy.self)
        let activation = fields["activation"].oneOf(Activation.self)
        let instances = readInstances()
        guard let name, let version, let main else { return nil }
        return PluginManifest(
            schema: schema,
            manifestVersion: manifestVersion,
            name: name,
            version: version,
            description: description,
            main: main,
            build: build,
            engine: engine,
            provides: provides,
            requiredDependencies: dependencies.required,
            optionalDependencies: dependencies.optional,
            permissions: permissions.required,
            optionalPermissions: permissions.optional,
            capabilities: capabilities,
            config: config,
            limits: limits,
            lifecycle: lifecycle,
            restart: restart ?? .permanent,
            activation: activation ?? .eager,
            instances: instances,
            extensions: fields.extensions
        )
    }

    private func readManifestVersion() -> Int {
        let field = fields["manifestVersion"]
        guard let number = field.integer() else { return PluginManifest.currentManifestVersion }
        if number != PluginManifest.currentManifestVersion {
            field.report(
                "manifest version \(number) is not known here",
                expected: "\(PluginManifest.currentManifestVersion); a newer one needs a newer wiz"
            )
        }
        return number
    }

    private func readBuild() -> BuildCommand? {
        let field = fields["build"]
        if case .list = field.node?.content {
            let arguments = field.arguments()
            return arguments.isEmpty ? nil : BuildCommand(arguments: arguments)
        }
        guard let text = field.string(allowsEmpty: false) else { return nil }
        return BuildCommand(arguments: ["/bin/sh", "-c", text])
    }

    private func readLimits() -> ResourceRequest {
        let limits = fields["limits"].mapping(ManifestKeys.limits)
        return ResourceRequest(
            memoryBytes: limits["memoryMB"].integer(in: ManifestBounds.memoryMB).map { $0 << 20 },
            cpuPercent: limits["cpuPercent"].integer(in: ManifestBounds.cpuPercent),
            processCount: limits["pids"].integer(in: ManifestBounds.pids),
            openFileCount: limits["openFiles"].integer(in: ManifestBounds.openFiles),
            concurrency: limits["concurrency"].integer(in: ManifestBounds.concurrency),
            queueLength: limits["queue"].integer(in: ManifestBounds.queue)
        )
    }

    private func readLifecycle() -> Lifecycle {
        let lifecycle = fields["lifecycle"].mapping(ManifestKeys.lifecycle)
        return Lifecycle(
            initTimeout: lifecycle["initTimeoutMs"].milliseconds(),
            drainTimeout: lifecycle["drainTimeoutMs"].milliseconds(),
            reload: lifecycle["reload"].oneOf(ReloadMode.self) ?? .overlap
        )
    }

    private func readInstances() -> InstanceCount {
        let instances = fields["instances"].mapping(ManifestKeys.instances)
        let minimum = instances["min"].integer(in: ManifestBounds.instances)
        let maximum = instances["max"].integer(in: 1...ManifestBounds.instances.upperBound)
        if let minimum, let maximum, minimum > maximum {
            instances["min"].report("min \(minimum) is greater than max \(maximum)", expected: "at most \(maximum)")
        }
        return InstanceCount(
            minimum: minimum ?? min(1, maximum ?? 1),
            maximum: maximum ?? max(1, minimum ?? 1)
        )
    }
}

extension ConfigField {
    /// A text for people.
    func sentence() -> String? { string(maximumLength: ManifestBounds.sentenceBytes) }

    /// A whole number of milliseconds.
    func milliseconds() -> Duration? {
        integer(in: ManifestBounds.milliseconds).map { .milliseconds($0) }
    }

    /// A list of names, each once.
    func names(_ what: String, atMost maximum: Int) -> [String] {
        var seen = Set<String>()
        return list(atMost: maximum).compactMap { item in
            guard let name = item.name(what) else { return nil }
            if seen.insert(name).inserted { return name }
            item.report("\(what) \(excerpt(name)) is listed twice")
            return nil
        }
    }

    /// A program and its arguments; empty after a problem.
    func arguments() -> [String] {
        let items = list(atLeast: 1, atMost: ManifestBounds.arguments)
        let texts = items.enumerated().compactMap { index, item in item.argument(allowsEmpty: index > 0) }
        return texts.count == items.count ? texts : []
    }

    private func argument(allowsEmpty: Bool) -> String? {
        guard let text = string(allowsEmpty: allowsEmpty) else { return nil }
        if !text.utf8.contains(0) { return text }
        report("an argument cannot hold the character U+0000")
        return nil
    }
}

extension EntryPoint {
    /// Reads `main`: a path inside the folder, or a list of a program and its arguments.
    init?(_ field: ConfigField) {
        guard case .list = field.node?.content else {
            guard let text = field.string(allowsEmpty: false), let path = Self.path(text, field) else { return nil }
            self.init(program: .inFolder(path), arguments: [])
            return
        }
        let arguments = field.arguments()
        guard let first = arguments.first, let firstField = field.list().first else { return nil }
        if first.contains("/") {
            guard let path = Self.path(first, firstField) else { return nil }
            self.init(program: .inFolder(path), arguments: Array(arguments.dropFirst()))
        } else {
            self.init(program: .onPath(first), arguments: Array(arguments.dropFirst()))
        }
    }

    /// The path without `.` and doubled slashes, if it cannot leave the folder by its words alone.
    private static func path(_ text: String, _ field: ConfigField) -> String? {
        let expected = "a path inside the plugin's folder, such as \"bin/plugin\""
        if text.hasPrefix("/") || text.hasPrefix("~") {
            field.report("\(excerpt(text)) is not relative to the plugin's folder", expected: expected)
            return nil
        }
        let steps = text.split(separator: "/").filter { $0 != "." }
        if steps.contains("..") {
            field.report("\(excerpt(text)) leads out of the plugin's folder by \"..\"", expected: expected)
            return nil
        }
        if steps.isEmpty || text.utf8.count > ManifestBounds.pathBytes || text.utf8.contains(0) || text.hasSuffix("/") {
            field.report("\(excerpt(text)) is not the path of a file", expected: expected)
            return nil
        }
        return steps.joined(separator: "/")
    }
}
