// From a builder and plugin.json to what the broker is told and how calls find their handlers. Pure.

/// A service that is ready to be provided.
struct ServiceTable: Sendable {
    let description: ServiceDescription
    let handlers: [String: ServiceBuilder.Handler]
    /// Methods that `plugin.json` declares with a stream and nobody answers: they are left out.
    let unanswered: [String]

    struct Options {
        var capacity: Int?
        var weight: Int?
        var attributes: [String: String]?
        var capabilities: [String]?
    }

    /// Puts a service together.
    ///
    /// The methods are those of the builder and then those that `plugin.json` declares besides; these go to `execute`. What the
    /// code leaves open is taken from `plugin.json`.
    /// - Throws: ``PluginError/configuration(_:)`` when a method is named twice, or there is none.
    init(
        _ name: String,
        version: String?,
        options: Options,
        builder: ServiceBuilder,
        plugin: PluginInfo,
        execute: @escaping ServiceBuilder.Handler
    ) throws(PluginError) {
        let declared = plugin.service(name, version: version)
        var methods: [MethodDescription] = []
        var handlers: [String: ServiceBuilder.Handler] = [:]
        for entry in builder.entries {
            guard handlers[entry.name] == nil else { throw .configuration("\(name).\(entry.name) is registered twice") }
            handlers[entry.name] = entry.handler
            methods.append(Self.describe(entry, declared?.methods.first { $0.name == entry.name }))
        }
        var unanswered: [String] = []
        for method in declared?.methods ?? [] where handlers[method.name] == nil {
            guard method.streams.isEmpty else {
                unanswered.append(method.name)
                continue
            }
            handlers[method.name] = execute
            methods.append(method.description)
        }
        guard !methods.isEmpty else {
            throw .configuration(
                "the service \(name) of \(plugin.name) has no methods: name them in plugin.json or in code"
            )
        }
        let attributes = options.attributes.map { $0.sorted { $0.key < $1.key }.map(Attribute.init) }
        var capabilities = options.capabilities ?? declared?.capabilities ?? []
        for tag in plugin.capabilities where !capabilities.contains(tag) { capabilities.append(tag) }
        description = ServiceDescription(
            name: name,
            version: version ?? declared?.version ?? plugin.version,
            methods: methods,
            attributes: attributes ?? declared?.attributes ?? [],
            capabilities: capabilities,
            capacity: options.capacity ?? plugin.concurrency ?? 16,
            weight: options.weight ?? 100,
            schema: declared.flatMap { try? Payload.json($0.document) }
        )
        self.handlers = handlers
        self.unanswered = unanswered
    }

    private static func describe(_ entry: ServiceBuilder.Entry, _ declared: PluginInfo.Method?) -> MethodDescription {
        PluginInfo.Method(
            name: entry.name,
            isIdempotent: entry.isIdempotent ?? declared?.isIdempotent ?? false,
            streams: entry.streams,
            permissions: entry.permissions ?? declared?.permissions ?? [],
            deadline: entry.deadline ?? declared?.deadline
        ).description
    }

    /// The handler of a method.
    func handler(_ method: String) throws(MeshError) -> ServiceBuilder.Handler {
        if let handler = handlers[method] { return handler }
        throw MeshError(
            .unimplemented,
            "\(description.title) has no method \(method); it has \(handlers.keys.sorted().joined(separator: ", "))"
        )
    }
}

extension PluginInfo.Method {
    /// What the broker is told.
    fileprivate var description: MethodDescription {
        var flags: MethodFlags = []
        if isIdempotent { flags.insert(.idempotent) }
        if streams.contains(.requests) { flags.insert(.requestStream) }
        if streams.contains(.replies) { flags.insert(.replyStream) }
        let (seconds, attoseconds) = (deadline ?? .zero).components
        let milliseconds = Double(seconds) * 1000 + Double(attoseconds) / 1e15
        return MethodDescription(
            name: name,
            flags: flags,
            deadlineMilliseconds: deadline == nil ? 0 : UInt32(min(max(1, milliseconds), 4_294_967_294)),
            permissions: permissions
        )
    }
}
