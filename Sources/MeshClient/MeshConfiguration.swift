// Where the broker is and who this process claims to be: given in code, or taken from the environment that the host or
// the user's shell sets. Reads environment variables and the key file, nothing else.

internal import FoundationEssentials
internal import Glibc
public import Logging
import MeshProtocol
internal import ZeroMQ

/// Everything that a connection needs to know.
public struct MeshConfiguration: Sendable {
    /// The keys of a tcp connection, each as 40 characters of Z85.
    public struct Keys: Hashable, Sendable {
        /// The broker's public key, which is pinned.
        public var server: String
        /// This peer's public key.
        public var clientPublic: String
        /// This peer's secret key.
        public var clientSecret: String

        /// Puts the keys together.
        public init(server: String, clientPublic: String, clientSecret: String) {
            self.server = server
            self.clientPublic = clientPublic
            self.clientSecret = clientSecret
        }
    }

    /// `ipc:///path/mesh.sock` or `tcp://host:port`.
    public var endpoint: String
    /// The peer's name: a plugin's name, or a client's.
    public var name: String
    /// The peer's version; may be empty for a client.
    public var version: String
    /// What tells this process from others of the same name; may be empty.
    public var instance: String
    /// The one-time ticket that the host gave; may be empty.
    public var ticket: String
    /// The keys; needed on tcp.
    public var keys: Keys?
    /// How long ``MeshConnection/connect(_:)`` tries before it throws.
    public var connectTimeout: Duration
    /// Whether the connection says BYE and closes by itself once a drain that the broker asked for is done.
    public var leavesWhenDrained: Bool
    /// Gets what an operator should know: losses, reconnects, refusals.
    public var logger: Logger

    /// Names a broker and this peer.
    public init(
        endpoint: String,
        name: String,
        version: String = "",
        instance: String = "",
        ticket: String = "",
        keys: Keys? = nil,
        connectTimeout: Duration = .seconds(10),
        leavesWhenDrained: Bool = true,
        logger: Logger = Logger(label: "wizmesh.client")
    ) {
        self.endpoint = endpoint
        self.name = name
        self.version = version
        self.instance = instance
        self.ticket = ticket
        self.keys = keys
        self.connectTimeout = connectTimeout
        self.leavesWhenDrained = leavesWhenDrained
        self.logger = logger
    }

    /// Reads WIZ_ENDPOINT, WIZ_TICKET, WIZ_INSTANCE, the broker's public key (WIZ_SERVER_KEY, else the file
    /// WIZ_SERVER_KEY_FILE) and this peer's pair (the file WIZ_KEY_FILE, else the secret key WIZ_SECRET_KEY); without
    /// WIZ_ENDPOINT the broker of the run folder (WIZ_RUN, else XDG_RUNTIME_DIR/wizmesh, else /tmp/wizmesh-UID) is meant.
    ///
    /// With the broker's key the connection is encrypted, on ipc too (a relay may carry it on).
    /// - Parameters:
    ///   - name: The peer's name.
    ///   - version: The peer's version.
    ///   - environment: The variables; the process's own when nil.
    ///   - logger: Gets what an operator should know.
    /// - Returns: what to connect with.
    /// - Throws: ``MeshError`` INVALID_ARGUMENT naming the variable that is wrong.
    public static func fromEnvironment(
        name: String,
        version: String = "",
        environment: [String: String]? = nil,
        logger: Logger = Logger(label: "wizmesh.client")
    ) throws(MeshError) -> MeshConfiguration {
        let variables = environment ?? ProcessInfo.processInfo.environment
        func value(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
        var configuration = MeshConfiguration(
            endpoint: value("WIZ_ENDPOINT") ?? "ipc://" + runFolder(variables) + "/mesh.sock",
            name: name,
            version: version,
            instance: value("WIZ_INSTANCE") ?? "",
            ticket: value("WIZ_TICKET") ?? "",
            logger: logger
        )
        var server = value("WIZ_SERVER_KEY")
        if server == nil, let path = value("WIZ_SERVER_KEY_FILE") { server = try Keys.publicKey(at: path) }
        if let server {
            if let path = value("WIZ_KEY_FILE") {
                configuration.keys = try Keys(server: server, file: path)
            } else if let secret = value("WIZ_SECRET_KEY") {
                configuration.keys = try Keys(server: server, secret: secret)
            } else {
                throw MeshError(
                    .invalidArgument,
                    "the broker's key is set but WIZ_KEY_FILE is not",
                    hint: "Make a key pair with: wiz keys new FILE, and set WIZ_KEY_FILE to FILE."
                )
            }
        }
        try configuration.check()
        return configuration
    }

    /// The folder in which a broker of this machine's user puts its socket.
    public static func runFolder(_ environment: [String: String]) -> String {
        if let run = environment["WIZ_RUN"], !run.isEmpty { return run }
        if let runtime = environment["XDG_RUNTIME_DIR"], !runtime.isEmpty { return runtime + "/wizmesh" }
        return "/tmp/wizmesh-\(getuid())"
    }

    /// Refuses what cannot work.
    func check() throws(MeshError) {
        guard endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("tcp://") else {
            throw MeshError(
                .invalidArgument,
                "\"\(endpoint)\" is no endpoint",
                hint: "Use ipc:///path/mesh.sock or tcp://host:port (WIZ_ENDPOINT)."
            )
        }
        guard !endpoint.hasPrefix("tcp://") || keys != nil else {
            throw MeshError(
                .invalidArgument,
                "\(endpoint) needs keys: the mesh speaks tcp only with CURVE",
                hint: "Set WIZ_SERVER_KEY to the broker's public key and WIZ_KEY_FILE to a file of `wiz keys new`."
            )
        }
        try keys?.check()
        do {
            try Hello(name: name, version: version, instance: instance, ticket: ticket).validate()
        } catch {
            throw MeshError(.invalidArgument, "the configuration makes no valid HELLO: \(error)")
        }
    }
}

extension MeshConfiguration.Keys {
    private struct File: Decodable {
        var publicKey: String
        var secretKey: String
    }

