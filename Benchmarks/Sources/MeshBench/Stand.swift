// What a driver can be put before: the relay or the broker with a worker behind it, or nats-server. Owns the processes.

import Glibc
import ZeroMQ

/// A middle that serves, with its worker.
struct Stand {
    let middle: Middle
    let server: Child
    let worker: Child?
    /// The options by which a role connects to it.
    let connection: [String]
    let executable: String

    /// Starts a relay and a worker.
    static func relay(_ executable: String, endpoint: String, keys: StandKeys? = nil) throws -> Stand {
        var arguments = [executable, "role", "relay", "--endpoint", endpoint]
        if let keys { arguments += ["--secret-key", keys.server.secretKey.revealedZ85] }
        let server = try Child(arguments)
        try server.awaitReady()
        let connection =
            ["--middle", "relay", "--endpoint", endpoint] + (keys?.connection(keys?.server.publicKey.z85) ?? [])
        return try Stand(.relay, server, connection, executable)
    }

    /// Joins a broker that serves already, on one of its endpoints, with a worker; `isSingle`: nobody joins messages.
    static func mesh(
        _ executable: String,
        _ broker: BrokerProcess,
        keys: StandKeys? = nil,
        isSingle: Bool = false
    ) throws -> Stand {
        let endpoint = keys == nil ? broker.localEndpoint : broker.networkEndpoint
        var connection = ["--middle", "mesh", "--endpoint", endpoint] + (keys?.connection(broker.publicKey) ?? [])
        // One broker serves them all: each has its own worker, and calls must not go to another one's.
        connection += ["--service", isSingle ? "bench-single" : keys == nil ? "bench" : "bench-curve"]
        if isSingle { connection.append("--single") }
        return try Stand(.mesh, broker.child, connection, executable)
    }

    private init(_ middle: Middle, _ server: Child, _ connection: [String], _ executable: String) throws {
        self.middle = middle
        self.server = server
        self.connection = connection
        self.executable = executable
        let worker = try Child([executable, "role", "worker"] + connection)
        try worker.awaitReady()
        self.worker = worker
    }

    /// Starts a driver against it.
    func driver(_ role: String, count: Int, size: Int, milliseconds: Int) throws -> Child {
        try Child(
            [executable, "role", role] + connection
                + ["--count", "\(count)", "--size", "\(size)", "--milliseconds", "\(milliseconds)"]
        )
    }

    /// Runs a driver against it to its end.
    func drive(_ role: String, count: Int, size: Int, milliseconds: Int) throws -> [String: Double] {
        try driver(role, count: count, size: size, milliseconds: milliseconds).numbers()
    }
}

/// The CURVE keys of one run: the relay's, and one pair for all peers.
struct StandKeys {
    let server: CurveKeyPair
    let peer: CurveKeyPair

    init() throws {
        server = try CurveKeyPair.generate()
        peer = try CurveKeyPair.generate()
    }

    /// How a role connects to a server with this public key.
    func connection(_ serverKey: String?) -> [String] {
        ["--server-key", serverKey ?? "", "--secret-key", peer.secretKey.revealedZ85]
    }
}

/// nats-server with two workers of NATS's C client: one that sends each message at once, one that gathers.
struct NATSStand {
    private let server: Child
    private let workers: [Child]
    private let driver: String
    private let url: String

    /// Starts it; nil when the driver was not built.
    init?(driver: String?, port: Int) throws {
        guard let driver, !driver.isEmpty, access(driver, X_OK) == 0 else { return nil }
        self.driver = driver
        url = "nats://127.0.0.1:\(port)"
        server = try Child(["nats-server", "-a", "127.0.0.1", "-p", "\(port)", "-l", "/dev/null"])
        try NATSStand.awaitPort(port)
        var workers: [Child] = []
        for asap in ["0", "1"] {
            let worker = try Child([driver, "worker", url, asap])
            try worker.awaitReady()
            workers.append(worker)
        }
        self.workers = workers
    }

    /// Waits until something listens on a port.
    private static func awaitPort(_ port: Int) throws {
        for _ in 0..<500 {
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(socket) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result == 0 { return }
            usleep(10_000)
        }
        throw BenchError("nats-server does not listen on port \(port)")
    }

    /// Runs a driver in one of the two ways of sending.
    func drive(_ role: String, asap: Bool, count: Int, size: Int, milliseconds: Int) throws -> [String: Double] {
        try Child([driver, role, url, asap ? "1" : "0", "\(count)", "\(size)", "\(milliseconds)"]).numbers()
    }
}
