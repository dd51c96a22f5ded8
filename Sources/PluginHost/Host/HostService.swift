// The service `host.<name>`, by which people and tools see and steer a host from anywhere in the mesh. A thin layer over
// PluginHost's requests: arguments in, values out. What the values look like is in HostAnswers.

internal import FoundationEssentials
internal import Glibc
import Manifest
public import MeshClient
import MeshProtocol

/// Provides `host.<name>`.
public struct HostService: Sendable {
    private let host: PluginHost

    /// The service of a host.
    public init(_ host: PluginHost) { self.host = host }

    /// The service's name.
    public var name: String { "host.\(host.options.name)" }

    /// Registers the service; it ends with the connection.
    ///
    /// - Throws: ``MeshError`` when the broker refuses.
    @discardableResult
    public func provide(on mesh: MeshConnection, version: String) async throws -> Registration {
        let service = self
        return try await mesh.provide(
            ServiceDescription(
                name: name,
                version: version,
                methods: Self.methods,
                capabilities: ["plugin-host"],
                capacity: 64
            )
        ) { call in try await service.answer(call) }
    }

    private static var methods: [MethodDescription] {
        [
            MethodDescription(name: "plugins", flags: .idempotent),
            MethodDescription(name: "info", flags: .idempotent),
            MethodDescription(name: "why", flags: .idempotent),
            MethodDescription(name: "logs", flags: [.idempotent, .replyStream]),
            MethodDescription(name: "reload", flags: .replyStream, deadlineMilliseconds: 300_000),
            MethodDescription(name: "restart", flags: [], deadlineMilliseconds: 300_000),
            MethodDescription(name: "reset", flags: []),
            MethodDescription(name: "start", flags: [], deadlineMilliseconds: 120_000),
            MethodDescription(name: "stop", flags: [], deadlineMilliseconds: 120_000),
            MethodDescription(name: "regrant", flags: [], deadlineMilliseconds: 60_000),
        ]
    }

    private func answer(_ call: IncomingCall) async throws -> Payload {
        do {
            switch call.method {
            case "plugins": return try .json(["plugins": await host.answers()])
            case "info": return try .json(await host.info())
            case "regrant": return try .json(["changed": try await host.regrant()])
            case "logs": return try await logs(call)
            case "reload": return try await reload(call)
            case "why": return try .json(try await host.why(try plugin(call)))
            case "restart": return try await outcome(host.restart(try plugin(call)), plugin(call))
            case "reset": return try await order(call) { try await host.reset($0) }
            case "start": return try await order(call) { try await host.start($0) }
            case "stop": return try await order(call) { try await host.stop($0) }
            default:
                let known = Self.methods.map(\.name).joined(separator: ", ")
                throw MeshError(.unimplemented, "\(name) has no method \(call.method)", hint: "It has \(known).")
            }
        } catch let error as PluginHost.UnknownPlugin {
            throw MeshError(.notFound, error.description, hint: "`wiz plugins` lists the plugins of every host.")
        } catch let error as MeshError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            throw MeshError(.failedPrecondition, "\(error)")
        }
    }

    private struct PluginName: Decodable {
        var plugin: String
    }

    private func plugin(_ call: IncomingCall) throws -> String {
        do { return try call.payload.decode(PluginName.self).plugin } catch {
            throw MeshError(
                .invalidArgument,
                "\(name).\(call.method) needs the name of a plugin",
                hint: #"Send {"plugin": "NAME"}."#
            )
        }
    }

    private func order(_ call: IncomingCall, _ body: (String) async throws -> Void) async throws -> Payload {
        let plugin = try plugin(call)
        try await body(plugin)
        return try .json(await host.answer(plugin))
    }

    // MARK: - Reload

    private func reload(_ call: IncomingCall) async throws -> Payload {
        let plugin = try plugin(call)
        guard call.wantsReplyStream else { return try await outcome(host.reload(plugin), plugin) }
        let events = host.events()
        let telling = Task {
            for await event in events {
                guard case .reload(plugin, let generation, let text) = event else { continue }
                try await call.send(try .json(ReloadStep(plugin: plugin, generation: generation, text: text)))
            }
        }
        defer { telling.cancel() }
        return try await outcome(host.reload(plugin), plugin)
    }

    private func outcome(_ outcome: ReloadOutcome, _ plugin: String) async throws -> Payload {
        var answer = ReloadAnswer(plugin: plugin, outcome: "promoted", text: outcome.sentence)
        switch outcome {
        case .promoted(let generation, let version, let time):
            answer.generation = generation
            answer.version = version
            answer.milliseconds = time.milliseconds
        case .deferred: answer.outcome = "deferred"
        case .held(let permissions):
            throw MeshError(
                .failedPrecondition,
                "\(plugin) was not reloaded: \(outcome.sentence)",
                hint:
                    "Grant it with `wiz grant \(plugin) \(permissions.joined(separator: " "))`."
            )
        case .failed(let reason, let lines):
            answer.outcome = "failed"
            answer.lastLines = lines
            throw MeshError(
                .failedPrecondition,
                "\(plugin) was not reloaded: \(reason)" + (lines.last.map { " (it last wrote: \($0))" } ?? ""),
                details: try .json(answer)
            )
        }
        return try .json(answer)
    }

    // MARK: - Logs

    private struct LogRequest: Decodable {
        var plugin: String?
        var lines: Int?
        var follow: Bool?
    }

    /// Lines in one piece at most, and its bytes: a payload has a bound, and plugins write what they like.
    private static let pieceCount = 100
    private static let pieceByteCount = 512 << 10

    private func logs(_ call: IncomingCall) async throws -> Payload {
        let request = call.payload.isEmpty ? LogRequest() : try call.payload.decode(LogRequest.self)
        let events = host.events()
        var last = host.lines(of: request.plugin, last: min(request.lines ?? LogBook.capacity, 100_000)).map(
            LogAnswer.init
        )
        if !call.wantsReplyStream {
            return try .json(last.suffix(LogAnswer.count(last.reversed(), Self.pieceByteCount)))
        }
        while !last.isEmpty {
            let count = min(Self.pieceCount, LogAnswer.count(last, Self.pieceByteCount))
            try await call.send(try .json(Array(last.prefix(count))))
            last.removeFirst(count)
        }
        guard request.follow == true else { return .empty }
        for await event in events {
            guard let line = LogAnswer(event, host: host.options.name),
                request.plugin.map({ $0 == line.plugin }) ?? true
            else { continue }
            try await call.send(try .json(line))
        }
        try Task.checkCancellation()
        return .empty
    }
}
