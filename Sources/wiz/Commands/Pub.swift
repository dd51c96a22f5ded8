// `wiz pub`: publishes an event.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Pub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish an event.",
        discussion: """
            Example:
              wiz pub demo.hello '{"text":"hi"}' --retain
            """
    )

    @Argument(help: "The topic: dotted words.")
    var topic: String
    @Argument(help: "The event: JSON, or - for standard input. Default: {}.")
    var payload: String?
    @Option(help: "How the payload is to be read: json, text or bytes.")
    var type = PayloadType.json
    @Flag(help: "Keep it as the topic's last value.")
    var retain = false
    @Flag(help: "Keep it in the topic's history.")
    var history = false
    @Flag(name: .customLong("lines"), help: "With -: publish each line of standard input as an event of its own.")
    var byLine = false
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let command = "wiz pub " + topic
        let options = PublishOptions(retain: retain, history: history, acknowledge: true)
        let payloads: [Payload]
        if byLine {
            payloads = try PayloadArgument.readAll().split(separator: 0x0A).map { line in
                try PayloadArgument.payload(String(decoding: line, as: UTF8.self), as: type, command: command)
            }
        } else {
            payloads = [try PayloadArgument.payload(payload, as: type, command: command)]
        }
        try await broker.withMesh { [topic] mesh in
            for payload in payloads { try await mesh.publish(topic: topic, payload: payload, options: options) }
        }
        output.done(
            .object(["topic": .string(topic), "published": .integer(Int64(payloads.count))]),
            payloads.count == 1 ? "Published to \(topic)." : "Published \(payloads.count) events to \(topic)."
        )
    }
}
