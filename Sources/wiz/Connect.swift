// Finds the broker and connects to it. A broker that is not there is told in one sentence with what to type, and at once:
// the socket's file is looked at before anything waits.

import ArgumentParser
import Broker
import Glibc
import Logging
import MeshClient
import MeshProtocol

/// Where the broker is.
struct BrokerOptions: ParsableArguments {
    @Option(
        help:
            "The broker: ipc:///path/mesh.sock or tcp://host:port. Default: $WIZ_ENDPOINT, else the run folder's socket."
    )
    var endpoint: String?

    @Option(
        help: ArgumentHelp(
            "The name to say hello with; the key of a plugin goes by its own names alone.",
            valueName: "name"
        )
    )
    var name: String?

    @Option(help: "How long to try to connect.")
    var connectTimeout = DurationArgument(.seconds(5))

    @Flag(help: "Tell on standard error what the connection does.")
    var verbose = false

    /// The endpoint that will be used.
    var resolvedEndpoint: String {
        endpoint ?? variable("WIZ_ENDPOINT") ?? "ipc://" + Self.runFolder + "/mesh.sock"
    }

    /// The run folder of this user.
    static var runFolder: String {
        if let run = variable("WIZ_RUN") { return run }
        if let runtime = variable("XDG_RUNTIME_DIR") { return runtime + "/wizmesh" }
        return "/tmp/wizmesh-\(getuid())"
    }

    /// Connects.
    func connect() async throws -> MeshConnection {
        var environment = ["WIZ_ENDPOINT": resolvedEndpoint]
        for name in [
            "WIZ_SERVER_KEY", "WIZ_SERVER_KEY_FILE", "WIZ_KEY_FILE", "WIZ_SECRET_KEY", "WIZ_TICKET", "WIZ_INSTANCE",
        ] {
            environment[name] = variable(name)
        }
        try Self.lookFor(resolvedEndpoint)
        do {
            var configuration = try MeshConfiguration.fromEnvironment(
                name: name ?? variable("WIZ_NAME") ?? "wiz",
                version: WizmeshVersion.current,
                environment: environment,
                logger: verbose ? Self.tellingLogger : Logger(label: "wiz") { _ in SwiftLogNoOpLogHandler() }
            )
            configuration.connectTimeout = connectTimeout.duration
            return try await MeshConnection.connect(configuration)
        } catch let error as MeshError where error.status == .unavailable || error.status == .deadlineExceeded {
            throw Self.noBroker(resolvedEndpoint, error.message)
        } catch let error as MeshError {
            throw CommandFailure(error)
        }
    }

    private static var tellingLogger: Logger {
        var logger = Logger(label: "wiz") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .debug
        return logger
    }

    /// Refuses an ipc endpoint whose socket nobody listens on.
    static func lookFor(_ endpoint: String) throws {
        guard endpoint.hasPrefix("ipc://") else { return }
        let path = String(endpoint.dropFirst("ipc://".count))
        guard access(path, F_OK) == 0 else {
            if errno == EACCES {
                throw CommandFailure(
                    .permissionDenied,
                    "the socket \(path) is in a folder that you may not enter",
                    hint: "Run as the user who started the broker, or give its tcp endpoint with --endpoint."
                )
            }
            throw noBroker(endpoint, nil)
        }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result != 0, errno == ECONNREFUSED {
            throw noBroker(endpoint, "its socket is there but nobody listens: the broker has ended")
        }
    }

    /// What to type when the mesh file of this folder names a run folder in which somebody listens.
    private static func runFolderHere(_ endpoint: String) -> String? {
        guard let path = MeshPlace.fileHere, let file = try? MeshFile(reading: path, after: nil),
            let folder = file.runFolder.map(absolutePath), case let other = "ipc://\(folder)/mesh.sock",
            other != endpoint,
            access(folder + "/mesh.sock", F_OK) == 0
        else { return nil }
        return "export WIZ_RUN=\(folder)"
    }

    static func noBroker(_ endpoint: String, _ reason: String?) -> CommandFailure {
        CommandFailure(
            .noBroker,
            "no broker at \(endpoint)" + (reason.map { ": \($0)" } ?? ""),
            hint: (runFolderHere(endpoint).map { "The mesh file of this folder has its broker elsewhere: \($0)\n" }
                ?? "")
                + "Start one with `wiz up` or `wizmesh-broker --mesh mesh.yaml`."
                + "\nIf one runs elsewhere, name it: --endpoint ipc:///path/mesh.sock, or set WIZ_ENDPOINT or WIZ_RUN."
        )
    }
}

/// An environment variable that is set to something.
func variable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}

extension BrokerOptions {
    /// Runs something with a connection, which Ctrl-C cancels, and closes the connection.
    func withMesh<Value: Sendable>(
        _ body: @escaping @Sendable (MeshConnection) async throws -> Value
    ) async throws -> Value {
        try await Interrupts.cancelling {
            let mesh = try await connect()
            do {
                let value = try await body(mesh)
                await mesh.close()
                return value
            } catch {
                await mesh.close()
                if let error = error as? MeshError { throw CommandFailure(error) }
                throw error
            }
        }
    }
}