    /// Reads this peer's keys from a file that `wiz keys new` made.
    ///
    /// - Parameters:
    ///   - server: The broker's public key.
    ///   - path: The file; `fd:N` stands for a descriptor, which is read to its end and closed.
    /// - Throws: ``MeshError`` INVALID_ARGUMENT when the file cannot be read or is no key file.
    public init(server: String, file path: String) throws(MeshError) {
        let problem: String
        do {
            let data = try path.hasPrefix("fd:") ? Self.read(descriptor: path) : Data(contentsOf: URL(filePath: path))
            let file = try JSONDecoder().decode(File.self, from: data)
            self.init(server: server, clientPublic: file.publicKey, clientSecret: file.secretKey)
            return
        } catch is DecodingError {
            // Its description might quote what is in the file.
            problem = "it holds no key pair"
        } catch let error as MeshError {
            problem = error.message
        } catch {
            problem = "\(error)"
        }
        throw MeshError(
            .invalidArgument,
            "the key file \(path) could not be read: \(problem)",
            hint: "Make one with: wiz keys new FILE"
        )
    }

    /// Reads a small file by its descriptor, once.
    private static func read(descriptor name: String) throws(MeshError) -> Data {
        guard let descriptor = Int32(name.dropFirst(3)), descriptor >= 0 else {
            throw MeshError(.invalidArgument, "it names no descriptor; write fd: and a number")
        }
        defer { close(descriptor) }
        var data = Data()
        var buffer = [UInt8](repeating: 0, count: 4096)
        while data.count <= 64 << 10 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw MeshError(.invalidArgument, String(cString: strerror(errno))) }
            if count == 0 { break }
            data.append(contentsOf: buffer.prefix(count))
        }
        return data
    }

    /// Takes this peer's public key from its secret one.
    ///
    /// - Throws: ``MeshError`` INVALID_ARGUMENT when it is no secret key.
    public init(server: String, secret: String) throws(MeshError) {
        do {
            let pair = try CurveKeyPair(secretKey: CurveSecretKey(z85: secret))
            self.init(server: server, clientPublic: pair.publicKey.z85, clientSecret: secret)
        } catch {
            throw MeshError(.invalidArgument, "WIZ_SECRET_KEY is no secret key: \(error)")
        }
    }

    /// Makes a new pair for this peer, which nobody keeps: for a process that gets it with a ticket bound to it.
    ///
    /// - Throws: ``MeshError`` INTERNAL when libzmq makes none.
    public static func ephemeral(server: String) throws(MeshError) -> MeshConfiguration.Keys {
        do {
            let pair = try CurveKeyPair.generate()
            return MeshConfiguration.Keys(
                server: server,
                clientPublic: pair.publicKey.z85,
                clientSecret: pair.secretKey.revealedZ85
            )
        } catch {
            throw MeshError(.internal, "no key pair could be made: \(error)")
        }
    }

    /// Reads a public key from a file that holds nothing else.
    static func publicKey(at path: String) throws(MeshError) -> String {
        do {
            let text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
            return text.filter { !$0.isWhitespace }
        } catch {
            throw MeshError(
                .invalidArgument,
                "the broker's public key could not be read from \(path): \(error)",
                hint: "Set WIZ_SERVER_KEY to the key itself, as `wiz keys show` prints it on the broker's machine."
            )
        }
    }

    /// Refuses what is no key.
    func check() throws(MeshError) {
        do throws(CurveKeyError) {
            _ = try CurvePublicKey(z85: server)
            _ = try CurvePublicKey(z85: clientPublic)
            _ = try CurveSecretKey(z85: clientSecret)
        } catch {
            throw MeshError(.invalidArgument, "a key of the configuration is wrong: \(error)")
        }
    }
}
