// The real broker as a process of a run: `mesh-bench role broker`, and the handle by which the suite starts it and finds
// its endpoints.

import Broker
import BrokerCore
import Glibc
import Logging
import ZeroMQ

/// The broker in a process of its own.
enum BrokerRole {
    /// Serves until the process is ended; prints its local endpoint, its tcp endpoint and its public key.
    static func run(_ options: Options) throws {
        let folder = try options.text("folder")
        var configuration = BrokerConfiguration(runFolder: folder + "/run")
        // A run has more sessions of one principal than a mesh should.
        configuration.limits.sessionCountPerPrincipal = 20_000
        if let peer = options.optional("peer-key") {
            configuration.tcp = .init(listen: "127.0.0.1:0", key: try KeyFile(creating: folder + "/broker.json"))
            configuration.keys[peer] = "bench"
            configuration.policy.principals["bench"] = Policy.Principal(
                roles: [configuration.policy.operatorRole],
                origin: "benchmark"
            )
        }
        var logger = Logger(label: "broker", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = options.has("verbose") ? .info : .error
        let broker = try Broker.start(configuration, logger: logger)
        Roles.say((["ready"] + broker.endpoints + [broker.publicKey ?? ""]).joined(separator: " "))
        withExtendedLifetime(broker) {
            while true { pause() }
        }
    }
}

/// A broker that the suite started.
struct BrokerProcess {
    let child: Child
    let localEndpoint: String
    let networkEndpoint: String
    let publicKey: String

    /// Starts it in a folder of its own; it serves when this returns.
    init(
        _ executable: String,
        folder: String,
        peerKey: CurvePublicKey? = nil,
        environment: [String: String] = [:]
    ) throws {
        guard mkdir(folder, 0o700) == 0 else { throw BenchError("\(folder) cannot be made: errno \(errno)") }
        var arguments = [executable, "role", "broker", "--folder", folder]
        if let peerKey { arguments += ["--peer-key", peerKey.z85] }
        child = try Child(arguments, environment: environment)
        let words = try child.awaitReady()
        guard let local = words.first else { throw BenchError("the broker named no endpoint") }
        localEndpoint = local
        networkEndpoint = words.count > 1 ? words[1] : ""
        publicKey = words.count > 2 ? words[2] : ""
    }
}
