// The behaviours that do without the SDK: one speaks the protocol by hand, one has no manners.

import CLinuxShims
import Glibc
import MeshProtocol
import WizPlugin
import ZeroMQ

/// The variables of this process, and those that the host gave over standard input.
func ownVariables() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        entry += 1
    }
    if variables["WIZ_SETTINGS"] == "stdin", let line = readLine(),
        let given = try? Payload.json(text: line).decode(Value.self)
    {
        for (name, value) in given["variables"]?.object ?? [:] { variables[name] = value.string }
        variables["WIZ_SETTINGS"] = nil
    }
    return variables
}

/// Says HELLO, and once more after WELCOME; tells what it hears.
func helloTwice() -> Never {
    let variables = ownVariables()
    let hello = Hello(
        name: variables["WIZ_PLUGIN_NAME"] ?? "rogue-plugin",
        version: "1.0.0",
        instance: variables["WIZ_INSTANCE"] ?? "",
        ticket: variables["WIZ_TICKET"] ?? ""
    )
    do {
        let socket = try Socket(try Context(), .dealer)
        try socket.connect(variables["WIZ_ENDPOINT"] ?? "")
        var poller = Poller(capacity: 1)
        poller.add(socket, events: .readable)
        var frames = FrameBuffer(capacity: 2)
        _ = try socket.trySend(header: hello.encoded().span.bytes, body: nil)
        while true {
            _ = try poller.wait(timeout: .seconds(60))
            while try socket.tryReceive(into: &frames) == .received {
                let verb = frames.withUnsafeBytes(at: 0) { $0.count > 1 ? Verb(rawValue: $0[1]) : nil }
                say("heard \(verb?.name ?? "something")")
                if verb == .welcome { _ = try socket.trySend(header: hello.encoded().span.bytes, body: nil) }
            }
        }
    } catch {
        say("\(error)")
        exitProcess(70)
    }
}

/// Serves, and is deaf to everything that should end it.
func serveDeaf() async -> Never {
    for number in [SIGTERM, SIGINT, SIGHUP, SIGPIPE] { wiz_ignore_signal(number) }
    let variables = ownVariables()
    do {
        var configuration = try MeshConfiguration.fromEnvironment(
            name: variables["WIZ_PLUGIN_NAME"] ?? "rogue-plugin",
            version: "1.0.0",
            environment: variables
        )
        configuration.leavesWhenDrained = false
        let mesh = try await MeshConnection.connect(configuration)
        mesh.onDrainRequested { _ in await sleepForEver() }
        let service = ServiceDescription(
            name: "rogue",
            version: "1.0.0",
            methods: ["count", "hold"].map { MethodDescription(name: $0) },
            capacity: 64
        )
        let registration = try await mesh.provide(service) { call in
            if call.method == "hold" { await sleepForEver() }
            return call.payload
        }
        _ = try? await mesh.call(.service("mesh", method: "ready"), payload: .json(Nothing()))
        say("deaf and serving")
        try await registration.ended()
    } catch {
        say("\(error)")
    }
    waitForEver()
}
