// `wiz call`: one call, or a stream, or the same call several times.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Call a method.",
        discussion: """
            Examples:
              wiz call echo.say '{"text":"hi"}'
              wiz call 'llm@^2.generate' '{"prompt":"Once"}' --stream
              wiz call llm.generate --capability --where model=tiny '{"prompt":"Once"}'
              jq -n '{a:1}' | wiz call echo.say -
            """
    )

    @OptionGroup var target: CallArguments
    @Argument(help: "The payload: JSON, or - for standard input. Default: {}.")
    var payload: String?
    @Flag(help: "Read a stream of replies, each as it comes.")
    var stream = false
    @Flag(help: "Tell on standard error where the time went.")
    var timing = false
    @Option(
        name: .customLong("repeat"),
        help: ArgumentHelp("Make the call so many times, one after the other.", valueName: "n")
    )
    var count = 1
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard count >= 1 else { throw ValidationError("--repeat takes a number from 1") }
    }

    func run() async throws {
        let target = try target.target()
        let command = "wiz call " + self.target.method
        let payload = try PayloadArgument.payload(payload, as: self.target.type, command: command)
        try await broker.withMesh { [self] mesh in
            do {
                for _ in 0..<count {
                    if stream {
                        try await readStream(mesh, target, payload)
                    } else {
                        try await callOnce(mesh, target, payload)
                    }
                }
            } catch let error as MeshError {
                throw await explained(error, target, mesh)
            }
        }
    }

    /// The failure with what to type next, which for an unknown name is the nearest there is.
    private func explained(_ error: MeshError, _ target: CallTarget, _ mesh: MeshConnection) async -> CommandFailure {
        var hints: [String] = []
        if error.status == .notFound || error.status == .unimplemented,
            let suggestion = await mesh.suggestion(for: target)
        {
            hints.append(suggestion)
        }
        if !error.hint.isEmpty { hints.append(error.hint) }
        if error.status == .failedPrecondition, !stream, await mesh.answersWithStream(target) {
            return CommandFailure(error, hint: "It answers with a stream of replies: add --stream.")
        }
        if error.status == .deadlineExceeded, hints.isEmpty {
            hints.append("Give it more time with --deadline, or see what is busy with `wiz calls`.")
        }
        return CommandFailure(error, hint: hints.joined(separator: "\n"))
    }

    private func callOnce(_ mesh: MeshConnection, _ target: CallTarget, _ payload: Payload) async throws {
        let begin = ContinuousClock.now
        let reply = try await mesh.call(target, payload: payload, options: self.target.options)
        let total = begin.duration(to: .now)
        if output.json {
            let value = reply.payload.value
            Terminal.output.line(
                timing ? JSON.object(["reply": value, "timing": times(reply, total)]).json : value.json
            )
        } else {
            Terminal.output.write(reply.payload.shown(on: .output))
            if timing { tellTimes(reply, total) }
        }
    }

    private func readStream(_ mesh: MeshConnection, _ target: CallTarget, _ payload: Payload) async throws {
        let begin = ContinuousClock.now
        let stream = try await mesh.openStream(target, payload: payload, options: self.target.options)
        var first: Duration?
        var chunks = 0
        var isInLine = false
        for try await chunk in stream {
            if first == nil { first = begin.duration(to: .now) }
            chunks += 1
            if output.json {
                Terminal.output.line(JSON.object(["chunk": chunk.value]).json)
            } else if let text = chunk.running {
                Terminal.output.write(clean(text, keepingLines: true))
                isInLine = !text.hasSuffix("\n")
            } else {
                if isInLine { Terminal.output.line() }
                isInLine = false
                Terminal.output.line(clean(chunk.text))
            }
        }
        let reply = try await stream.reply()
        let total = begin.duration(to: .now)
        if isInLine { Terminal.output.line() }
        if output.json {
            var end: [JSON.Entry] = [.init(key: "end", value: reply.payload.value)]
            if timing { end.append(.init(key: "timing", value: times(reply, total, first: first, chunks: chunks))) }
            Terminal.output.line(JSON.mapping(end).json)
        } else {
            if !reply.payload.isNothing { Terminal.output.write(reply.payload.shown(on: .output)) }
            if timing { tellTimes(reply, total, first: first, chunks: chunks) }
        }
    }

    private func times(_ reply: Reply, _ total: Duration, first: Duration? = nil, chunks: Int? = nil) -> JSON {
        var entries: [JSON.Entry] = [
            .init(key: "totalMicroseconds", value: .integer(Units.microseconds(total))),
            .init(key: "queuedMicroseconds", value: .integer(Units.microseconds(reply.queued))),
            .init(key: "serviceMicroseconds", value: .integer(Units.microseconds(reply.service))),
            .init(key: "provider", value: .integer(Int64(clamping: reply.provider))),
        ]
        if let first {
            entries.append(.init(key: "firstChunkMicroseconds", value: .integer(Units.microseconds(first))))
        }
        if let chunks { entries.append(.init(key: "chunks", value: .integer(Int64(chunks)))) }
        return .mapping(entries)
    }

    private func tellTimes(_ reply: Reply, _ total: Duration, first: Duration? = nil, chunks: Int? = nil) {
        let way = max(.zero, total - reply.queued - reply.service)
        var parts = ["total \(Units.text(total))"]
        if let first { parts.append("first chunk \(Units.text(first))") }
        if let chunks { parts.append("\(chunks) chunks") }
        parts += ["queued \(Units.text(reply.queued))", "at the worker \(Units.text(reply.service))"]
        parts.append("under way \(Units.text(way))")
        parts.append(reply.provider == 0 ? "answered by the broker" : "answered by session \(reply.provider)")
        note(parts.joined(separator: " · "))
    }
}

extension Payload {
    /// The payload as JSON: itself, a text as a string, other bytes as hexadecimal digits.
    var value: JSON {
        switch contentType {
        case .json: (try? JSON(parsing: text)) ?? .string(text)
        case .text: .string(text)
        default:
            if isEmpty {
                .null
            } else {
                String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .object(["hex": .string(hexadecimal)])
            }
        }
    }

    /// The payload for people, with a line's end.
    func shown(on terminal: Terminal) -> String {
        if contentType == .json, terminal.isTerminal { return prettyJSON(text, terminal.style) + "\n" }
        if terminal.isTerminal { return clean(text, keepingLines: true) + "\n" }
        return text + "\n"
    }

    /// Text that continues what came before, as the tokens of a model do; nil when the chunk stands for itself.
    var running: String? {
        guard contentType == .json else { return contentType == .text ? text : nil }
        guard let value = try? JSON(parsing: text) else { return nil }
        return value.string ?? value["token"]?.string ?? value["text"]?.string
    }

    /// Whether there is nothing to show.
    var isNothing: Bool { isEmpty || text == "null" || text == "{}" }

    private var hexadecimal: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
