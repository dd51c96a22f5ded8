// The interface of a plugin. Everything else of this room serves whoever conforms to it.

/// A program that joins the mesh: it provides services, uses those of others, or both.
///
/// The smallest useful plugin, whose `plugin.json` declares the service `greeter` with the method `greet`:
///
/// ```swift
/// import WizPlugin
///
/// @main
/// struct Greeter: Plugin {
///     struct Person: Codable { var name: String }
///
///     func register(_ registry: ServiceRegistry) async throws {
///         try await registry.registerService("greeter") { service in
///             service.method("greet", idempotent: true) { (person: Person, context) in
///                 "Hello, \(person.name), says \(context.plugin.name) to \(context.caller)"
///             }
///         }
///     }
/// }
/// ```
///
/// A struct, a final class or an actor will do. Its name, version and description are those of `plugin.json`. The order of
/// its life: `init`, ``initialize(_:)``, ``register(_:)``, calls, ``teardown()``. See ``main()`` for what the process does.
public protocol Plugin: Sendable {
    /// Makes the plugin; nothing is connected yet.
    init()

    /// Reads settings, opens files, loads models. The connection is up; no service is registered.
    ///
    /// - Throws: ``PluginError`` to say that a setting is wrong or something is not ready; any other error is a failure.
    ///   The process then ends, see ``PluginExit``.
    func initialize(_ config: PluginConfig) async throws

    /// Registers services and finds those of others.
    ///
    /// - Throws: as ``initialize(_:)``.
    func register(_ registry: ServiceRegistry) async throws

    /// The dynamic way in: answers each method that `plugin.json` declares without a stream and that ``register(_:)``
    /// gave no handler of its own.
    ///
    /// - Parameters:
    ///   - method: The method's name; the service's is in the context.
    ///   - params: What came with the call, an empty object when there was nothing.
    ///   - context: Who calls, how long it waits.
    /// - Returns: the answer.
    /// - Throws: what the caller gets: a ``MeshError`` as it is, any other error as INTERNAL.
    func execute(_ method: String, _ params: Value, _ context: PluginContext) async throws -> Value

    /// Gives back what ``initialize(_:)`` took: no handler runs any more, and the connection is still up unless calls outlasted
    /// the time that they were given.
    func teardown() async throws

    /// Hears of every error: those that handlers throw, those of the life cycle, and registrations that the broker took
    /// back. May be called from several tasks at once.
    func onError(_ error: any Error)
}

extension Plugin {
    /// Does nothing.
    public func initialize(_ config: PluginConfig) async throws {}

    /// Registers nothing by itself: the services of `plugin.json` go to ``execute(_:_:_:)``.
    public func register(_ registry: ServiceRegistry) async throws {}

    /// Fails with UNIMPLEMENTED.
    public func execute(_ method: String, _ params: Value, _ context: PluginContext) async throws -> Value {
        throw MeshError(
            .unimplemented,
            "\(context.plugin.name) declares \(context.service).\(method) in plugin.json and has no handler for it",
            hint: "Register the method in register(_:), or answer it in execute(_:_:_:)."
        )
    }

    /// Does nothing.
    public func teardown() async throws {}

    /// Does nothing.
    public func onError(_ error: any Error) {}

    /// Runs the plugin as this process, until it is told to stop; never returns.
    ///
    /// 1. Reads the environment (WIZ_ENDPOINT, WIZ_TICKET, WIZ_PLUGIN_FOLDER, WIZ_PLUGIN_NAME, WIZ_PLUGIN_CONFIG, WIZ_DATA,
    ///    WIZ_INSTANCE, WIZ_GENERATION, WIZ_LOG), with WIZ_SETTINGS=stdin the settings and secrets from the first line of
    ///    standard input, and `plugin.json`.
    /// 2. Connects, checks the settings against the schema in `plugin.json`, calls ``initialize(_:)`` and ``register(_:)``,
    ///    registers what `plugin.json` declares besides, and tells the broker that it is ready.
    /// 3. Serves until SIGTERM, SIGINT, the broker's wish that it drains, or, under a host (WIZ_HOST=1), the end of
    ///    standard input or of the host.
    /// 4. Takes no new calls, gives those in flight `lifecycle.drainTimeoutMs` (or what the broker grants, if that is less),
    ///    cancels the rest, calls ``teardown()``, says BYE and exits 0. A second signal ends the process at once.
    ///
    /// A failure is told to ``onError(_:)``, written to standard error as a sentence, and ends the process with a code
    /// of ``PluginExit``.
    @concurrent public static func main() async {
        await PluginProcess.run { Self() }
    }
}
