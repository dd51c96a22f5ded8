// What a broker is started with: made from a mesh file, or by hand for a broker inside another program or a test.

public import BrokerCore
import CLinuxShims
import Glibc

/// Everything that a broker needs to know to start.
public struct BrokerConfiguration: Sendable {
    /// Where tcp peers connect.
    public struct TCP: Sendable, Hashable {
        /// `ADDRESS:PORT`, with port 0 for a free one; an address that stands for all of the machine's is refused.
        public var listen: String
        /// The broker's own keys.
        public var key: KeyFile
        /// Describes a listener.
        public init(listen: String, key: KeyFile) {
            self.listen = listen
            self.key = key
        }
    }

    /// The mesh's name, for people.
    public var mesh = "wizmesh"
    /// The run folder.
    public var runFolder: String
    /// The tcp listener; nil: local peers only.
    public var tcp: TCP?
    /// The limits.
    public var limits = Limits()
    /// Who may do what.
    public var policy = Policy()
    /// The principals of tcp peers by their public keys, as 40 characters of Z85.
    public var keys: [String: String] = [:]
    /// How services' work is spread, by name.
    public var balances: [String: Balance] = [:]
    /// The mesh file, for reloading; nil when there is none.
    public var meshFilePath: String?
    /// What was read of the plugins' manifests, by folder: what counts when one cannot be used any more.
    var manifests: [String: ManifestSummary] = [:]
    /// What the mesh file says that is hardly meant; told at the start.
    var warnings: [String] = []
    /// libzmq's threads: one per gigabyte a second.
    public var ioThreadCount = 1

    /// A broker in a run folder with the built-in policy: the user who starts it may do everything.
    public init(runFolder: String) {
        self.runFolder = runFolder
        policy = BrokerConfiguration.builtInPolicy()
    }

    /// A broker as a mesh file describes it.
    ///
    /// - Throws: when the broker's key file cannot be used.
    public init(_ file: MeshFile) throws(KeyFileError) {
        self.init(runFolder: BrokerConfiguration.runFolder(of: file))
        mesh = file.mesh
        limits = file.limits
        policy = file.policy
        keys = file.keys
        balances = file.balances
        meshFilePath = file.path
        manifests = file.manifests
        warnings = file.warnings
        if let tcp = file.tcp { self.tcp = TCP(listen: tcp.listen, key: try KeyFile(reading: tcp.key)) }
    }

    /// The run folder of a mesh: `$WIZ_RUN`, by which clients find it too, else the mesh file's, else the default.
    public static func runFolder(of file: MeshFile?) -> String {
        variable("WIZ_RUN") ?? file?.runFolder ?? defaultRunFolder
    }

    /// The run folder when nobody names one: `$WIZ_RUN`, else `$XDG_RUNTIME_DIR/wizmesh`, else `/tmp/wizmesh-<uid>`.
    public static var defaultRunFolder: String {
        if let folder = variable("WIZ_RUN") { return folder }
        if let folder = variable("XDG_RUNTIME_DIR") { return folder + "/wizmesh" }
        return "/tmp/wizmesh-\(geteuid())"
    }

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// The rules that hold in every mesh: operators may do everything, everybody may look at the registry and say that it
    /// is ready, hosts may manage what they start, and the user who runs the broker is an operator.
    public static func builtInPolicy() -> Policy {
        let origin = "built in"
        var policy = Policy()
        policy.principals["operator"] = Policy.Principal(roles: [policy.operatorRole], origin: origin)
        policy.localUsers[geteuid()] = "operator"
        func allow(_ subject: String, _ action: Policy.Action, _ targets: [String]) {
            for target in targets {
                policy.rules.append(
                    Policy.Rule(effect: .allow, subject: subject, action: action, target: target, origin: origin)
                )
            }
        }
        allow("*", .call, ["services", "watch", "describe", "ready", "notReady"].map { "mesh." + $0 })
        let host = "role:" + policy.hostRole
        let orders = [
            "ticket", "promote", "exited", "expect", "unexpect", "load", "drain", "kick", "sessions", "plugins", "info",
        ]
        allow(host, .call, orders.map { "mesh." + $0 })
        allow(host, .provide, ["host.>", Policy.capabilityTarget("plugin-host")])
        // The host beside the broker is an operator's.
        policy.rules.append(
            Policy.Rule(effect: .deny, subject: host, action: .provide, target: "host.local", origin: origin)
        )
        allow(host, .publish, ["mesh.plugin.>"])
        allow(host, .subscribe, ["mesh.session.>", "mesh.service.>", "mesh.plugin.>"])
        return policy
    }
}
