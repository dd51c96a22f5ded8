// `wiz sub` and `wiz events`: events as they happen, for programs and for people.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

/// How a stream of events is asked for and when it ends.
struct EventArguments: ParsableArguments {
    @Flag(help: "Begin with the last value of each topic.")
    var last = false
    @Option(help: ArgumentHelp("Begin with so many of the latest kept events of each topic.", valueName: "n"))
    var history: UInt32 = 0
    @Option(help: ArgumentHelp("End after so many events.", valueName: "n"))
    var count: Int?
    @Option(help: "End after so long; exit code 0 if --count was reached or not asked for, else 6.")
    var timeout: DurationArgument?

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count takes a number from 1") }
    }

    /// Follows a pattern until its end.
    ///
    /// - Parameters:
    ///   - pattern: The pattern.
    ///   - mesh: The connection.
    ///   - ready: Called once the broker has begun to deliver.
    ///   - show: Gets each event, and how many were missed before it.
    /// - Throws: what ended the subscription, or that too few events came in time.
    func follow(
        _ pattern: String,
        _ mesh: MeshConnection,
        ready: @Sendable () -> Void,
        show: @escaping @Sendable (MeshEvent, UInt64) -> Void
    ) async throws {
        let subscription = try await mesh.subscribe(
            pattern,
            options: SubscriptionOptions(lastValue: last, history: history)
        )
        ready()
        let limit = count
        let reading = Task {
            var seen = 0
            var dropped: UInt64 = 0
            for try await event in subscription {
                show(event, event.dropped >= dropped ? event.dropped - dropped : 0)
                dropped = event.dropped
                seen += 1
                if let limit, seen >= limit { break }
            }
            return seen
        }
        let isLate = Latch()
        let clock = timeout.map { timeout in
            Task {
                try await Task.sleep(for: timeout.duration)
                _ = isLate.raise()
                reading.cancel()
            }
        }
        defer { clock?.cancel() }
        do {
            let seen = try await withTaskCancellationHandler {
                let seen = try await reading.value
                // What is ended by Ctrl-C ends by itself, too, when there is nothing to wait for.
                try Task.checkCancellation()
                return seen
            } onCancel: {
                reading.cancel()
            }
            if isLate.isRaised, let limit, seen < limit { throw late(limit, pattern) }
        } catch is CancellationError where isLate.isRaised {
            if let limit { throw late(limit, pattern) }
        }
    }

    private func late(_ limit: Int, _ pattern: String) -> CommandFailure {
        CommandFailure(.deadline, "fewer than \(limit) events came on \(pattern) in time")
    }
}

struct Sub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print events as they come.",
        discussion: """
            Examples:
              wiz sub 'ui.>' --last
              wiz sub 'llm.*.done' --count 1 --timeout 5s --json

            In a pattern * stands for one word, and > at the end for one or more.
            """
    )

    @Argument(help: "The pattern.")
    var pattern: String
    @OptionGroup var events: EventArguments
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await broker.withMesh { [self] mesh in
            try await events.follow(pattern, mesh) {
                if !output.json { note("listening to \(pattern)") }
            } show: { event, missed in
                Terminal.output.line(
                    output.json ? event.json(missed: missed).json : line(event, missed, Terminal.output.style)
                )
            }
        }
    }

    private func line(_ event: MeshEvent, _ missed: UInt64, _ style: Style) -> String {
        var text = ""
        if missed > 0 { text += style.yellow("… missed \(missed) events: too slow") + "\n" }
        text += style.dim(event.clock) + " " + style.named(clean(event.topic), by: event.topic)
        if !event.publisher.isEmpty { text += style.dim(" " + clean(event.publisher)) }
        if event.isLastValue { text += style.dim(" (last value)") }
        if event.isReplay { text += style.dim(" (replay)") }
        return text + " " + clean(event.payload.text)
    }
}

struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what happens in the mesh: plugins, denials, deadlines, overload.",
        discussion: "The same as `wiz sub 'mesh.>'`, told in sentences."
    )

    @Argument(help: "Another pattern.")
    var pattern = "mesh.>"
    @OptionGroup var events: EventArguments
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await broker.withMesh { [self] mesh in
            try await events.follow(pattern, mesh) {
                if !output.json { note("watching \(pattern); Ctrl-C ends") }
            } show: { event, missed in
                Terminal.output.line(
                    output.json ? event.json(missed: missed).json : sentence(event, missed, Terminal.output.style)
                )
            }
        }
    }

    private func sentence(_ event: MeshEvent, _ missed: UInt64, _ style: Style) -> String {
        var text = missed > 0 ? style.yellow("… missed \(missed) events: too slow") + "\n" : ""
        text += style.dim(event.clock) + " "
        guard let value = try? JSON(parsing: event.payload.text), let message = value["message"]?.string else {
            return text + style.named(clean(event.topic), by: event.topic) + " " + clean(event.payload.text)
        }
        switch value.text("level") {
        case "warning": text += style.yellow("!")
        case "error", "critical": text += style.red("✗")
        default: text += style.cyan("·")
        }
        text += " " + style.bold(clean(event.topic)) + "  " + clean(message)
        let fields = (value["fields"]?.entries ?? []).map { "\(clean($0.key))=\(clean($0.value.plain))" }
        return fields.isEmpty ? text : text + "  " + style.dim(fields.joined(separator: " "))
    }
}

extension MeshEvent {
    /// The time of day in UTC, with milliseconds.
    var clock: String { clockText(nanosecondsSince1970: timestamp) }

    /// The event as one JSON line.
    func json(missed: UInt64) -> JSON {
        var entries: [JSON.Entry] = [
            .init(key: "topic", value: .string(topic)), .init(key: "payload", value: payload.value),
            .init(key: "publisher", value: .string(publisher)),
            .init(key: "sequence", value: .integer(Int64(clamping: sequence))),
            .init(key: "timestamp", value: .integer(Int64(clamping: timestamp))),
        ]
        if isLastValue { entries.append(.init(key: "lastValue", value: .boolean(true))) }
        if isReplay { entries.append(.init(key: "replay", value: .boolean(true))) }
        if missed > 0 { entries.append(.init(key: "missed", value: .integer(Int64(clamping: missed)))) }
        return .mapping(entries)
    }
}

/// "14:03:07.512", in UTC.
func clockText(nanosecondsSince1970 time: UInt64) -> String {
    let milliseconds = time / 1_000_000 % 86_400_000
    func two(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let rest = String(milliseconds % 1000)
    return two(milliseconds / 3_600_000) + ":" + two(milliseconds / 60_000 % 60) + ":" + two(milliseconds / 1000 % 60)
        + "." + String(repeating: "0", count: 3 - rest.count) + rest
}
